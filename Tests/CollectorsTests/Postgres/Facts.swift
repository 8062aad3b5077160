import Foundation

/// Files of facts that lie beside the repository where it was written, and nowhere else.
enum Facts {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("../shared/data/metrics")

    static var arePresent: Bool { FileManager.default.fileExists(atPath: folder.path) }

    /// Rows of a file of tab-separated values with a head line, as dictionaries.
    static func table(_ name: String) throws -> [[String: String]] {
        let lines = try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
            .split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
        return lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(lines[0], $0)) }
    }

    static func text(_ name: String) throws -> String {
        try String(contentsOf: folder.appendingPathComponent(name), encoding: .utf8)
    }
}

/// Programs of other versions of Postgres, from the environment.
enum OtherVersions {
    static let variables = ["TEST_POSTGRES16", "TEST_POSTGRES18"]

    static var programs: [String] {
        variables.compactMap { ProcessInfo.processInfo.environment[$0] }.filter { !$0.isEmpty }
    }
}
