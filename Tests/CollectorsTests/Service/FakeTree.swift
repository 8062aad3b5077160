import Foundation
import Metrics
import Runtime

/// A folder with files and links of the test's making, in place of `/proc` or `/sys/fs/cgroup`.
final class FakeTree: Sendable {
    private let folder: TemporaryFolder

    var path: String { folder.path }

    /// - Parameters:
    ///   - files: contents by path.
    ///   - links: what symbolic links point to, by path.
    init(_ files: [String: String], links: [String: String] = [:]) throws {
        folder = try TemporaryFolder("outrigger-proc")
        for (name, text) in files {
            try makeParent(of: name)
            try Files.write(text, to: folder.path + "/" + name)
        }
        for (name, target) in links {
            try makeParent(of: name)
            try FileManager.default.createSymbolicLink(atPath: folder.path + "/" + name, withDestinationPath: target)
        }
    }

    private func makeParent(of name: String) throws {
        let parent = (folder.path + "/" + name as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: parent, withIntermediateDirectories: true)
    }
}

/// Samples as `/metrics` serves them, without comments.
func lines(_ collected: [Collected]) -> [String] {
    let (page, _) = Exposition.encode(Snapshot(families: collected.flatMap(\.families)), as: .text)
    return String(decoding: page, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }.map { String($0) }
}
