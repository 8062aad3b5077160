import PromQL

/// How far back some rule reads a metric.
public struct HistoryRequirement: Sendable, Equatable {
    /// Nil for every metric: a selector that names none.
    public let metric: String?

    /// Milliseconds before the time of evaluation, an instant selector's lookback included.
    public let reach: Int64
}

extension Sequence where Element == Rule {
    /// What these rules need, one for each metric, sorted by name.
    public func historyRequirements(lookback: Int64, queryOffset: Int64 = 0) -> [HistoryRequirement] {
        flatMap(\.query.expression.reads).historyRequirements(lookback: lookback, queryOffset: queryOffset)
    }
}

extension Sequence where Element == SeriesRead {
    /// What these selectors need, one for each metric, sorted by name.
    func historyRequirements(lookback: Int64, queryOffset: Int64 = 0) -> [HistoryRequirement] {
        var reach: [String?: Int64] = [:]
        for read in self {
            // A range begins where its brackets say; an instant selector looks back on top of its offset.
            let needed = read.reach + (read.window == nil ? lookback : 0) + queryOffset
            reach[read.metricName] = Swift.max(reach[read.metricName] ?? 0, needed)
        }
        return reach.map { HistoryRequirement(metric: $0.key, reach: $0.value) }
            .sorted { ($0.metric ?? "") < ($1.metric ?? "") }
    }
}
