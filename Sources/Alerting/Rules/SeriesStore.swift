import Metrics
import PromQL

/// Where rules find the series they ask for and leave those they make.
public protocol SeriesStore: SeriesSource {
    /// Adds samples in the order given. A sample that is not newer than its series' newest is left out, as is one that
    /// the store has no room for.
    func append(_ samples: [RuleSample])

    /// Milliseconds since the epoch of the oldest sample that may be there. A query that looks further back sees less
    /// than it asks for.
    var keptSince: Int64 { get }
}

/// A sample that a rule made.
public struct RuleSample: Sendable, Equatable {
    /// With the name as `__name__`.
    public let labels: Labels

    /// Milliseconds since the epoch.
    public let time: Int64

    /// `StaleNaN.value` where the series ends.
    public let value: Double

    public init(labels: Labels, time: Int64, value: Double) {
        self.labels = labels
        self.time = time
        self.value = value
    }
}
