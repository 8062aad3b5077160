import Runtime

/// How the local level names what it holds.
///
/// A plain value, what `GET` answers, is named by its database and key. Every other reply is named by the database, the
/// protocol's version and the whole command, because any of them may change it.
enum EntryKey {
    /// Databases are told apart by one byte; what is beyond is not kept.
    static let mostDatabases = 64

    private static let value: UInt8 = 0
    private static let reply: UInt8 = 1

    /// Writes the name of a plain value over what `name` held.
    static func write(value key: Span<UInt8>, database: Int, to name: inout [UInt8]) {
        name.removeAll(keepingCapacity: true)
        name.append(value)
        name.append(UInt8(truncatingIfNeeded: database))
        name.append(bytes: key)
    }

    /// Writes the name of the reply to a command over what `name` held.
    ///
    /// - Parameter command: as it goes over the wire.
    static func write(
        replyTo command: Span<UInt8>, database: Int, version: RESPVersion, to name: inout [UInt8]
    ) {
        name.removeAll(keepingCapacity: true)
        name.append(reply)
        name.append(UInt8(truncatingIfNeeded: database))
        name.append(UInt8(truncatingIfNeeded: version.rawValue))
        name.append(bytes: command)
    }

    /// What a name stands for.
    struct Meaning {
        let database: Int
        let version: RESPVersion
        /// It is a plain value, which `GET` answers.
        let isValue: Bool
        /// The command whose reply it is, as it goes over the wire.
        let command: [UInt8]
    }

    /// Reads a name that this process or an earlier one wrote; nil for anything else.
    static func meaning(of name: [UInt8]) -> Meaning? {
        guard name.count > 2, Int(name[1]) < mostDatabases else { return nil }
        switch name[0] {
        case value:
            var command: [UInt8] = []
            command.append(arrayOf: 2)
            command.append(bulk: "GET")
            command.append(bulk: name.span.extracting(droppingFirst: 2))
            return Meaning(database: Int(name[1]), version: .two, isValue: true, command: command)
        case reply:
            guard name.count > 3, let version = RESPVersion(rawValue: Int(name[2])) else { return nil }
            return Meaning(database: Int(name[1]), version: version, isValue: false, command: Array(name[3...]))
        default: return nil
        }
    }
}
