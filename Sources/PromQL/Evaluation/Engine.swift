/// The settings every query of a process shares.
public struct Engine: Sendable {
    /// How far back an instant selector looks for its newest sample.
    public var lookback: Duration = .seconds(300)

    /// The step of subqueries that name none.
    public var defaultSubqueryStep: Duration = .seconds(60)

    /// Samples one query may read and make; each step of a subquery counts too. A sample takes some 20 bytes.
    public var sampleLimit = 5_000_000

    /// Samples that all queries with this budget may have read and made at once; nil for no bound but each one's own.
    public var budget: SampleBudget?

    /// Whether nobody waits for the answer any more; looked at as often as the time is.
    public var isAbandoned: (@Sendable () -> Bool)?

    /// A quarter of Prometheus' own: what is asked here is a few hours of a few thousand series.
    public var timeout: Duration = .seconds(30)

    /// Keeps `__name__` until the end of the query instead of dropping it where it stops to fit. Prometheus has this
    /// behind a feature flag.
    public var delaysNameRemoval = false

    /// Lets no window of a function reach back before the source began, so that a rate over five minutes is right a minute
    /// after a start and does not climb for five. Prometheus, and every rule, takes the window as it is written.
    public var fitsWindows = false

    public init() {}

    /// Evaluates `query` at one time, in milliseconds since the epoch.
    public func instant(_ query: Query, at time: Int64, source: any SeriesSource) throws(PromQLError) -> Answer {
        try PreparedQuery(query, engine: self).instant(at: time, source: source)
    }

    /// Evaluates `query` at `start`, `start` + `step` and so on up to `end`, in milliseconds since the epoch.
    ///
    /// The query has to be a scalar or an instant vector, and the step positive.
    public func range(_ query: Query, from start: Int64, to end: Int64, step: Int64, source: any SeriesSource)
        throws(PromQLError) -> Answer
    {
        try PreparedQuery(query, engine: self).range(from: start, to: end, step: step, source: source)
    }
}

extension Duration {
    var milliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}
