import Metrics
import PromQL

/// The registry's history as rules and queries see it.
public struct HistoryStore: SeriesStore {
    private let history: History

    public init(_ history: History) { self.history = history }

    public func select(_ selection: Selection) -> [any StoredSeries] {
        let name = selection.matchers.first { $0.name == "__name__" && $0.operation == .equal }?.value
        let matchers = selection.matchers
        return history.series(
            named: name, where: { labels in matchers.allSatisfy { $0.matches(labels[$0.name] ?? "") } },
            from: selection.after + 1, through: selection.through)
    }

    public func append(_ samples: [RuleSample]) {
        // A rule writes one evaluation's samples at a time, which have one time but for late markers of staleness.
        var start = samples.startIndex
        while start < samples.endIndex {
            let time = samples[start].time
            let end = samples[start...].firstIndex { $0.time != time } ?? samples.endIndex
            history.append(recorded: samples[start..<end].map { ($0.labels, $0.value) }, at: time)
            start = end
        }
    }

    public var keptSince: Int64 { history.oldestSample(named: "up") ?? .max }
}

extension HistorySeries: StoredSeries {
    public func newest(after: Int64, through: Int64) -> Point? {
        let found: (time: Int64, value: Double)? = newest(after: after, through: through)
        return found.map { Point(time: $0.time, value: $0.value) }
    }

    public func read(after: Int64, through: Int64, into points: inout ContiguousArray<Point>) {
        forEach(after: after, through: through) { points.append(Point(time: $0, value: $1)) }
    }
}
