import Metrics

/// What a script has loaded so far.
struct ScriptStore {
    private var points: [Labels: ContiguousArray<Point>] = [:]

    /// Series whose values this engine does not hold, to be able to say which cases need them.
    private var histograms: [Labels] = []
    private var startTimes: [Labels] = []

    /// Adds a series whose values stand `step` milliseconds apart from the epoch on.
    mutating func load(_ series: ScriptSeries, step: Int64, makesHistograms: Bool) {
        if series.isStartTimes {
            startTimes.append(series.labels)
            return
        }
        if series.isHistogram { histograms.append(series.labels) }
        if makesHistograms, let name = series.labels[nameLabel],
            let suffix = ["_bucket", "_count", "_sum"].first(where: name.hasSuffix)
        {
            let base = series.labels.removing("le")
            histograms.append(base.adding([Label(nameLabel, String(name.dropLast(suffix.count)))]))
        }
        var loaded = points[series.labels] ?? []
        for (index, value) in series.values.enumerated() {
            let time = Int64(index) * step
            let number: Double
            switch value {
            case .gap: continue
            case .stale: number = StaleNaN.value
            case .number(let some): number = some
            }
            let place = loaded.firstIndex(after: time)
            if place > 0, loaded[place - 1].time == time {
                loaded[place - 1].value = number
            } else {
                loaded.insert(Point(time: time, value: number), at: place)
            }
        }
        points[series.labels] = loaded
    }

    var source: MemorySource {
        MemorySource(points.map { MemorySource.MemorySeries(labels: $0.key, points: $0.value) })
    }

    /// Why a query that selects these series cannot be answered here, if it cannot.
    func obstacle(to query: Query) -> String? {
        for read in query.expression.reads {
            func selects(_ labels: Labels) -> Bool { read.matchers.allSatisfy { $0.matches(labels) } }
            if histograms.contains(where: selects) { return "selects native histograms" }
            if startTimes.contains(where: selects) { return "selects series with start timestamps (experimental)" }
            let hasMetadata: (Labels) -> Bool = { $0["__type__"] != nil || $0["__unit__"] != nil }
            if points.keys.contains(where: { hasMetadata($0) && selects($0) }) {
                return "selects series with type and unit labels (experimental)"
            }
        }
        return nil
    }
}
