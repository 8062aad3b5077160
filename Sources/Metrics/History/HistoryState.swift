/// The series of a history and the rules by which samples are added; `History` keeps it in its lock.
struct HistoryState {
    /// What a call changed, for the counters.
    struct Tally {
        var stored = 0
        var duplicates = 0
        var outOfOrder = 0
        var refused = 0
        var shortenings = 0
    }

    struct Named {
        var series: [HistorySeries] = []
        /// How many of them are also in `byLabels`.
        var known = 0
    }

    /// The last one owns what no other does.
    var targets: [HistoryTarget]
    let limitBytes: Int
    var retention = HistoryRetention()
    var names: [String: Named] = [:]
    private var layout = SnapshotLayout()
    /// Series that came with snapshots and no longer do.
    var ended: [SampleKey: HistorySeries] = [:]
    /// Series that were recorded, restored or are `up`.
    var byLabels: [Labels: HistorySeries] = [:]
    /// Whether there are series left behind that the next snapshot must bring or end.
    private var awaitsReturn = false
    var seriesCount = 0
    var sampleCount = 0
    /// Compressed samples, with what the arrays around them take.
    var sampleBytes = 0
    /// Everything else.
    var seriesBytes = 0
    private(set) var round: Int32 = 0
    private(set) var moved: Int64 = 0
    /// Of the newest snapshot.
    private var snapshotTime: Int64?
    var sweptAt: Int64 = .min
    /// Before this time samples were given up for lack of memory.
    var shortenedBefore: Int64?
    var tally = Tally()

    init(targets: [HistoryTarget], limitBytes: Int) {
        self.targets = targets
        self.limitBytes = limitBytes
    }

    var bytes: Int { sampleBytes + seriesBytes }
}

// MARK: Snapshots

extension HistoryState {
    mutating func append(_ snapshot: Snapshot, at time: Int64) {
        round &+= 1
        snapshotTime = time
        layout.begin()
        for family in snapshot.families {
            for sample in family.samples { append(sample, of: family.metric, at: time) }
        }
        for vanished in layout.end() { end(vanished, at: time) }
        appendUps(at: time)
        endLeftBehind(at: time)
        tidy(now: time)
    }

    private mutating func append(_ sample: Sample, of metric: Metric, at time: Int64) {
        guard let series = layout.find(metric, sample) ?? join(metric, sample) else { return }
        write(sample.value.bitPattern, to: series, at: time)
    }

    /// The series of a sample that the last snapshot did not have.
    private mutating func join(_ metric: Metric, _ sample: Sample) -> HistorySeries? {
        let key = SampleKey(metric.name, sample.labels, sample.part)
        if let returned = ended.removeValue(forKey: key) {
            layout.add(returned, key)
            return returned
        }
        guard let target = targets.first(where: { $0.owns(metric.name, sample.labels) }) ?? targets.last else {
            return nil
        }
        let name = metric.name + sample.part.suffix
        let known = names[name]
        let fresh = HistorySeries(known?.series.first?.name ?? name, metric, sample, target)
        if let known, known.known > 0, let same = byLabels[fresh.passingLabels] {
            guard same.isLeft else { return same }
            replace(same, by: fresh)
        } else {
            guard admit(fresh) else { return nil }
        }
        layout.add(fresh, key)
        return fresh
    }

    private mutating func end(_ series: HistorySeries, at time: Int64) {
        guard series.state.withLock({ $0.round != round }), let key = series.sampleKey, ended[key] == nil else {
            return
        }
        write(Double.staleMarkerBits, to: series, at: time)
        ended[key] = series
    }

    private mutating func appendUps(at time: Int64) {
        for target in targets {
            guard let series = recordedSeries(target.upLabels) else { continue }
            write(up(target, at: time).bitPattern, to: series, at: time)
        }
    }

    private func up(_ target: HistoryTarget, at time: Int64) -> Double {
        guard let metric = target.upMetric else { return 1 }
        var up: Double?
        for series in names[metric]?.series ?? [] {
            guard series.target === target,
                let told = series.newest(after: time - 1, through: time),
                told.value.bitPattern != Double.staleMarkerBits
            else { continue }
            up = min(up ?? told.value, told.value)
        }
        return up ?? 0
    }
}

// MARK: Series with all their labels

extension HistoryState {
    mutating func append(recorded samples: [(labels: Labels, value: Double)], at time: Int64) {
        // Made while the clock was set back: such a sample would keep out all others until its time has come.
        if moved != 0, let snapshotTime, time - snapshotTime > Self.longestRound {
            tally.outOfOrder += samples.count
            return
        }
        for (labels, value) in samples {
            let isEnd = value.bitPattern == Double.staleMarkerBits
            guard let series = isEnd ? byLabels[labels] : recordedSeries(labels) else { continue }
            write(value.bitPattern, to: series, at: time)
        }
        tidy(now: time)
    }

    private mutating func recordedSeries(_ labels: Labels) -> HistorySeries? {
        if let known = byLabels[labels] {
            guard known.isLeft else { return known }
            let fresh = HistorySeries(labels, .recorded)
            replace(known, by: fresh)
            return fresh
        }
        let fresh = HistorySeries(labels, .recorded)
        // A rule may record under the very name and labels of a series that is scraped: then both write to that one.
        let named = names[fresh.name]
        if let named, named.known < named.series.count,
            let scraped = named.series.first(where: { $0.isScraped && $0.passingLabels == labels })
        {
            return scraped
        }
        return admit(fresh) ? fresh : nil
    }

    /// Milliseconds: no rule is so far ahead of the snapshots.
    private static let longestRound: Int64 = 600_000

    mutating func move(by milliseconds: Int64) {
        moved += milliseconds
        snapshotTime = snapshotTime.map { $0 + milliseconds }
        shortenedBefore = shortenedBefore.map { $0 + milliseconds }
        if sweptAt != .min { sweptAt += milliseconds }
        for series in names.values.flatMap(\.series) {
            series.state.withLock { $0.samples.move(by: milliseconds) }
        }
    }

    /// Adds series that were written before a restart, each unless it is there already.
    mutating func restore(_ series: [HistorySeries]) {
        for one in series where byLabels[one.labels] == nil && admit(one) {
            if one.isLeft { awaitsReturn = true }
        }
    }

    /// Gives the series to new targets. What the next snapshot does not bring under the same labels as before ends.
    mutating func setTargets(_ new: [HistoryTarget]) {
        targets = new
        let all = names.values.flatMap(\.series)
        forgetBooks()
        for series in all {
            guard series.isScraped || series.name == "up" else {
                enter(series)
                continue
            }
            guard byLabels[series.labels] == nil else { continue }
            enter(HistorySeries(series.labels, .left, series.takeSamples()))
        }
        awaitsReturn = true
    }

    private mutating func endLeftBehind(at time: Int64) {
        guard awaitsReturn else { return }
        awaitsReturn = false
        for series in byLabels.values where series.isLeft {
            // What is too old anyway needs no end.
            let newest = series.newest(after: time - retention[series.name], through: .max)
            guard let newest, newest.value.bitPattern != Double.staleMarkerBits else { continue }
            write(Double.staleMarkerBits, to: series, at: time)
        }
    }
}

// MARK: Books

extension HistoryState {
    private mutating func write(_ bits: UInt64, to series: HistorySeries, at time: Int64) {
        let round = round
        let (outcome, growth) = series.state.withLock { state in
            state.round = round
            let before = state.samples.heapBytes
            let outcome = state.samples.append(time, bits)
            return (outcome, state.samples.heapBytes - before)
        }
        sampleBytes += growth
        switch outcome {
        case .stored:
            sampleCount += 1
            tally.stored += 1
        case .repeated: break
        case .duplicate: tally.duplicates += 1
        case .outOfOrder: tally.outOfOrder += 1
        }
    }

    /// Takes a new series into the books, unless memory is short.
    private mutating func admit(_ series: HistorySeries) -> Bool {
        guard bytes + series.ownBytes <= limitBytes else {
            tally.refused += 1
            return false
        }
        enter(series)
        return true
    }

    private mutating func enter(_ series: HistorySeries) {
        count(series, times: 1)
        names[series.name, default: Named()].series.append(series)
        guard !series.isScraped else { return }
        names[series.name]?.known += 1
        byLabels[series.labels] = series
    }

    /// Forgets series that all have one name.
    mutating func remove(_ gone: [HistorySeries], named name: String) {
        guard !gone.isEmpty, var named = names[name] else { return }
        let identities = Set(gone.map(ObjectIdentifier.init))
        named.series.removeAll { identities.contains(ObjectIdentifier($0)) }
        for series in gone {
            count(series, times: -1)
            if let key = series.sampleKey {
                ended[key] = nil
            } else {
                named.known -= 1
                byLabels[series.labels] = nil
            }
        }
        names[name] = named.series.isEmpty ? nil : named
    }

    /// Puts a series in the place of one with the same labels, whose samples it takes over.
    private mutating func replace(_ old: HistorySeries, by new: HistorySeries) {
        remove([old], named: old.name)
        let samples = old.takeSamples()
        new.state.withLock { $0.samples = samples }
        enter(new)
    }

    private mutating func count(_ series: HistorySeries, times sign: Int) {
        let (count, heapBytes) = series.state.withLock { ($0.samples.count, $0.samples.heapBytes) }
        seriesCount += sign
        seriesBytes += sign * series.ownBytes
        sampleCount += sign * count
        sampleBytes += sign * heapBytes
    }

    private mutating func forgetBooks() {
        (names, byLabels, ended, layout) = ([:], [:], [:], SnapshotLayout())
        (seriesCount, sampleCount, sampleBytes, seriesBytes) = (0, 0, 0, 0)
    }
}

extension Sample.Part {
    /// What a series of this part is called behind its metric's name.
    var suffix: String {
        switch self {
        case .value: ""
        case .bucket: "_bucket"
        case .sum: "_sum"
        case .count: "_count"
        }
    }
}
