import Foundation

/// Programs of other versions of Postgres, from the environment.
enum OtherVersions {
    static let variables = ["TEST_POSTGRES16", "TEST_POSTGRES18"]

    static var programs: [String] {
        variables.compactMap { ProcessInfo.processInfo.environment[$0] }.filter { !$0.isEmpty }
    }
}
