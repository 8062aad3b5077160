import Synchronization

/// One series and its samples. Any thread may read while the history appends.
///
/// Of a series that came with a snapshot only what the collector gave is kept, which the collector mostly shares; its
/// labels with name, job and instance are made when first asked for, because most series are never asked.
public final class HistorySeries: Sendable {
    enum Origin {
        /// Comes with the snapshots of the registry.
        case scraped
        /// Comes from a rule, or is `up`.
        case recorded
        /// Was scraped before a restart or under other targets, and has not been seen since.
        case left
    }

    struct State {
        var samples = SeriesSamples()
        /// The last round of the history that brought a sample; -1 before the first.
        var round: Int32 = -1
    }

    /// What `__name__` says.
    public let name: String
    let origin: Origin
    // What a scraped series came with.
    let metric: Metric?
    let part: Sample.Part
    let base: Labels
    let target: HistoryTarget?
    private let known: Mutex<Labels?>
    let state: Mutex<State>

    /// The series of a snapshot's sample.
    init(_ name: String, _ metric: Metric, _ sample: Sample, _ target: HistoryTarget) {
        self.name = name
        origin = .scraped
        self.metric = metric
        part = sample.part
        base = sample.labels
        self.target = target
        known = Mutex(nil)
        state = Mutex(State())
    }

    /// A series of which all labels are known, `__name__` among them.
    init(_ labels: Labels, _ origin: Origin, _ samples: SeriesSamples = SeriesSamples()) {
        name = labels["__name__"] ?? ""
        self.origin = origin
        metric = nil
        part = .value
        base = .none
        target = nil
        known = Mutex(labels)
        state = Mutex(State(samples: samples))
    }

    /// All labels, with the name as `__name__`, and `job` and `instance`.
    public var labels: Labels {
        known.withLock { known in
            if let known { return known }
            let made = makeLabels()
            known = made
            return made
        }
    }

    /// The same, not kept: for a look at every series there is.
    var passingLabels: Labels { known.withLock { $0 } ?? makeLabels() }

    /// The same in no order, which is cheaper still.
    var pairs: [Label] { known.withLock { $0?.pairs } ?? makePairs() }

    private func makeLabels() -> Labels { Labels(makePairs()) }

    private func makePairs() -> [Label] {
        guard let target else { preconditionFailure("a series without labels: \(name)") }
        return target.pairs(name, base)
    }
}

// MARK: Reading

extension HistorySeries {
    /// The newest sample in (`after`, `through`], in milliseconds since 1970, even if it is a marker of staleness.
    public func newest(after: Int64, through: Int64) -> (time: Int64, value: Double)? {
        state.withLock { $0.samples.newest(after: after, through: through) }
    }

    /// Calls `body` with the samples in (`after`, `through`], oldest first, markers of staleness among them.
    ///
    /// The series is locked meanwhile, so `body` should only store what it gets.
    public func forEach(after: Int64, through: Int64, _ body: (_ time: Int64, _ value: Double) -> Void) {
        state.withLock { $0.samples.forEach(after: after, through: through, body) }
    }

    /// The samples in (`after`, `through`], oldest first, markers of staleness among them.
    public func read(
        after: Int64, through: Int64
    ) -> (times: ContiguousArray<Int64>, values: ContiguousArray<Double>) {
        var times: ContiguousArray<Int64> = []
        var values: ContiguousArray<Double> = []
        forEach(after: after, through: through) {
            times.append($0)
            values.append($1)
        }
        return (times, values)
    }

    /// The times of the oldest and the newest sample.
    public var span: ClosedRange<Int64>? {
        state.withLock { state in
            guard let first = state.samples.firstTime, let last = state.samples.lastTime else { return nil }
            return first...last
        }
    }
}

// MARK: Belonging

extension HistorySeries {
    /// Whether this is the series of that sample.
    func isOf(_ metric: Metric, _ sample: borrowing Sample) -> Bool {
        part == sample.part && base == sample.labels && (self.metric === metric || self.metric?.name == metric.name)
    }

    /// What finds a scraped series among others.
    var sampleKey: SampleKey? { metric.map { SampleKey($0.name, base, part) } }

    /// Leaves the series empty.
    func takeSamples() -> SeriesSamples {
        state.withLock { state in
            defer { state.samples = SeriesSamples() }
            return state.samples
        }
    }

    var isScraped: Bool { origin == .scraped }
    var isLeft: Bool { origin == .left }

    /// About how many bytes the series takes beside its samples: the object, its places in the indexes, its labels.
    ///
    /// 14,542 captured series count as 569 bytes each. They made the process 364 bytes each larger while the labels belonged
    /// to the collectors too, and 770 once all had been asked for their own.
    var ownBytes: Int {
        let labels = isScraped ? base : passingLabels
        return 360 + 64 + 32 * labels.pairs.count + 2 * labels.rendered.count
    }
}
