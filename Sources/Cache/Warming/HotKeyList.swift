import Runtime

/// The keys that were asked for most when the list was made, the hottest first: what to fetch first after a start.
///
/// As text it has a line for each key: the name of its class, a space, and the key, with bytes that are not letters,
/// digits or one of `-_.:/` written as `%` and two hexadecimal digits.
public struct HotKeyList: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        public let className: String
        public let key: [UInt8]

        public init(className: String, key: [UInt8]) {
            self.className = className
            self.key = key
        }
    }

    public let entries: [Entry]

    public init(_ entries: [Entry]) { self.entries = entries }

    public init(of cache: LocalCache, limit: Int, nowMs: Int) {
        self.init(
            cache.hotKeys(limit: limit, nowMs: nowMs).map { hot in
                Entry(className: cache.classes[hot.cacheClass.index].name, key: hot.key)
            })
    }

    /// Nil when a line is none of ours.
    public init?(encoded bytes: [UInt8]) {
        var entries: [Entry] = []
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            let parts = line.split(separator: UInt8(ascii: " "), maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let name = HotKeyList.decode(parts[0]), let key = HotKeyList.decode(parts[1]) else {
                return nil
            }
            entries.append(Entry(className: String(decoding: name, as: UTF8.self), key: key))
        }
        self.init(entries)
    }

    public var encoded: [UInt8] {
        var bytes: [UInt8] = []
        for entry in entries {
            HotKeyList.append(entry.className.utf8, to: &bytes)
            bytes.append(UInt8(ascii: " "))
            HotKeyList.append(entry.key, to: &bytes)
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes
    }

    /// The list saved last; empty when there is none, or none that can be read, which is logged.
    public static func load(_ file: StateFile) throws(FileError) -> HotKeyList {
        guard let bytes = try file.read() else { return HotKeyList([]) }
        guard let list = HotKeyList(encoded: bytes) else {
            Log.warn("list of hot keys is damaged and was ignored", ["path": file.path])
            return HotKeyList([])
        }
        return list
    }

    public func save(_ file: StateFile) throws(FileError) { try file.write(encoded) }

    private static let digits = Array("0123456789ABCDEF".utf8)

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "-")...UInt8(ascii: ":"), UInt8(ascii: "_"): true
        default: false
        }
    }

    private static func append(_ text: some Sequence<UInt8>, to bytes: inout [UInt8]) {
        for byte in text {
            if isPlain(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
    }

    private static func decode(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var rest = text
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst().flatMap(digits.firstIndex),
                let low = rest.popFirst().flatMap(digits.firstIndex)
            else { return nil }
            bytes.append(UInt8(high << 4 | low))
        }
        return bytes
    }
}
