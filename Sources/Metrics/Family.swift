import Runtime

/// One number of one series.
public struct Sample: Sendable {
    /// Which of a family's series this is: a histogram has three kinds, everything else one.
    public enum Part: UInt8, Sendable {
        case value, bucket, sum, count
    }

    public let labels: Labels
    public let value: Double
    public let part: Part

    public init(_ labels: Labels, _ value: Double, _ part: Part = .value) {
        self.labels = labels
        self.value = value
        self.part = part
    }
}

/// A metric and what was read for it: the samples of one collector, in the order in which they are served.
public struct Family: Sendable {
    public let metric: Metric
    public var samples: [Sample]

    public init(_ metric: Metric, _ samples: [Sample] = []) {
        self.metric = metric
        self.samples = samples
    }

    public init(_ metric: Metric, _ value: Double, _ labels: Labels = .none) {
        self.init(metric, [Sample(labels, value)])
    }
}

extension Family {
    /// Appends the series of one histogram: cumulative buckets, `+Inf`, sum and count.
    ///
    /// - Parameters:
    ///   - bounds: upper bounds in rising order, without `+Inf`, with their bytes as they stand in the label.
    ///   - counts: how many observations fell into each bucket, one more than there are bounds.
    public mutating func addHistogram(_ labels: Labels, bounds: [HistogramBound], counts: [UInt64], sum: Double) {
        precondition(counts.count == bounds.count + 1)
        var cumulative: UInt64 = 0
        for (bound, count) in zip(bounds, counts) {
            cumulative += count
            samples.append(Sample(labels.adding([Label("le", bound.text)]), Double(cumulative), .bucket))
        }
        cumulative += counts[bounds.count]
        samples.append(Sample(labels.adding([Label("le", "+Inf")]), Double(cumulative), .bucket))
        samples.append(Sample(labels, sum, .sum))
        samples.append(Sample(labels, Double(cumulative), .count))
    }
}

/// The upper edge of a histogram's bucket and how its `le` label writes it.
public struct HistogramBound: Sendable {
    public let value: Double
    public let text: String

    public init(_ value: Double) {
        self.value = value
        var bytes: [UInt8] = []
        bytes.append(shortest: value)
        text = String(decoding: bytes, as: UTF8.self)
    }
}
