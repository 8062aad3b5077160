import Synchronization

/// A number that only grows, for one series. Any thread may add to it.
public final class Counter: Sendable {
    private let value = Atomic<Int>(0)

    public init() {}

    public func add(_ amount: Int = 1) { value.add(amount, ordering: .relaxed) }
    public var count: Int { value.load(ordering: .relaxed) }
}

/// A number that goes up and down, for one series. Any thread may set it.
public final class Gauge: Sendable {
    private let bits = Atomic<UInt64>(0)

    public init() {}

    public func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    /// Adds to it, as one step whoever else does so.
    public func move(by amount: Double) {
        var known = bits.load(ordering: .relaxed)
        while true {
            let moved = (Double(bitPattern: known) + amount).bitPattern
            let (isDone, found) = bits.weakCompareExchange(expected: known, desired: moved, ordering: .relaxed)
            if isDone { return }
            known = found
        }
    }
    public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// Observations counted by size. Any thread may observe.
public final class Histogram: Sendable {
    fileprivate let bounds: [HistogramBound]
    private let state: Mutex<(counts: [UInt64], sum: Double)>

    /// - Parameter bounds: upper bounds in rising order, without `+Inf`.
    init(bounds: [HistogramBound]) {
        self.bounds = bounds
        state = Mutex((Array(repeating: 0, count: bounds.count + 1), 0))
    }

    public func observe(_ value: Double) {
        let bucket = bounds.firstIndex { value <= $0.value } ?? bounds.count
        state.withLock {
            $0.counts[bucket] += 1
            $0.sum += value
        }
    }

    fileprivate func read() -> (counts: [UInt64], sum: Double) { state.withLock { $0 } }
}

/// What the registry asks of every instrument of our own.
public protocol Instrument: Sendable {
    func read() -> Family
}

/// A number that somebody else keeps.
public struct Reading: Instrument {
    private let metric: Metric
    private let value: @Sendable () -> Double

    /// - Parameter value: of the moment; from any thread, and without waiting.
    public init(_ metric: Metric, _ value: @escaping @Sendable () -> Double) {
        (self.metric, self.value) = (metric, value)
    }

    public func read() -> Family {
        var family = Family(metric)
        family.samples.append(Sample(.none, value()))
        return family
    }
}

/// The members of one metric, one for each set of label values, made when first asked for and kept.
public final class InstrumentFamily<Member: Sendable>: Sendable {
    public let metric: Metric
    private let labelNames: [String]
    private let make: @Sendable () -> Member
    private let members: Mutex<[Labels: Member]>

    fileprivate init(_ metric: Metric, labelNames: [String], make: @escaping @Sendable () -> Member) {
        self.metric = metric
        self.labelNames = labelNames
        self.make = make
        members = Mutex(labelNames.isEmpty ? [.none: make()] : [:])
    }

    /// The member with these values, in the order of the label names. Values must come from a closed set.
    public func with(_ values: [String]) -> Member {
        precondition(values.count == labelNames.count)
        let labels = Labels(zip(labelNames, values).map { Label($0, $1) })
        return members.withLock { members in
            if let known = members[labels] { return known }
            let fresh = make()
            members[labels] = fresh
            return fresh
        }
    }

    /// Forgets the member with these values, so that it is no longer served.
    public func remove(_ values: [String]) {
        let labels = Labels(zip(labelNames, values).map { Label($0, $1) })
        members.withLock { _ = $0.removeValue(forKey: labels) }
    }

    /// Forgets all members.
    public func removeAll() { members.withLock { $0 = labelNames.isEmpty ? [.none: make()] : [:] } }

    fileprivate var all: [(labels: Labels, member: Member)] {
        members.withLock { $0.map { ($0.key, $0.value) } }
            .sorted { $0.labels.rendered.lexicographicallyPrecedes($1.labels.rendered) }
    }
}

public typealias CounterFamily = InstrumentFamily<Counter>
public typealias GaugeFamily = InstrumentFamily<Gauge>
public typealias HistogramFamily = InstrumentFamily<Histogram>

extension InstrumentFamily where Member == Counter {
    public convenience init(_ metric: Metric, labelNames: [String] = []) {
        self.init(metric, labelNames: labelNames) { Counter() }
    }
}

extension InstrumentFamily where Member == Gauge {
    public convenience init(_ metric: Metric, labelNames: [String] = []) {
        self.init(metric, labelNames: labelNames) { Gauge() }
    }
}

extension InstrumentFamily where Member == Histogram {
    public convenience init(_ metric: Metric, bounds: [Double], labelNames: [String] = []) {
        let bounds = bounds.map(HistogramBound.init)
        self.init(metric, labelNames: labelNames) { Histogram(bounds: bounds) }
    }
}

extension InstrumentFamily: Instrument {
    public func read() -> Family {
        var family = Family(metric)
        for (labels, member) in all {
            switch member {
            case let counter as Counter: family.samples.append(Sample(labels, Double(counter.count)))
            case let gauge as Gauge: family.samples.append(Sample(labels, gauge.value))
            case let histogram as Histogram:
                let (counts, sum) = histogram.read()
                family.addHistogram(labels, bounds: histogram.bounds, counts: counts, sum: sum)
            default: preconditionFailure("no instrument: \(Member.self)")
            }
        }
        return family
    }
}

/// Our own instruments as a source: always there, never late.
public final class InstrumentSource: MetricSource {
    private let collector: String
    private let instruments: Mutex<[any Instrument]>

    public init(_ collector: String, _ instruments: [any Instrument]) {
        self.collector = collector
        self.instruments = Mutex(instruments)
    }

    public func add(_ instrument: any Instrument) { instruments.withLock { $0.append(instrument) } }

    public func collect(_ round: CollectionRound) async -> [Collected] { collectedWhenLate(round) }

    public func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        guard round.selection.contains(collector) else { return [] }
        return [Collected(collector, instruments.withLock { $0 }.map { $0.read() })]
    }
}
