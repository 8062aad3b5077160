import Metrics
import Runtime

/// Every operation that was reported, by name, status and the tags that the configuration lets through.
struct OperationTable: Sendable {
    struct Series: Sendable {
        let operation: Int
        let labels: Labels
        let isError: Bool
        /// In the histogram store.
        let histogram: Int
        /// Operations that ended, with or without a duration.
        var count: Double
    }

    struct Operation: Sendable {
        let name: String
        /// Nil until somebody says that one began.
        var inFlight: Int?
    }

    private(set) var operations: [Operation] = []
    private(set) var series: [Series] = []
    private var byName: [String: Int] = [:]
    private var bySet: [Labels: Int] = [:]
    private var tagValues: TagValues
    private let configuration: OperationsConfiguration.Operations

    init(_ configuration: OperationsConfiguration.Operations) {
        self.configuration = configuration
        tagValues = TagValues(limit: configuration.tagValueLimit)
    }

    /// The place of an operation's series, made when it is new and there is room.
    ///
    /// - Parameter tags: those outside the allow-list are ignored; of two with one name the later counts.
    mutating func series(
        _ name: String, status: String, tags: [Label], _ histograms: inout HistogramStore
    ) -> (index: Int, crossed: CrossedLimits) {
        var (operation, crossed) = operation(name)
        var pairs = [
            Label("operation", operations[operation].name), Label("status", admit(status, of: "status", &crossed)),
        ]
        for tag in tags where configuration.tags.contains(tag.name) {
            pairs.append(Label(tag.name, admit(tag.value, of: tag.name, &crossed)))
        }
        var labels = Labels(pairs)
        if let known = bySet[labels] { return (known, crossed) }
        if series.count >= configuration.seriesLimit {
            crossed.insert(.series)
            operation = other()
            labels = Labels([Label("operation", otherValue), pairs[1]])
            if let known = bySet[labels] { return (known, crossed) }
        }
        series.append(
            Series(
                operation: operation, labels: labels, isError: configuration.isError(status: pairs[1].value),
                histogram: histograms.add(bounds: configuration.buckets), count: 0))
        bySet[labels] = series.count - 1
        return (series.count - 1, crossed)
    }

    mutating func count(_ index: Int, _ weight: Double) { series[index].count += weight }

    mutating func begin(_ name: String) {
        let (operation, _) = operation(name)
        operations[operation].inFlight = (operations[operation].inFlight ?? 0) + 1
    }

    /// An end without a beginning changes nothing.
    mutating func end(_ name: String) {
        let (operation, _) = operation(name)
        guard let inFlight = operations[operation].inFlight, inFlight > 0 else { return }
        operations[operation].inFlight = inFlight - 1
    }

    private mutating func operation(_ name: String) -> (index: Int, crossed: CrossedLimits) {
        if let known = byName[name] { return (known, []) }
        guard operations.count < configuration.limit else { return (other(), .operations) }
        return (add(name), [])
    }

    private mutating func other() -> Int { byName[otherValue] ?? add(otherValue) }

    private mutating func add(_ name: String) -> Int {
        operations.append(Operation(name: name, inFlight: nil))
        byName[name] = operations.count - 1
        return operations.count - 1
    }

    private mutating func admit(_ value: String, of tag: String, _ crossed: inout CrossedLimits) -> String {
        if let value = tagValues.admit(value, of: tag) { return value }
        crossed.insert(.tagValues)
        return otherValue
    }
}

extension OperationTable {
    func families(_ histograms: HistogramStore, _ texts: BoundTexts) -> [Family] {
        var durations = Family(OperationMetrics.duration)
        var totals = Family(OperationMetrics.total)
        var failed = [Double](repeating: 0, count: operations.count)
        for entry in series where entry.count > 0 {
            if !histograms.isEmpty(entry.histogram) {
                histograms.append(entry.histogram, entry.labels, texts, to: &durations)
            }
            totals.samples.append(Sample(entry.labels, entry.count.rounded()))
            if entry.isError { failed[entry.operation] += entry.count }
        }
        var errors = Family(OperationMetrics.errors)
        var inFlight = Family(OperationMetrics.inFlight)
        for (index, operation) in operations.enumerated() {
            let labels = Labels([Label("operation", operation.name)])
            errors.samples.append(Sample(labels, failed[index].rounded()))
            if let count = operation.inFlight { inFlight.samples.append(Sample(labels, Double(count))) }
        }
        return [durations, totals, errors, inFlight]
    }
}
