import Glibc

extension Array where Element == UInt8 {
    /// Appends borrowed bytes in one copy.
    @inlinable public mutating func append(bytes: Span<UInt8>) {
        bytes.withUnsafeBufferPointer { append(contentsOf: $0) }
    }
}

extension Span where Element == UInt8 {
    /// Eight bytes from a place on, the first the lowest. The compiler makes one load of it.
    @inlinable @inline(__always)
    public func word(at start: Int) -> UInt64 {
        let eight = extracting(start..<start + 8)
        var word: UInt64 = 0
        for index in 0..<8 { word |= UInt64(eight[index]) << UInt64(8 * index) }
        return word
    }

    /// Whether both hold the same bytes, compared by `memcmp`.
    @inlinable public func hasSameBytes(as other: Span<UInt8>) -> Bool {
        guard count == other.count else { return false }
        return withUnsafeBufferPointer { ours in
            other.withUnsafeBufferPointer { theirs in
                // Both pointers are nil only for empty spans.
                guard let ours = ours.baseAddress, let theirs = theirs.baseAddress else { return true }
                return memcmp(ours, theirs, count) == 0
            }
        }
    }
}
