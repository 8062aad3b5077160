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
///
/// Whoever reads looks at the next 64 bits at once, takes apart what he finds there, and says how many he used.
struct BitReader {
    private var word: Int
    private let end: Int
    /// Bits of that word that were read.
    private var offset = 0

    /// - Parameter range: the words to read.
    init(_ range: Range<Int>) {
        word = range.lowerBound
        end = range.upperBound
    }

    /// The next 64 bits, the first of them highest.
    @inline(__always)
    func peek(_ words: Span<UInt64>) -> UInt64 {
        guard word < end else { return 0 }
        let high = words[word] &<< UInt64(offset)
        guard offset > 0, word + 1 < end else { return high }
        return high | words[word + 1] &>> UInt64(64 - offset)
    }

    /// Passes over bits, 64 at most.
    @inline(__always)
    mutating func skip(_ count: Int) {
        offset &+= count
        word &+= offset >> 6
        offset &= 63
    }

    /// Reads a number of 1 to 64 bits.
    @inline(__always)
    mutating func read(_ width: Int, _ words: Span<UInt64>) -> UInt64 {
        let bits = peek(words) &>> UInt64(64 &- width)
        skip(width)
        return bits
    }
}

extension UInt64 {
    /// How many of the highest bits are 1.
    @inline(__always)
    var leadingOnes: Int { (~self).leadingZeroBitCount }
}

extension Array {
    /// Appends and lets the capacity grow by an eighth, not to the double: thousands of these arrays live for hours.
    mutating func appendSparingly(_ element: Element) {
        if count == capacity { reserveCapacity(count + Swift.max(2, count / 8)) }
        append(element)
    }
}
