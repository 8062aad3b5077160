/// A sum that remembers what rounding took from it (Neumaier's form of Kahan's summation).
struct KahanSum {
    private(set) var sum = 0.0
    private(set) var lost = 0.0

    init(_ first: Double = 0) { sum = first }

    mutating func add(_ value: Double) {
        let next = sum + value
        if next.isInfinite {
            lost = 0
        } else if sum.magnitude >= value.magnitude {
            lost += (sum - next) + value
        } else {
            lost += (value - next) + sum
        }
        sum = next
    }

    mutating func scale(by factor: Double) {
        sum *= factor
        lost *= factor
    }

    var total: Double { sum.isInfinite ? sum : sum + lost }
}

/// A mean that stays exact as long as the sum is finite, and moves from mean to mean once it would overflow.
struct KahanMean {
    private var sum: KahanSum
    private var count = 1.0
    private var isIncremental = false

    init(_ first: Double) { sum = KahanSum(first) }

    mutating func add(_ value: Double) {
        count += 1
        if !isIncremental {
            var next = sum
            next.add(value)
            if !next.sum.isInfinite {
                sum = next
                return
            }
            isIncremental = true
            sum.scale(by: 1 / (count - 1))
        }
        sum.scale(by: (count - 1) / count)
        sum.add(value / count)
    }

    var mean: Double { isIncremental ? sum.sum + sum.lost : sum.sum / count + sum.lost / count }
}

/// A variance in one pass (Welford's), with both running values summed as Kahan does.
struct KahanVariance {
    private var count = 0.0
    private var mean = KahanSum()
    private var squares = KahanSum()

    mutating func add(_ value: Double) {
        count += 1
        let delta = value - (mean.sum + mean.lost)
        mean.add(delta / count)
        squares.add(delta * (value - (mean.sum + mean.lost)))
    }

    var variance: Double { (squares.sum + squares.lost) / count }
}
