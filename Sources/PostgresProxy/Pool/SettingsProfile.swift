import Runtime

/// The settings of a session that differ from what its login gave it. Two sessions with the same have the same object, so
/// that comparing them costs nothing.
final class SettingsProfile {
    let values: [[UInt8]: [UInt8]]
    /// Statements that make a session with no settings of its own into one with these; empty for none.
    let replay: [UInt8]

    fileprivate init(_ values: [[UInt8]: [UInt8]]) {
        self.values = values
        var sql: [UInt8] = []
        // Whoever may not become the other role again must have every other setting before it.
        let order: [[UInt8]] = [Self.sessionAuthorization, Self.role]
        let names = values.keys.filter { !order.contains($0) }.sorted { $0.lexicographicallyPrecedes($1) }
        if !names.isEmpty {
            sql.append(contentsOf: "SELECT ".utf8)
            for (index, name) in names.enumerated() {
                if index > 0 { sql.append(contentsOf: ", ".utf8) }
                sql.append(contentsOf: "pg_catalog.set_config(".utf8)
                sql.append(literal: name)
                sql.append(contentsOf: ", ".utf8)
                sql.append(literal: values[name] ?? [])
                sql.append(contentsOf: ", false)".utf8)
            }
            sql.append(contentsOf: "; ".utf8)
        }
        if let user = values[Self.sessionAuthorization] {
            sql.append(contentsOf: "SET SESSION AUTHORIZATION ".utf8)
            sql.append(identifier: user)
            sql.append(contentsOf: "; ".utf8)
        }
        if let role = values[Self.role] {
            sql.append(contentsOf: "SET ROLE ".utf8)
            sql.append(identifier: role)
            sql.append(contentsOf: "; ".utf8)
        }
        replay = sql
    }

    var isEmpty: Bool { values.isEmpty }

    static let role = Array("role".utf8)
    static let sessionAuthorization = Array("session_authorization".utf8)
}

/// Every profile that a session has, once each. For one loop.
final class SettingsProfiles {
    private struct Held { weak var profile: SettingsProfile? }

    let none = SettingsProfile([:])
    private var known: [[[UInt8]: [UInt8]]: Held] = [:]
    private var pruneAt = 256

    func profile(_ values: [[UInt8]: [UInt8]]) -> SettingsProfile {
        guard !values.isEmpty else { return none }
        if let known = known[values]?.profile { return known }
        if known.count >= pruneAt {
            known = known.filter { $0.value.profile != nil }
            pruneAt = max(256, known.count * 2)
        }
        let fresh = SettingsProfile(values)
        known[values] = Held(profile: fresh)
        return fresh
    }
}

extension Array where Element == UInt8 {
    /// A text in quotes as SQL has it, whatever `standard_conforming_strings` says.
    mutating func append(literal text: [UInt8]) {
        let escapes = text.contains(UInt8(ascii: "\\"))
        if escapes { append(contentsOf: " E".utf8) }
        append(UInt8(ascii: "'"))
        for byte in text {
            if byte == UInt8(ascii: "'") || escapes && byte == UInt8(ascii: "\\") { append(byte) }
            append(byte)
        }
        append(UInt8(ascii: "'"))
    }

    mutating func append(identifier name: [UInt8]) {
        append(UInt8(ascii: "\""))
        for byte in name {
            if byte == UInt8(ascii: "\"") { append(byte) }
            append(byte)
        }
        append(UInt8(ascii: "\""))
    }
}
