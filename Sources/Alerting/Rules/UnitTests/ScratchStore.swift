import Metrics
import PromQL
import Synchronization

/// Series in memory without any limit, for tests of rules.
public final class ScratchStore: SeriesStore {
    private let byName = Mutex<[String: [Labels: ScratchSeries]]>([:])
    public let keptSince: Int64

    public init(keptSince: Int64 = .min / 4) { self.keptSince = keptSince }

    public func append(_ samples: [RuleSample]) {
        for sample in samples {
            series(sample.labels).append(Point(time: sample.time, value: sample.value))
        }
    }

    private func series(_ labels: Labels) -> ScratchSeries {
        byName.withLock { byName in
            let name = labels["__name__"] ?? ""
            if let known = byName[name]?[labels] { return known }
            let fresh = ScratchSeries(labels)
            byName[name, default: [:]][labels] = fresh
            return fresh
        }
    }

    public func select(_ selection: Selection) -> [any StoredSeries] {
        let name = selection.matchers.first { $0.name == "__name__" && $0.operation == .equal }
        let candidates = byName.withLock { byName in
            name.map { byName[$0.value].map { Array($0.values) } ?? [] } ?? byName.values.flatMap(\.values)
        }
        return candidates.filter { series in selection.matchers.allSatisfy { $0.matches(series.labels) } }
    }
}

private final class ScratchSeries: StoredSeries {
    let labels: Labels
    private let points = Mutex(ContiguousArray<Point>())

    init(_ labels: Labels) { self.labels = labels }

    func append(_ point: Point) {
        points.withLock { points in
            if let last = points.last, last.time >= point.time { return }
            points.append(point)
        }
    }

    func newest(after: Int64, through: Int64) -> Point? {
        points.withLock { points in
            let end = points.end(through: through)
            guard end > 0, points[end - 1].time > after else { return nil }
            return points[end - 1]
        }
    }

    func read(after: Int64, through: Int64, into result: inout ContiguousArray<Point>) {
        let found = points.withLock { points in
            let start = points.end(through: after)
            let end = points.end(through: through)
            return start < end ? points[start..<end] : []
        }
        result.append(contentsOf: found)
    }
}

extension ContiguousArray where Element == Point {
    /// How many points, which are in ascending order, are not later than `time`.
    fileprivate func end(through time: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].time > time { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
