import Glibc

/// Looking for bytes and comparing them with the C library's vector instructions, which a loop over a span does not get.
extension Span where Element == UInt8 {
    /// The first place of `byte` in `range`; the range's end when it is not there.
    public func firstPlace(of byte: UInt8, in range: Range<Int>) -> Int {
        withUnsafeBufferPointer { buffer in
            let part = buffer[range]
            guard let start = UnsafeBufferPointer(rebasing: part).baseAddress,
                let found = memchr(start, Int32(byte), part.count)
            else { return range.upperBound }
            return range.lowerBound + (UnsafeRawPointer(found) - UnsafeRawPointer(start))
        }
    }

    /// Whether the bytes of `range` stand in `other` from `place` on. False where either is too short.
    public func holds(_ range: Range<Int>, equalTo other: [UInt8], at place: Int) -> Bool {
        guard place >= 0, place + range.count <= other.count else { return false }
        return withUnsafeBufferPointer { buffer in
            let part = UnsafeBufferPointer(rebasing: buffer[range])
            guard let start = part.baseAddress, !part.isEmpty else { return true }
            return other.withUnsafeBufferPointer { memcmp(start, $0.baseAddress! + place, part.count) == 0 }
        }
    }

    /// Mixes the bytes of `range` into a hash for tables in memory: eight at a time, each multiplied to 128 bits and
    /// folded (wyhash's step, Wang Yi, 2019). Whoever fears chosen collisions begins with a secret seed.
    public func hash(_ range: Range<Int>, into hash: UInt64) -> UInt64 {
        withUnsafeBufferPointer { buffer in
            let part = UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: buffer[range]))
            var hash = hash ^ UInt64(part.count) &* 0x9E37_79B9_7F4A_7C15
            var place = 0
            while place + 8 <= part.count {
                hash = Self.fold(hash ^ part.loadUnaligned(fromByteOffset: place, as: UInt64.self))
                place += 8
            }
            if place < part.count {
                var rest: UInt64 = 0
                for index in place..<part.count { rest = rest << 8 | UInt64(part[index]) }
                hash = Self.fold(hash ^ rest)
            }
            return hash
        }
    }

    private static func fold(_ value: UInt64) -> UInt64 {
        let product = (value ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        return product.high ^ product.low
    }
}
