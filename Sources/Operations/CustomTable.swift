import Metrics
import Runtime

/// The service's own metrics: counters, gauges, sets, and what mapping rules gave a name of its own.
struct CustomTable: Sendable {
    enum Kind: Sendable, Equatable {
        case counter, gauge, set, histogram, summary
    }

    private struct Entry: Sendable {
        let metric: Metric
        let kind: Kind
        var tagValues: TagValues
        var bySet: [Labels: Int] = [:]
    }

    private struct Series: Sendable {
        let metric: Int
        let labels: Labels
        /// A counter's or gauge's number.
        var value = 0.0
        /// In the table of sets, histograms or summaries.
        let part: Int
        let timeToLive: Duration?
        /// Whether a sample came since the last collection.
        var isTouched = true
        var seen = ContinuousClock.Instant.now
        /// Its time is over: not served until the next sample, and zero again then.
        var isHidden = false
    }

    private var metrics: [Entry] = []
    private var byName: [String: Int] = [:]
    private var series: [Series] = []
    private var sets: [UniqueCount] = []
    private var summaries: [QuantileSketch] = []
    private var lastRotation = ContinuousClock.now
    private let configuration: OperationsConfiguration.Custom

    /// Tags that one series keeps as labels; those behind them are ignored.
    static let labelLimit = 16

    init(_ configuration: OperationsConfiguration.Custom) { self.configuration = configuration }

    /// What a new metric is, beside its name and labels.
    struct Form {
        var kind: Kind
        var help: String?
        var buckets: [Double] = []
        var quantiles: [Double] = QuantileSketch.defaultQuantiles
        var timeToLive: Duration?
    }

    /// The place of a series, made when it is new and there is room.
    mutating func series(
        _ name: String, _ labels: [Label], _ form: Form, _ histograms: inout HistogramStore
    ) -> Result<(index: Int, crossed: CrossedLimits), Refusal> {
        let metric: Int
        switch self.metric(name, form) {
        case .success(let index): metric = index
        case .failure(let refusal): return .failure(refusal)
        }
        var crossed: CrossedLimits = []
        var admitted: [Label] = []
        for label in labels.prefix(Self.labelLimit) {
            if let value = metrics[metric].tagValues.admit(label.value, of: label.name) {
                admitted.append(Label(label.name, value))
            } else {
                admitted.append(Label(label.name, otherValue))
                crossed.insert(.tagValues)
            }
        }
        var set = Labels(admitted)
        if let known = metrics[metric].bySet[set] { return .success((known, crossed)) }
        if series.count >= configuration.seriesLimit {
            crossed.insert(.series)
            set = Labels([Label("series", otherValue)])
            if let known = metrics[metric].bySet[set] { return .success((known, crossed)) }
        }
        series.append(
            Series(metric: metric, labels: set, part: part(form, &histograms), timeToLive: form.timeToLive))
        metrics[metric].bySet[set] = series.count - 1
        return .success((series.count - 1, crossed))
    }

    struct Refusal: Error {
        let reason: DropReason
    }

    private mutating func metric(_ name: String, _ form: Form) -> Result<Int, Refusal> {
        if let known = byName[name] {
            return metrics.indices.contains(known) && metrics[known].kind == form.kind
                ? .success(known) : .failure(Refusal(reason: .name))
        }
        let isOwn = Self.isReserved(name) && name != OperationMetrics.serviceCheck.name
        let parts = Self.seriesNames(name, form.kind)
        guard !isOwn, parts.allSatisfy({ byName[$0] == nil }) else { return .failure(Refusal(reason: .name)) }
        guard metrics.count < configuration.metricLimit else { return .failure(Refusal(reason: .limit)) }
        let help = form.help ?? "\(name), as the service reports it."
        let metric =
            name == OperationMetrics.serviceCheck.name
            ? OperationMetrics.serviceCheck : Metric(name, form.kind.metricKind, help)
        metrics.append(Entry(metric: metric, kind: form.kind, tagValues: TagValues(limit: configuration.tagValueLimit)))
        byName[name] = metrics.count - 1
        for part in parts { byName[part] = -1 }
        return .success(metrics.count - 1)
    }

    /// Outrigger's own names, and those that every Prometheus gives to what it makes itself. Names that another source
    /// serves are the registry's to protect.
    private static func isReserved(_ name: String) -> Bool {
        name.hasPrefix("outrigger_") || name.hasPrefix("scrape_")
            || ["up", "ALERTS", "ALERTS_FOR_STATE"].contains(name)
    }

    /// A histogram `x` also takes the names `x_bucket`, `x_sum` and `x_count`.
    private static func seriesNames(_ name: String, _ kind: Kind) -> [String] {
        switch kind {
        case .histogram: [name + "_bucket", name + "_sum", name + "_count"]
        case .summary: [name + "_sum", name + "_count"]
        case .counter, .gauge, .set: []
        }
    }

    private mutating func part(_ form: Form, _ histograms: inout HistogramStore) -> Int {
        switch form.kind {
        case .counter, .gauge: return 0
        case .set:
            sets.append(UniqueCount())
            return sets.count - 1
        case .histogram: return histograms.add(bounds: form.buckets)
        case .summary:
            summaries.append(QuantileSketch(quantiles: form.quantiles))
            return summaries.count - 1
        }
    }
}

// MARK: Samples

extension CustomTable {
    mutating func add(_ index: Int, _ amount: Double) {
        touch(index)
        series[index].value += amount
    }

    mutating func set(_ index: Int, _ value: Double) {
        touch(index)
        series[index].value = value
    }

    mutating func insert(_ index: Int, _ hash: UInt64) {
        touch(index)
        sets[series[index].part].insert(hash)
    }

    mutating func observe(_ index: Int, _ value: Double, weight: Double, _ histograms: inout HistogramStore) {
        touch(index)
        histograms.observe(series[index].part, value, weight: weight)
    }

    mutating func summarize(_ index: Int, _ value: Double, weight: Double) {
        touch(index)
        summaries[series[index].part].observe(value, weight: weight)
    }

    private mutating func touch(_ index: Int) {
        series[index].isTouched = true
        series[index].isHidden = false
    }
}

// MARK: Collecting

extension CustomTable {
    /// Ends windows and hides series whose time is over.
    mutating func advance(to now: ContinuousClock.Instant, _ histograms: inout HistogramStore) {
        if now - lastRotation >= configuration.window {
            for index in sets.indices { sets[index].rotate() }
            for index in summaries.indices { summaries[index].rotate() }
            lastRotation = now
        }
        for index in series.indices {
            if series[index].isTouched {
                series[index].isTouched = false
                series[index].seen = now
            } else if let limit = series[index].timeToLive, !series[index].isHidden, now - series[index].seen > limit {
                hide(index, &histograms)
            }
        }
    }

    private mutating func hide(_ index: Int, _ histograms: inout HistogramStore) {
        series[index].isHidden = true
        series[index].value = 0
        let part = series[index].part
        switch metrics[series[index].metric].kind {
        case .counter, .gauge: break
        case .set: sets[part] = UniqueCount()
        case .histogram: histograms.reset(part)
        case .summary: summaries[part].reset()
        }
    }

    func families(_ histograms: HistogramStore, _ texts: BoundTexts) -> [Family] {
        var families = metrics.map { Family($0.metric) }
        for entry in series where !entry.isHidden {
            let labels = entry.labels
            switch metrics[entry.metric].kind {
            case .counter, .gauge: families[entry.metric].samples.append(Sample(labels, entry.value))
            case .set: families[entry.metric].samples.append(Sample(labels, sets[entry.part].count))
            case .histogram: histograms.append(entry.part, labels, texts, to: &families[entry.metric])
            case .summary: summaries[entry.part].append(labels, to: &families[entry.metric])
            }
        }
        return families
    }
}

extension CustomTable.Kind {
    fileprivate var metricKind: Metric.Kind {
        switch self {
        case .counter: .counter
        case .gauge, .set: .gauge
        case .histogram: .histogram
        case .summary: .summary
        }
    }
}
