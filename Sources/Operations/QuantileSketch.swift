import Glibc
import Metrics

/// Quantiles of what was observed in the window that runs and the one before it, exact to one hundredth of the value.
///
/// Values are counted in buckets whose bounds grow by a factor of 1.02, and a quantile is its bucket's middle (Masson,
/// Rim, Lee, "DDSketch", 2019). Between 1 ns and 10⁹ that is 2,100 buckets at most, of which only those in use cost.
struct QuantileSketch: Sendable {
    private static let growth = log(1.02)
    private static let range = 1e-9...1e9

    private var current: [Int16: Double] = [:]
    private var previous: [Int16: Double] = [:]
    /// Since the beginning, as a summary's `_sum` and `_count` are.
    private var sum = 0.0
    private var total = 0.0
    let quantiles: [Double]

    static let defaultQuantiles = [0.5, 0.9, 0.99]

    init(quantiles: [Double]) { self.quantiles = quantiles }

    mutating func observe(_ value: Double, weight: Double) {
        sum += value * weight
        total += weight
        current[Self.bucket(value), default: 0] += weight
    }

    mutating func rotate() {
        previous = current
        current = [:]
    }

    mutating func reset() { self = QuantileSketch(quantiles: quantiles) }

    /// Not a number when nothing was observed lately.
    func value(at quantile: Double) -> Double {
        let merged = current.merging(previous, uniquingKeysWith: +).sorted { $0.key < $1.key }
        let wanted = quantile * merged.reduce(0) { $0 + $1.value }
        var seen = 0.0
        for (bucket, count) in merged {
            seen += count
            if seen >= wanted { return Self.middle(bucket) }
        }
        return .nan
    }

    func append(_ labels: Labels, to family: inout Family) {
        for quantile in quantiles {
            let text = HistogramBound(quantile).text
            family.samples.append(Sample(labels.adding([Label("quantile", text)]), value(at: quantile)))
        }
        family.samples.append(Sample(labels, sum, .sum))
        family.samples.append(Sample(labels, total.rounded(), .count))
    }

    /// 0 for zero; positive values in rising buckets above it, negative ones in falling buckets below.
    private static func bucket(_ value: Double) -> Int16 {
        guard value != 0 else { return 0 }
        let size = min(max(value.magnitude, range.lowerBound), range.upperBound)
        let place = Int16(((log(size) - log(range.lowerBound)) / growth).rounded(.up)) + 1
        return value > 0 ? place : -place
    }

    private static func middle(_ bucket: Int16) -> Double {
        guard bucket != 0 else { return 0 }
        let size = range.lowerBound * exp((Double(abs(bucket)) - 1.5) * growth)
        return bucket > 0 ? size : -size
    }
}
