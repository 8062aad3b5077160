import Metrics
import PromQL
import Runtime

/// The registry's history as rules and queries see it.
public struct HistoryStore: SeriesStore {
    private let history: History

    /// When the history began, the part of it that outlived a restart included, which reaches as far back as the metric
    /// that is kept longest. That memory became too short later is for the history to tell.
    public var keptSince: Int64 { begun + history.moved }

    /// When it began, on a clock that was never set.
    private let begun: Int64

    /// - Parameter now: milliseconds since the epoch; where a history without samples begins.
    public init(_ history: History, now: Int64 = SteadyTime.shared.now) {
        self.history = history
        begun = (history.oldestSample() ?? now) - history.moved
    }

    public var began: Int64? { keptSince }

    public func select(_ selection: Selection) -> [any StoredSeries] {
        let name = selection.matchers.first { $0.name == "__name__" && $0.operation == .equal }?.value
        return history.series(
            named: name, where: { selection.matches($0) },
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
