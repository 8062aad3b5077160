/// Writes numbers of a few bits one after the other into words, from the highest bit down.
struct BitWriter {
    /// Bits of the last word that are still free. With none, the next bit opens a word.
    private var free = 0

    /// Appends the lowest `count` bits of `value`, 1 to 64 of them. Higher bits must be 0.
    mutating func append(_ value: UInt64, count: Int, to words: inout [UInt64]) {
        if count <= free {
            free -= count
            words[words.count - 1] |= value << UInt64(free)
            return
        }
        let rest = count - free
        if free > 0 { words[words.count - 1] |= value >> UInt64(rest) }
        free = 64 - rest
        words.appendSparingly(value << UInt64(free))
    }

    /// Appends `count` zeros.
    mutating func append(zeros count: Int, to words: inout [UInt64]) {
        var rest = count
        while rest > 0 {
            append(0, count: min(rest, 64), to: &words)
            rest -= min(rest, 64)
        }
    }
}

/// Reads what a `BitWriter` wrote. Behind the end it finds zeros.
struct BitReader {
    private var next: Int
    private let end: Int
    /// The bits that were loaded and not yet read stand highest.
    private var loaded: UInt64 = 0
    private var count = 0

    /// - Parameter range: the words to read.
    init(_ range: Range<Int>) {
        next = range.lowerBound
        end = range.upperBound
    }

    /// The next `width` bits, 1 to 64 of them.
    @inline(__always)
    mutating func read(_ width: Int, from words: Span<UInt64>) -> UInt64 {
        if width < count {
            let bits = loaded &>> UInt64(64 - width)
            loaded &<<= UInt64(width)
            count -= width
            return bits
        }
        return readAcross(width, from: words)
    }

    private mutating func readAcross(_ width: Int, from words: Span<UInt64>) -> UInt64 {
        let missing = width - count
        let high = count == 0 ? 0 : loaded >> UInt64(64 - count)
        loaded = next < end ? words[next] : 0
        next += 1
        count = 64 - missing
        guard missing > 0 else { return high }
        let bits = (high << UInt64(missing)) | (loaded >> UInt64(count))
        loaded <<= UInt64(missing)
        return bits
    }

    @inline(__always)
    mutating func readBit(from words: Span<UInt64>) -> Bool { read(1, from: words) == 1 }

    /// Reads ones up to the first zero, which is read too, or up to `limit` of them.
    @inline(__always)
    mutating func readOnes(atMost limit: Int, from words: Span<UInt64>) -> Int {
        var ones = 0
        while ones < limit, readBit(from: words) { ones += 1 }
        return ones
    }

    /// Reads the zeros that are loaded and next, `limit` at most, and tells how many there were.
    @inline(__always)
    mutating func readLoadedZeros(atMost limit: Int) -> Int {
        let zeros = min(loaded.leadingZeroBitCount, count - 1, limit)
        guard zeros > 0 else { return 0 }
        loaded &<<= UInt64(zeros)
        count -= zeros
        return zeros
    }
}

extension Array {
    /// Appends and lets the capacity grow by an eighth, not to the double: thousands of these arrays live for hours.
    mutating func appendSparingly(_ element: Element) {
        if count == capacity { reserveCapacity(count + Swift.max(2, count / 8)) }
        append(element)
    }
}
