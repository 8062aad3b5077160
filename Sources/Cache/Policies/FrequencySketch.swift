/// How often hashes were seen lately, about: a count-min sketch of counters that go to 15, halved from time to time.
///
/// A hash has four counters in one row of 64, so a look costs one line of memory. The smallest of the four is the
/// estimate, and only the smallest are raised. 16 to 32 bytes for each entry. Reference: G. Einziger, R. Friedman,
/// B. Manes, "TinyLFU: a highly efficient cache admission policy", ACM ToS 2017.
struct FrequencySketch {
    private static let wordsPerRow = 4
    private static let halved: UInt64 = 0x7777_7777_7777_7777
    private static let initialRows = 16

    /// 16 counters of four bits each.
    private var words: [UInt64]
    private var rowMask: UInt32
    private var additions = 0

    init() {
        words = Array(repeating: 0, count: FrequencySketch.initialRows * FrequencySketch.wordsPerRow)
        rowMask = UInt32(FrequencySketch.initialRows - 1)
    }

    /// Doubling keeps what is known: rows are copied, and a hash finds its counters in either half.
    mutating func reserve(_ entries: Int) {
        while words.count < 2 * entries, words.count < 1 << 26 {
            words += words
            rowMask = rowMask << 1 | 1
        }
    }

    func estimate(_ hash: UInt32) -> Int {
        let (row, places) = place(hash)
        var smallest = 15
        for word in 0..<FrequencySketch.wordsPerRow {
            smallest = min(smallest, Int(words[row + word] >> shift(places, word) & 15))
        }
        return smallest
    }

    /// - Parameter period: additions after which all counters are halved.
    mutating func add(_ hash: UInt32, period: Int) {
        let smallest = estimate(hash)
        if smallest < 15 {
            let (row, places) = place(hash)
            for word in 0..<FrequencySketch.wordsPerRow {
                let shift = shift(places, word)
                if words[row + word] >> shift & 15 == UInt64(smallest) { words[row + word] += 1 << shift }
            }
        }
        additions += 1
        if additions >= period { halve() }
    }

    private mutating func halve() {
        for index in words.indices { words[index] = words[index] >> 1 & FrequencySketch.halved }
        additions /= 2
    }

    @inline(__always)
    private func place(_ hash: UInt32) -> (row: Int, places: UInt32) {
        var mixed = hash &* 0x85EB_CA6B
        mixed ^= mixed >> 15
        let places = mixed &* 0xC2B2_AE35
        return (Int(mixed & rowMask) * FrequencySketch.wordsPerRow, places >> 16 ^ places)
    }

    @inline(__always)
    private func shift(_ places: UInt32, _ word: Int) -> UInt64 {
        UInt64(places >> UInt32(4 * word) & 15) * 4
    }

    var residentBytes: Int { words.count * MemoryLayout<UInt64>.stride }
}
