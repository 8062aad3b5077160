import Runtime

/// The hash of a key: eight bytes a step, each folded in by a 64 × 64 bit multiplication.
///
/// Not cryptographic. The seed differs from process to process, so that nobody outside can aim at one bucket.
enum KeyHash {
    private static let odd: UInt64 = 0x9E37_79B9_7F4A_7C15
    private static let stir: UInt64 = 0xD6E8_FEB8_6659_FD93

    static func hash(_ key: Span<UInt8>, seed: UInt64) -> UInt64 {
        var state = seed ^ UInt64(truncatingIfNeeded: key.count) &* odd
        var position = 0
        while key.count - position > 8 {
            state = fold(state ^ key.word(at: position), odd)
            position += 8
        }
        let last = key.count >= 8 ? key.word(at: key.count - 8) : shortWord(key)
        return fold(fold(state ^ last, stir), odd)
    }

    /// A whole number instead of a key, for tags of tags and for tests.
    static func hash(_ number: UInt64, seed: UInt64) -> UInt64 { fold(fold(number ^ seed, stir), odd) }

    @inline(__always)
    private static func fold(_ value: UInt64, _ factor: UInt64) -> UInt64 {
        let (high, low) = (value ^ factor).multipliedFullWidth(by: factor)
        return high ^ low ^ value
    }

    @inline(__always)
    private static func shortWord(_ key: Span<UInt8>) -> UInt64 {
        var word: UInt64 = 0
        for index in 0..<key.count { word = word << 8 | UInt64(key[index]) }
        return word
    }
}
