/// A key, or a pattern of keys, in one of the numbered databases.
public struct DatabaseKey: Sendable, Hashable {
    public let database: Int
    public let key: [UInt8]

    public init(database: Int = 0, key: [UInt8]) {
        self.database = database
        self.key = key
    }

    public init(database: Int = 0, _ key: String) { self.init(database: database, key: Array(key.utf8)) }

    public enum Malformed: Error, Equatable, CustomStringConvertible {
        case tooManyEquals(String)
        case badDatabase(String)

        public var description: String {
            switch self {
            case .tooManyEquals(let text): "key list: \(text): want key or dbN=key; write = within a key as %3D"
            case .badDatabase(let text): "key list: \(text): want dbN with a number from 0"
            }
        }
    }

    /// Reads `db3=sessions:*,user:1`, redis_exporter's way to name keys: without a database it is the first, and keys are
    /// URL-escaped. Empty entries are skipped.
    public static func list(_ text: String) throws(Malformed) -> [DatabaseKey] {
        var keys: [DatabaseKey] = []
        for entry in text.split(separator: ",") {
            let parts = entry.split(separator: "=", omittingEmptySubsequences: false).map(trimmed)
            switch parts.count {
            case 1 where !parts[0].isEmpty: keys.append(DatabaseKey(key: unescaped(parts[0])))
            case 1: continue
            case 2 where parts[0].isEmpty || parts[1].isEmpty: continue
            case 2:
                let number = parts[0].hasPrefix("db") ? parts[0].dropFirst(2) : parts[0]
                guard let database = Int(number), database >= 0 else { throw .badDatabase(String(entry)) }
                keys.append(DatabaseKey(database: database, key: unescaped(parts[1])))
            default: throw .tooManyEquals(String(entry))
            }
        }
        return keys
    }

    /// Whether SCAN must find the keys: the characters are those that redis_exporter looks for.
    var isPattern: Bool { key.contains { Array("?*[]^".utf8).contains($0) } }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return text
    }

    /// `%2C` is a comma and `+` a space.
    private static func unescaped(_ text: Substring) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        while let byte = rest.popFirst() {
            let digits = rest.prefix(2)
            if byte == UInt8(ascii: "%"), digits.count == 2, let code = UInt8(Substring(digits), radix: 16) {
                bytes.append(code)
                rest.removeFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return bytes
    }
}
