import Metrics

/// Series that are held as they are, for scripts and tests. Nothing is written after it is asked for the first time.
public final class MemorySource: SeriesSource {
    public final class MemorySeries: StoredSeries {
        public let labels: Labels
        private let points: ContiguousArray<Point>

        /// Points in ascending order of time.
        public init(labels: Labels, points: ContiguousArray<Point>) {
            self.labels = labels
            self.points = points
        }

        public func newest(after: Int64, through: Int64) -> Point? {
            let end = points.firstIndex(after: through)
            guard end > 0, points[end - 1].time > after else { return nil }
            return points[end - 1]
        }

        public func read(after: Int64, through: Int64, into result: inout ContiguousArray<Point>) {
            let start = points.firstIndex(after: after)
            let end = points.firstIndex(after: through)
            if start < end { result.append(contentsOf: points[start..<end]) }
        }
    }

    private let byName: [String: [MemorySeries]]

    public init(_ series: [MemorySeries]) {
        byName = Dictionary(grouping: series) { $0.labels[nameLabel] ?? "" }
    }

    public func select(_ selection: Selection) -> [any StoredSeries] {
        let name = selection.matchers.first { $0.name == nameLabel && $0.operation == .equal }
        let candidates = name.map { byName[$0.value] ?? [] } ?? byName.values.flatMap { $0 }
        return candidates.filter { selection.matches($0.labels) }
    }
}

extension ContiguousArray where Element == Point {
    /// The first index whose point is later than `time`, of points in ascending order.
    func firstIndex(after time: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if self[middle].time > time { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
