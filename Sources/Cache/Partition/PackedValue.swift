import Runtime

/// A compressed value: its length, in four bytes, and what zlib made of it. Only the local level holds such values.
enum PackedValue {
    private static let lengthBytes = 4
    /// Compression pays when it saves a quarter: reading such a value costs some nanoseconds a byte.
    private static let mostOfOriginal = (numerator: 3, denominator: 4)
    /// What a value promises is tried on its beginning.
    private static let sampleBytes = 4096

    /// - Returns: nil when it does not pay.
    static func pack(_ value: Span<UInt8>) -> [UInt8]? {
        guard value.count < UInt32.max else { return nil }
        if value.count > 4 * sampleBytes, compress(value.extracting(0..<sampleBytes)) == nil { return nil }
        guard let compressed = compress(value) else { return nil }
        var packed: [UInt8] = []
        packed.reserveCapacity(lengthBytes + compressed.count)
        packed.append(word: UInt32(value.count))
        packed.append(contentsOf: compressed)
        return packed
    }

    private static func compress(_ bytes: Span<UInt8>) -> [UInt8]? {
        let limit = bytes.count * mostOfOriginal.numerator / mostOfOriginal.denominator - lengthBytes
        return Deflate.compress(bytes, limit: limit)
    }

    /// Replaces the packed bytes at the end of `output` by what they stand for.
    ///
    /// - Returns: false, with nothing left of them, when they are damaged, which only a fault of ours can cause.
    static func unpack(_ output: inout [UInt8], from start: Int) -> Bool {
        let packed = Array(output[start...])
        output.removeLast(packed.count)
        guard packed.count > lengthBytes else { return false }
        let compressed = packed.span.extracting(lengthBytes..<packed.count)
        return Deflate.expand(compressed, length: Int(packed.word(at: 0)), into: &output)
    }
}
