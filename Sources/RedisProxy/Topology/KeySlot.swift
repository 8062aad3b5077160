import Runtime

/// The hash slot of a key: CRC16 of the key, or of its hash tag, modulo 16384 (Redis Cluster Specification, "Key
/// distribution model" and "Hash tags"). One table look-up a byte.
public enum KeySlot {
    public static let count = 16384

    /// Always less than `count`.
    public static func of(_ key: Span<UInt8>) -> UInt16 {
        crc16(key, hashed(key)) & UInt16(count - 1)
    }

    public static func of(_ key: String) -> UInt16 { of(Array(key.utf8).span) }

    /// What stands between the first `{` and the first `}` after it, unless that is nothing; else the whole key.
    private static func hashed(_ key: Span<UInt8>) -> Range<Int> {
        let opening = key.firstPlace(of: UInt8(ascii: "{"), in: 0..<key.count)
        guard opening < key.count else { return 0..<key.count }
        let closing = key.firstPlace(of: UInt8(ascii: "}"), in: opening + 1..<key.count)
        return closing < key.count && closing > opening + 1 ? opening + 1..<closing : 0..<key.count
    }

    /// CRC-16/XMODEM: polynomial 0x1021, most significant bit first, starts with zero.
    static func crc16(_ bytes: Span<UInt8>, _ range: Range<Int>) -> UInt16 {
        let table = table
        var crc: UInt16 = 0
        for index in range { crc = crc << 8 ^ table[Int(UInt8(crc >> 8) ^ bytes[index])] }
        return crc
    }

    private static let table: [UInt16] = (0..<256).map { byte in
        var crc = UInt16(byte) << 8
        for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        return crc
    }
}
