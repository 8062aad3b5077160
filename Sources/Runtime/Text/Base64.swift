extension Array where Element == UInt8 {
    /// What RFC 4648 writes with padding. Nil for anything else, blanks and missing padding included.
    public init?(base64 text: some Collection<UInt8>) {
        guard text.count % 4 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3)
        var (bits, held, padding) = (UInt32(0), 0, 0)
        for digit in text {
            let value: UInt32
            switch digit {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(digit - UInt8(ascii: "A"))
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(digit - UInt8(ascii: "a")) + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(digit - UInt8(ascii: "0")) + 52
            case UInt8(ascii: "+"): value = 62
            case UInt8(ascii: "/"): value = 63
            case UInt8(ascii: "="):
                padding += 1
                value = 0
            default: return nil
            }
            guard padding == 0 || digit == UInt8(ascii: "=") else { return nil }
            bits = bits << 6 | value
            held += 1
            guard held == 4 else { continue }
            bytes.append(UInt8(bits >> 16 & 255))
            bytes.append(UInt8(bits >> 8 & 255))
            bytes.append(UInt8(bits & 255))
            (bits, held) = (0, 0)
        }
        guard padding <= 2 else { return nil }
        bytes.removeLast(padding)
        self = bytes
    }
}
