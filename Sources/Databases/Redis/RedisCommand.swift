import Runtime

/// A command as it goes over the wire, rendered once: make it early, send it often.
public struct RedisCommand: Sendable, Hashable {
    /// The words that name it in messages; arguments, which may be keys or secrets, are not among them.
    public let name: String
    let bytes: [UInt8]

    /// - Parameter name: without one, the first word.
    public init(_ words: String..., name: String? = nil) {
        self.init(words.map { Array($0.utf8) }, name: name ?? words[0])
    }

    /// - Parameter words: the command and its arguments, which may be any bytes.
    public init(_ words: [[UInt8]], name: String) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(words.reduce(16) { $0 + $1.count + 16 })
        bytes.append(UInt8(ascii: "*"))
        bytes.append(decimal: words.count)
        bytes.append(contentsOf: [13, 10])
        for word in words {
            bytes.append(UInt8(ascii: "$"))
            bytes.append(decimal: word.count)
            bytes.append(contentsOf: [13, 10])
            bytes.append(contentsOf: word)
            bytes.append(contentsOf: [13, 10])
        }
        self.name = name
        self.bytes = bytes
    }
}
