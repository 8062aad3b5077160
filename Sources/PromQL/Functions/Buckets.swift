/// A classic histogram: how many observations were at most each upper bound.
struct Buckets {
    struct Bucket {
        let upperBound: Double
        var count: Double
    }

    private var buckets: [Bucket] = []

    /// Whether counts had to be raised because a higher bound counted less than a lower one.
    private(set) var wasForcedMonotonic = false

    var isEmpty: Bool { buckets.isEmpty }

    mutating func add(upperBound: Double, count: Double) {
        buckets.append(Bucket(upperBound: upperBound, count: count))
    }

    /// The value below which the share `quantile` of the observations lies, supposing they spread evenly within each
    /// bucket and that none is negative if the lowest bound is positive.
    ///
    /// NaN without observations, without a bucket for everything, or with no other. In the last bucket the answer is
    /// its lower bound.
    mutating func quantile(_ quantile: Double) -> Double {
        if quantile.isNaN { return .nan }
        if quantile < 0 { return -.infinity }
        if quantile > 1 { return .infinity }
        guard sortAndMerge() else { return .nan }
        forceMonotonic()
        guard buckets.count > 1, let observations = buckets.last?.count, observations != 0 else { return .nan }
        var rank = quantile * observations
        let index = buckets.dropLast().firstIndex { $0.count >= rank } ?? buckets.count - 1
        if index == buckets.count - 1 { return buckets[buckets.count - 2].upperBound }
        if index == 0, buckets[0].upperBound <= 0 { return buckets[0].upperBound }
        var start = 0.0
        let end = buckets[index].upperBound
        var count = buckets[index].count
        if index > 0 {
            start = buckets[index - 1].upperBound
            count -= buckets[index - 1].count
            rank -= buckets[index - 1].count
        }
        return start + (end - start) * (rank / count)
    }

    /// The share of the observations between two values, under the same suppositions.
    mutating func fraction(from lower: Double, to upper: Double) -> Double {
        guard sortAndMerge(), let observations = buckets.last?.count, observations != 0, !lower.isNaN, !upper.isNaN
        else { return .nan }
        guard lower < upper else { return 0 }
        return (rank(of: upper, observations) - rank(of: lower, observations)) / observations
    }

    /// How many observations lie below `value`.
    private func rank(of value: Double, _ observations: Double) -> Double {
        var before = 0.0
        var start = -Double.infinity
        if buckets[0].upperBound > 0 { start = 0 }
        for bucket in buckets {
            if start >= value { return min(before, observations) }
            if bucket.upperBound > value {
                // What lies where in a bucket without a lower end, nobody knows: all of it counts as below.
                if start == -.infinity { return min(bucket.count, observations) }
                let share = (bucket.count - before) * (value - start) / (bucket.upperBound - start)
                return min(before + share, observations)
            }
            before = bucket.count
            start = bucket.upperBound
        }
        return observations
    }

    /// False if the highest bound is not infinity. Buckets with one bound are added up.
    private mutating func sortAndMerge() -> Bool {
        buckets.sort { $0.upperBound < $1.upperBound }
        guard buckets.last?.upperBound == .infinity else { return false }
        var merged: [Bucket] = []
        merged.reserveCapacity(buckets.count)
        for bucket in buckets {
            if let last = merged.last, last.upperBound == bucket.upperBound {
                merged[merged.count - 1].count += bucket.count
            } else {
                merged.append(bucket)
            }
        }
        buckets = merged
        return true
    }

    /// Raises each count to the one before; differences that only rounding made are evened out without a word.
    private mutating func forceMonotonic() {
        var previous = buckets[0].count
        for index in buckets.indices.dropFirst() {
            let count = buckets[index].count
            if count == previous { continue }
            if almostEqual(previous, count, tolerance: 1e-12) {
                buckets[index].count = previous
            } else if count < previous {
                buckets[index].count = previous
                wasForcedMonotonic = true
            } else {
                previous = count
            }
        }
    }
}

/// Whether two numbers differ by at most a share of their size.
func almostEqual(_ left: Double, _ right: Double, tolerance: Double) -> Bool {
    if left.isStale || right.isStale { return left.isStale && right.isStale }
    if left.isNaN && right.isNaN || left == right { return true }
    let size = left.magnitude + right.magnitude
    let difference = (left - right).magnitude
    let smallest = Double.leastNormalMagnitude
    if left == 0 || right == 0 || size < smallest { return difference < tolerance * smallest }
    return difference / min(size, .greatestFiniteMagnitude) < tolerance
}
