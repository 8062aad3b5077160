import Runtime
import TestTools
import Testing

/// Captures and oracles that lie beside the repository on the machine where they were made.
enum SharedData {
    static let isPresent = Facts.hasShared("alerting")
    static let absence = Comment(rawValue: Facts.needs("alerting"))

    static func json(_ name: String) throws -> JSON {
        try JSON.parse(Array(try Facts.sharedText("alerting/" + name).utf8))
    }
}
