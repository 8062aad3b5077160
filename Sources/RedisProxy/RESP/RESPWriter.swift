import Runtime

/// Which protocol a connection speaks: `HELLO` chooses.
public enum RESPVersion: Int, Sendable, Hashable {
    case two = 2
    case three = 3
}

/// Commands and replies in the form in which they go over the wire.
extension Array where Element == UInt8 {
    /// `*count`, followed by that many values; also the head of a command.
    public mutating func append(arrayOf count: Int) { append(head: UInt8(ascii: "*"), count) }

    /// A map of `count` pairs: in RESP2 an array of keys and values in turn.
    public mutating func append(mapOf count: Int, _ version: RESPVersion) {
        if version == .three { append(head: UInt8(ascii: "%"), count) } else { append(arrayOf: count * 2) }
    }

    /// `$length`, and the bytes.
    public mutating func append(bulk bytes: Span<UInt8>) {
        append(head: UInt8(ascii: "$"), bytes.count)
        append(bytes: bytes)
        appendLineEnd()
    }

    public mutating func append(bulk text: String) {
        append(head: UInt8(ascii: "$"), text.utf8.count)
        append(contentsOf: text.utf8)
        appendLineEnd()
    }

    public mutating func append(integer value: Int) { append(head: UInt8(ascii: ":"), value) }

    /// `+text`, which must have no line end.
    public mutating func append(status text: String) {
        append(UInt8(ascii: "+"))
        append(contentsOf: text.utf8)
        appendLineEnd()
    }

    /// `-text`, which begins with the code, such as `ERR`. As in Redis, a line end inside becomes a blank.
    public mutating func append(error text: String) {
        append(UInt8(ascii: "-"))
        for byte in text.utf8 { append(byte == 13 || byte == 10 ? UInt8(ascii: " ") : byte) }
        appendLineEnd()
    }

    /// No value: `$-1` in RESP2.
    public mutating func append(nullIn version: RESPVersion) {
        append(contentsOf: (version == .three ? "_\r\n" : "$-1\r\n").utf8)
    }

    /// No array: `*-1` in RESP2.
    public mutating func append(nullArrayIn version: RESPVersion) {
        append(contentsOf: (version == .three ? "_\r\n" : "*-1\r\n").utf8)
    }

    private mutating func append(head type: UInt8, _ value: Int) {
        append(type)
        // Most lengths and counts have one digit or two.
        if value >= 0, value < 10 {
            append(48 + UInt8(truncatingIfNeeded: value))
        } else if value >= 10, value < 100 {
            append(48 + UInt8(truncatingIfNeeded: value / 10))
            append(48 + UInt8(truncatingIfNeeded: value % 10))
        } else {
            append(decimal: value)
        }
        appendLineEnd()
    }

    private mutating func appendLineEnd() {
        append(13)
        append(10)
    }
}
