import Metrics

/// One evaluation of a rule, for people who ask why it did what it did.
public struct EvaluationRecord: Sendable, Equatable {
    /// The time it was about and the time it began by the clock, in milliseconds since the epoch.
    public let time: Int64
    public let startedAt: Int64

    /// Seconds.
    public let duration: Double

    /// Samples the query gave.
    public let samples: Int

    /// The first sample's value.
    public let value: Double?

    /// At most `transitionLimit`, of however many there were.
    public let transitions: [AlertTransition]
    public let transitionCount: Int
    public let error: String?

    /// Selectors of the query that match no series at all, as they stand in it.
    public let emptySelectors: [String]

    public static let transitionLimit = 10
}
