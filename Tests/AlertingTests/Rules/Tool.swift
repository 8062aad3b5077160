import Foundation
import Runtime

/// Programs of other people that judge what we do.
enum Tool {
    static let promtool = find("promtool")
    static let prometheus = find("prometheus")

    private static func find(_ name: String) -> String? {
        (Environment.current["PATH"] ?? "").split(separator: ":").map { "\($0)/\(name)" }.first(where: Files.exists)
    }

    /// Runs a program to its end: exit status, and both outputs in one.
    static func run(_ program: String, _ arguments: [String], in folder: String) async throws -> (
        status: Int32, text: String
    ) {
        let output = folder + "/.output-\(UUID().uuidString)"
        let child = try ChildProcess(program, arguments, output: output, directory: folder)
        let status = try await child.exited(within: .seconds(300))
        let text = try Files.readText(output)
        try Files.remove(output)
        return (status, text)
    }
}
