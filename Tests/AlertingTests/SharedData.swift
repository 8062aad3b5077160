import Foundation
import Runtime
import Testing

/// Captures and oracles that lie beside the repository on the machine where they were made.
enum SharedData {
    static let folder: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.deletingLastPathComponent().appendingPathComponent("shared/data/alerting").path
    }()

    static let isPresent = Files.exists(folder)

    static let absence = Comment(rawValue: "\(folder) is not on this machine")

    static func json(_ name: String) throws -> JSON { try JSON.parse(try Files.read(folder + "/" + name)) }
}
