import Metrics
import Runtime

/// Everything that was reported, and where each sample goes. Plain state: the recorder locks it.
struct OperationBook {
    private(set) var tables: Tables
    private var rules: MappingRules
    private var memory = LineMemory()
    private var log = MalformedLog()

    /// What is served; copied under the lock and rendered outside it.
    struct Tables: Sendable {
        var operations: OperationTable
        var custom: CustomTable
        var histograms = HistogramStore()
        var counts = Counts()
    }

    /// What happened to samples, by the order of the cases.
    struct Counts: Sendable {
        var samples = [Int](repeating: 0, count: StatsDKind.allCases.count)
        var malformed: [StatsDFault: Int] = [:]
        var dropped = [Int](repeating: 0, count: DropReason.allCases.count)
        var crossed = [Int](repeating: 0, count: CrossedLimits.all.count)
        var events: [StatsDEventKind: Int] = [:]
        var serviceChecks = 0
    }

    private let buckets: [Double]

    init(_ configuration: OperationsConfiguration) {
        tables = Tables(
            operations: OperationTable(configuration.operations), custom: CustomTable(configuration.custom))
        rules = configuration.rules
        buckets = configuration.custom.buckets
    }

    /// Names seen from now on go by these rules; what was counted stays.
    mutating func replaceRules(_ rules: MappingRules) {
        self.rules = rules
        memory.forget()
    }

    mutating func advance(to now: ContinuousClock.Instant) {
        tables.custom.advance(to: now, &tables.histograms)
    }
}

// MARK: The recorder's door

extension OperationBook {
    /// The place of an operation's series, and which limits it met.
    mutating func place(
        _ name: String, status: String, tags: [Label]
    ) -> (index: Int, crossed: CrossedLimits) {
        tables.operations.series(name, status: status, tags: tags, &tables.histograms)
    }

    mutating func record(_ place: Int, crossed: CrossedLimits, seconds: Double?, weight: Double) {
        if !crossed.isEmpty { count(crossed) }
        guard seconds.map({ $0 >= 0 }) ?? true else { return drop(.negative) }
        if let seconds {
            tables.histograms.observe(tables.operations.series[place].histogram, seconds, weight: weight)
        }
        tables.operations.count(place, weight)
    }

    mutating func begin(_ name: String) { tables.operations.begin(name) }
    mutating func end(_ name: String) { tables.operations.end(name) }

    mutating func add(_ amount: Double, to name: String, _ labels: [Label]) {
        guard amount >= 0 else { return drop(.negative) }
        guard let index = series(name, labels, .counter) else { return }
        tables.custom.add(index, amount)
    }

    mutating func set(_ name: String, _ labels: [Label], to value: Double) {
        guard let index = series(name, labels, .gauge) else { return }
        tables.custom.set(index, value)
    }

    private mutating func series(_ name: String, _ labels: [Label], _ kind: CustomTable.Kind) -> Int? {
        guard let name = MetricName.sanitized(name) else {
            drop(.name)
            return nil
        }
        switch tables.custom.series(name, labels, CustomTable.Form(kind: kind), &tables.histograms) {
        case .success(let (index, crossed)):
            if !crossed.isEmpty { count(crossed) }
            return index
        case .failure(let refusal):
            drop(refusal.reason)
            return nil
        }
    }
}

// MARK: StatsD

extension OperationBook {
    /// Uses every sample of a packet that can be read.
    ///
    /// - Returns: what to log of those that cannot.
    mutating func take(_ packet: Span<UInt8>) -> [MalformedLog.Entry] {
        var reader = StatsDReader()
        var entries: [MalformedLog.Entry] = []
        while let item = reader.next(in: packet) {
            switch item {
            case .sample(let sample):
                tables.counts.samples[Int(sample.kind.rawValue)] += 1
                guard let destination = destination(of: sample, packet) else {
                    note(.encoding, packet, sample.name, &entries)
                    continue
                }
                use(sample, destination, packet)
            case .event(let kind):
                tables.counts.events[kind, default: 0] += 1
            case .serviceCheck(let name, let status, let tags):
                guard let name = TagReader.text(packet, name), let labels = TagReader.labels(packet, tags) else {
                    note(.encoding, packet, name, &entries)
                    continue
                }
                tables.counts.serviceChecks += 1
                set(OperationMetrics.serviceCheck.name, labels + [Label("check", name)], to: Double(status))
            case .malformed(let fault, let line):
                note(fault, packet, line, &entries)
            }
        }
        return entries
    }

    private mutating func use(
        _ sample: StatsDSample, _ destination: LineMemory.Destination, _ packet: Span<UInt8>
    ) {
        let index = Int(destination.index)
        let value = sample.value * destination.scale
        switch destination.target {
        case .operation:
            record(index, crossed: destination.crossed, seconds: value, weight: sample.weight)
            return
        case .counter:
            guard value >= 0 else { return drop(.negative) }
            tables.custom.add(index, value * sample.weight)
        case .gauge where sample.hasSign: tables.custom.add(index, value)
        case .gauge: tables.custom.set(index, value)
        case .set: tables.custom.insert(index, packet.hash(sample.member, into: 0))
        case .histogram: tables.custom.observe(index, value, weight: sample.weight, &tables.histograms)
        case .summary: tables.custom.summarize(index, value, weight: sample.weight)
        case .dropped: tables.counts.dropped[index] += 1
        }
        if !destination.crossed.isEmpty { count(destination.crossed) }
    }

    private mutating func destination(
        of sample: StatsDSample, _ packet: Span<UInt8>
    ) -> LineMemory.Destination? {
        let hash = memory.hash(sample, packet)
        if let known = memory.find(hash, sample, packet) { return known }
        guard let fresh = resolve(sample, packet) else { return nil }
        memory.insert(hash, sample, packet, fresh)
        return fresh
    }

    /// - Returns: nil when the name or the tags are not UTF-8.
    private mutating func resolve(_ sample: StatsDSample, _ packet: Span<UInt8>) -> LineMemory.Destination? {
        guard let name = TagReader.text(packet, sample.name), let tags = TagReader.labels(packet, sample.tags) else {
            return nil
        }
        // Timers are sent in milliseconds. Histograms and distributions have no unit: they are time only where a rule says so.
        let unit = sample.kind == .timer ? 0.001 : 1
        guard let match = rules.match(name, kind: sample.kind) else {
            if sample.kind == .timer { return operation(name, tags, scale: unit) }
            var form = CustomTable.Form(kind: sample.kind.customKind)
            if sample.kind.isObserver { form.buckets = Buckets.unitless }
            return custom(name, tags, form, scale: unit)
        }
        let rule = match.rule
        guard rule.action == .map else { return .dropped(.mapping) }
        // A rule's label wins over a tag of the same name.
        let labels = tags + match.labels
        if match.name == OperationMetrics.duration.name, sample.kind.isObserver {
            let operation = labels.last { $0.name == "operation" }?.value ?? name
            return self.operation(operation, labels, scale: unit * rule.scale)
        }
        var form = CustomTable.Form(kind: sample.kind.customKind)
        if sample.kind.isObserver, rule.observer == .summary { form.kind = .summary }
        form.help = rule.help
        form.buckets = rule.buckets ?? buckets
        form.quantiles = rule.quantiles ?? QuantileSketch.defaultQuantiles
        form.timeToLive = rule.timeToLive
        return custom(match.name, labels, form, scale: unit * rule.scale)
    }

    private mutating func operation(_ name: String, _ tags: [Label], scale: Double) -> LineMemory.Destination {
        let status = tags.last { $0.name == "status" && !$0.value.isEmpty }?.value ?? OperationRecorder.okStatus
        let (index, crossed) = place(name, status: status, tags: tags)
        return LineMemory.Destination(target: .operation, index: Int32(index), crossed: crossed, scale: scale)
    }

    private mutating func custom(
        _ name: String, _ labels: [Label], _ form: CustomTable.Form, scale: Double
    ) -> LineMemory.Destination {
        guard let name = MetricName.sanitized(name) else { return .dropped(.name) }
        switch tables.custom.series(name, labels, form, &tables.histograms) {
        case .success(let (index, crossed)):
            return LineMemory.Destination(
                target: form.kind.target, index: Int32(index), crossed: crossed, scale: scale)
        case .failure(let refusal): return .dropped(refusal.reason)
        }
    }

    private mutating func drop(_ reason: DropReason) { tables.counts.dropped[reason.rawValue] += 1 }

    private mutating func count(_ crossed: CrossedLimits) {
        for (index, entry) in CrossedLimits.all.enumerated() where crossed.contains(entry.limit) {
            tables.counts.crossed[index] += 1
        }
    }

    private mutating func note(
        _ fault: StatsDFault, _ packet: Span<UInt8>, _ line: Range<Int>, _ entries: inout [MalformedLog.Entry]
    ) {
        tables.counts.malformed[fault, default: 0] += 1
        if let entry = log.note(fault, packet, line, at: .now) { entries.append(entry) }
    }
}

extension LineMemory.Destination {
    fileprivate static func dropped(_ reason: DropReason) -> LineMemory.Destination {
        LineMemory.Destination(target: .dropped, index: Int32(reason.rawValue))
    }
}

extension StatsDKind {
    /// Timers, histograms and distributions.
    fileprivate var isObserver: Bool { self == .timer || self == .histogram || self == .distribution }

    fileprivate var customKind: CustomTable.Kind {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .set: .set
        case .timer, .histogram, .distribution: .histogram
        }
    }
}

extension CustomTable.Kind {
    fileprivate var target: LineMemory.Destination.Target {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .set: .set
        case .histogram: .histogram
        case .summary: .summary
        }
    }
}
