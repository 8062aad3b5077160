/// Which series the samples of a snapshot belong to.
///
/// Snapshots mostly have the same samples in the same order, so the series are kept in the order of the last one, and a
/// sample costs one comparison. The first that is not where it was makes an index for the rest of that round, and the
/// round leaves its own order behind.
struct SnapshotLayout {
    /// The series of the last round, in its order.
    private(set) var series: [HistorySeries] = []
    private var next = 0
    /// The order of this round, once it differs.
    private var order: [HistorySeries]?
    private var places: [SampleKey: Int] = [:]
    /// Series that came with this round, so that a sample which is there twice finds them.
    private var added: [SampleKey: HistorySeries] = [:]

    mutating func begin() { next = 0 }

    /// The series of the round's next sample, if the last round had it.
    mutating func find(_ metric: Metric, _ sample: Sample) -> HistorySeries? {
        if next < series.count, series[next].isOf(metric, sample) {
            order?.append(series[next])
            next += 1
            return series[next - 1]
        }
        if order == nil { makeIndex() }
        let key = SampleKey(metric.name, sample.labels, sample.part)
        if let place = places[key] {
            order?.append(series[place])
            next = place + 1
            return series[place]
        }
        guard let known = added[key] else { return nil }
        order?.append(known)
        return known
    }

    /// Takes a series, which `find` did not know, as the one of the round's last sample.
    mutating func add(_ new: HistorySeries, _ key: SampleKey) {
        order?.append(new)
        added[key] = new
    }

    /// - Returns: the series of the last round if some of them may not have come in this one.
    mutating func end() -> [HistorySeries] {
        guard order != nil || next < series.count else { return [] }
        let last = series
        series = order ?? Array(series[..<next])
        order = nil
        (places, added) = ([:], [:])
        return last
    }

    private mutating func makeIndex() {
        order = Array(series[..<next])
        places.reserveCapacity(series.count)
        for (place, known) in series.enumerated() {
            if let key = known.sampleKey { places[key] = place }
        }
    }
}

/// What tells a sample of a snapshot from all others.
struct SampleKey: Hashable {
    let metric: String
    let labels: Labels
    let part: Sample.Part

    init(_ metric: String, _ labels: Labels, _ part: Sample.Part) {
        self.metric = metric
        self.labels = labels
        self.part = part
    }
}
