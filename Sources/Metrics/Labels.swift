/// One name and value that tell a series from its siblings.
public struct Label: Sendable, Equatable {
    public let name: String
    public let value: String

    public init(_ name: String, _ value: String) {
        self.name = name
        self.value = value
    }
}

/// A set of labels, sorted by name, that is rendered once and shared by every series that carries it.
///
/// Two sets are equal when their bytes are: unlike `String`, no Unicode normalisation takes part, because Prometheus
/// compares bytes. A label with an empty value is the same as none, so it is left out.
public struct Labels: Sendable, Hashable {
    private let storage: Storage

    private final class Storage: Sendable {
        let pairs: [Label]
        let rendered: [UInt8]
        let hash: Int

        init(sorted pairs: [Label]) {
            self.pairs = pairs
            var text: [UInt8] = []
            for (index, label) in pairs.enumerated() {
                if index > 0 { text.append(UInt8(ascii: ",")) }
                text.append(contentsOf: label.name.utf8)
                text.append(UInt8(ascii: "="))
                text.append(UInt8(ascii: "\""))
                text.appendEscapedLabelValue(label.value)
                text.append(UInt8(ascii: "\""))
            }
            rendered = text
            hash = text.hashValue
        }
    }

    public static let none = Labels(storage: Storage(sorted: []))

    private init(storage: Storage) { self.storage = storage }

    /// Labels in any order; of two with one name the later stays.
    public init(_ pairs: [Label]) {
        var kept: [Label] = []
        kept.reserveCapacity(pairs.count)
        for label in pairs {
            kept.removeAll { $0.name == label.name }
            if !label.value.isEmpty { kept.append(label) }
        }
        kept.sort { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        self.init(sortedUnique: kept)
    }

    public init(_ pairs: KeyValuePairs<String, String>) {
        self.init(pairs.map { Label($0.key, $0.value) })
    }

    /// Labels that are already sorted by the bytes of their names, without duplicates and without empty values.
    public init(sortedUnique pairs: [Label]) {
        self.init(storage: pairs.isEmpty ? Labels.none.storage : Storage(sorted: pairs))
    }

    public var pairs: [Label] { storage.pairs }
    public var isEmpty: Bool { storage.pairs.isEmpty }

    /// `name="value",…` with the values escaped, as it stands between the braces of an exposition.
    public var rendered: [UInt8] { storage.rendered }

    public subscript(name: String) -> String? {
        for label in storage.pairs where label.name == name { return label.value }
        return nil
    }

    /// These labels and `others`, which win where both have a name.
    public func adding(_ others: [Label]) -> Labels {
        others.isEmpty ? self : Labels(pairs + others)
    }

    public func removing(_ name: String) -> Labels {
        self[name] == nil ? self : Labels(sortedUnique: pairs.filter { $0.name != name })
    }

    /// Whether both are one object, not only equal: what a cache that lives for the object asks, in a nanosecond.
    public func isSame(as other: Labels) -> Bool { storage === other.storage }

    public static func == (left: Labels, right: Labels) -> Bool {
        left.storage === right.storage
            || (left.storage.hash == right.storage.hash && left.storage.rendered == right.storage.rendered)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(storage.hash) }
}

extension Labels: CustomStringConvertible {
    public var description: String { "{" + String(decoding: rendered, as: UTF8.self) + "}" }
}

extension Array where Element == UInt8 {
    /// Appends a label's value with `\`, `"` and line feed escaped, as both text formats ask.
    mutating func appendEscapedLabelValue(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): append(contentsOf: [byte, byte])
            case UInt8(ascii: "\""): append(contentsOf: [UInt8(ascii: "\\"), byte])
            case UInt8(ascii: "\n"): append(contentsOf: [UInt8(ascii: "\\"), UInt8(ascii: "n")])
            default: append(byte)
            }
        }
    }
}
