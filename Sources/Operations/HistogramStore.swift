import Metrics

/// Histograms of many series in three flat arrays, so that an observation touches one small struct and one count.
///
/// Counts are not whole: a sample sent at a rate of 0.3 stands for 3⅓.
struct HistogramStore: Sendable {
    private struct Slot {
        let bounds: Range<Int>
        /// Of the first bucket; one more bucket than bounds.
        let counts: Int
        var sum: Double
        var total: Double
    }

    private var bounds: [Double] = []
    private var boundSets: [[Double]: Range<Int>] = [:]
    private var counts: [Double] = []
    private var slots: [Slot] = []

    mutating func add(bounds set: [Double]) -> Int {
        let range: Range<Int>
        if let known = boundSets[set] {
            range = known
        } else {
            range = bounds.count..<bounds.count + set.count
            bounds += set
            boundSets[set] = range
        }
        slots.append(Slot(bounds: range, counts: counts.count, sum: 0, total: 0))
        counts.append(contentsOf: repeatElement(0, count: set.count + 1))
        return slots.count - 1
    }

    mutating func observe(_ slot: Int, _ value: Double, weight: Double) {
        let range = slots[slot].bounds
        // The first bound that is not below the value, by halving.
        var (low, high) = (range.lowerBound, range.upperBound)
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] < value { low = middle + 1 } else { high = middle }
        }
        counts[slots[slot].counts + low - range.lowerBound] += weight
        slots[slot].sum += value * weight
        slots[slot].total += weight
    }

    mutating func reset(_ slot: Int) {
        slots[slot].sum = 0
        slots[slot].total = 0
        for index in 0...slots[slot].bounds.count { counts[slots[slot].counts + index] = 0 }
    }

    func isEmpty(_ slot: Int) -> Bool { slots[slot].total == 0 }

    /// Appends the series of one histogram. Counts are rounded behind the sum, so that buckets never fall.
    func append(_ slot: Int, _ labels: Labels, _ bounds: BoundTexts, to family: inout Family) {
        let slot = slots[slot]
        var cumulative = 0.0
        for index in 0..<slot.bounds.count {
            cumulative += counts[slot.counts + index]
            let text = bounds.text(self.bounds[slot.bounds.lowerBound + index])
            family.samples.append(Sample(labels.adding([Label("le", text)]), cumulative.rounded(), .bucket))
        }
        cumulative += counts[slot.counts + slot.bounds.count]
        family.samples.append(Sample(labels.adding([Label("le", "+Inf")]), cumulative.rounded(), .bucket))
        family.samples.append(Sample(labels, slot.sum, .sum))
        family.samples.append(Sample(labels, cumulative.rounded(), .count))
    }
}

/// How `le` writes each bound, rendered once a collection.
final class BoundTexts {
    private var known: [Double: String] = [:]

    func text(_ bound: Double) -> String {
        if let text = known[bound] { return text }
        let text = HistogramBound(bound).text
        known[bound] = text
        return text
    }
}
