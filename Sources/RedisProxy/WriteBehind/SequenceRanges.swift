/// A set of sequence numbers, most of which follow one another: ranges in rising order that do not touch.
struct SequenceRanges: Equatable, Sendable {
    private(set) var ranges: [ClosedRange<UInt64>] = []

    var isEmpty: Bool { ranges.isEmpty }

    init() {}

    init(_ ranges: [ClosedRange<UInt64>]) {
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) { insert(range) }
    }

    mutating func insert(_ sequence: UInt64) { insert(sequence...sequence) }

    /// Costs little at the end, where most go.
    mutating func insert(_ range: ClosedRange<UInt64>) {
        var end = ranges.count
        while end > 0, ranges[end - 1].lowerBound > range.upperBound &+ 1 { end -= 1 }
        var start = end
        var merged = range
        while start > 0, ranges[start - 1].upperBound &+ 1 >= range.lowerBound {
            start -= 1
            merged =
                min(merged.lowerBound, ranges[start].lowerBound)...max(merged.upperBound, ranges[start].upperBound)
        }
        ranges.replaceSubrange(start..<end, with: [merged])
    }

    mutating func formUnion(_ other: SequenceRanges) { for range in other.ranges { insert(range) } }

    func contains(_ sequence: UInt64) -> Bool {
        var (low, high) = (0, ranges.count)
        while low < high {
            let middle = (low + high) / 2
            if ranges[middle].upperBound < sequence { low = middle + 1 } else { high = middle }
        }
        return low < ranges.count && ranges[low].contains(sequence)
    }
}
