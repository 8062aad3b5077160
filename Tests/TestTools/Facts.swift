import Foundation

/// What tests compare with and did not make themselves.
///
/// Plain facts (names, types and labels of metrics, numbers) lie in `Tests/Facts`, so that a lone clone proves the same. Texts
/// and recordings of others lie beside the repository where it was written, and a test that needs them says so when it is
/// skipped: `.enabled(if: Facts.hasShared("traces"), Facts.needs("traces"))`.
package enum Facts {
    private static let tests = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    private static let shared = tests.appending(path: "../../shared/data").standardizedFileURL

    /// Rows of a file of tab-separated values in `Tests/Facts`, by the names in its head line.
    package static func table(_ name: String) throws -> [[String: String]] {
        let lines = try String(contentsOf: tests.appending(path: "Facts/\(name).tsv"), encoding: .utf8)
            .split(separator: "\n").map { $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init) }
        return lines.dropFirst().map { Dictionary(uniqueKeysWithValues: zip(lines[0], $0)) }
    }

    /// What a server of ours answered once, byte by byte, in `Tests/Facts/Recordings`.
    package static func recording(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: tests.appending(path: "Facts/Recordings/\(name)")))
    }

    /// Where a file or folder of the data beside the repository is.
    package static func sharedPath(_ path: String) -> String { shared.appending(path: path).path }

    package static func hasShared(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: sharedPath(path))
    }

    package static func sharedText(_ path: String) throws -> String {
        try String(contentsOfFile: sharedPath(path), encoding: .utf8)
    }

    /// Why a test is skipped.
    package static func needs(_ path: String) -> String { "needs ../shared/data/\(path)" }
}
