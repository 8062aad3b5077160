import Metrics
import Runtime
import Synchronization

/// What the service does, told by whoever sees it: StatsD, `POST /v1/events`, and every proxy that carries a statement,
/// a command or a request. Any thread may tell; a call takes a lock for well under a microsecond.
public final class OperationRecorder: MetricSource {
    /// The status of operations that were reported without one.
    public static let okStatus = "ok"

    private let book: Mutex<OperationBook>
    private let isEnabled: Bool
    private let servesMetrics: Bool
    let posted = Counter()
    let refused = Counter()

    public init(_ configuration: OperationsConfiguration) {
        book = Mutex(OperationBook(configuration))
        isEnabled = configuration.isEnabled
        servesMetrics = configuration.servesMetrics
    }

    /// Mapping rules of a new configuration. Limits and buckets stay as they were at the start.
    public func reload(_ configuration: OperationsConfiguration) {
        book.withLock { $0.replaceRules(configuration.rules) }
    }

    /// An operation that ended.
    ///
    /// - Parameters:
    ///   - operation: beyond `operations.limit` names it is counted as `other`.
    ///   - duration: nil when it is not known; the operation is counted all the same.
    ///   - tags: those that `operations.tags` lists become labels.
    ///   - count: how many alike.
    public func record(
        operation: String, status: String = OperationRecorder.okStatus, duration: Duration?, tags: [Label] = [],
        count: Int = 1
    ) {
        record(operation: operation, status: status, seconds: duration?.seconds, tags: tags, count: count)
    }

    func record(operation: String, status: String, seconds: Double?, tags: [Label], count: Int) {
        guard isEnabled else { return }
        book.withLock { book in
            let (place, crossed) = book.place(operation, status: status, tags: tags)
            book.record(place, crossed: crossed, seconds: seconds, weight: Double(count))
        }
    }

    /// One operation, status and set of tags, looked up once: for callers that record the same ones again and again.
    public struct Place: Sendable {
        fileprivate let index: Int
        fileprivate let crossed: CrossedLimits
    }

    public func place(
        operation: String, status: String = OperationRecorder.okStatus, tags: [Label] = []
    ) -> Place {
        let (index, crossed) = book.withLock { $0.place(operation, status: status, tags: tags) }
        return Place(index: index, crossed: crossed)
    }

    /// - Parameter seconds: not a `Duration`, whose arithmetic with 128 bits takes longer than all the rest.
    public func record(_ place: Place, seconds: Double?, count: Int = 1) {
        guard isEnabled else { return }
        book.withLock {
            $0.record(place.index, crossed: place.crossed, seconds: seconds, weight: Double(count))
        }
    }

    /// Says that an operation began, so that it is in flight until `end`.
    public func begin(operation: String) {
        guard isEnabled else { return }
        book.withLock { $0.begin(operation) }
    }

    /// Ends what `begin` began. `record` tells how it went.
    public func end(operation: String) {
        guard isEnabled else { return }
        book.withLock { $0.end(operation) }
    }

    /// Adds to a counter of the service's own. Negative amounts are dropped and counted.
    public func add(_ amount: Double, to counter: String, tags: [Label] = []) {
        guard isEnabled else { return }
        book.withLock { $0.add(amount, to: counter, tags) }
    }

    /// Sets a gauge of the service's own.
    public func set(_ gauge: String, to value: Double, tags: [Label] = []) {
        guard isEnabled else { return }
        book.withLock { $0.set(gauge, tags, to: value) }
    }

    /// One StatsD or DogStatsD packet. Malformed lines are counted, and logged once in ten seconds.
    func take(_ packet: Span<UInt8>) {
        guard isEnabled else { return }
        let entries = book.withLock { $0.take(packet) }
        for entry in entries {
            Log.warn(
                "malformed StatsD line",
                ["fault": entry.fault.rawValue, "line": entry.excerpt, "suppressed": "\(entry.suppressed)"])
        }
    }
}

// MARK: Telling

extension OperationRecorder {
    /// The name that `collect[]=` and `--collector.…` know.
    public static let collector = "operations"

    public func collect(_ round: CollectionRound) async -> [Collected] { collectedWhenLate(round) }

    public func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        guard servesMetrics, round.selection.contains(Self.collector) else { return [] }
        let tables = book.withLock { book in
            book.advance(to: .now)
            return book.tables
        }
        let texts = BoundTexts()
        return [
            Collected(
                Self.collector,
                tables.operations.families(tables.histograms, texts) + tables.counts.families
                    + [
                        Family(OperationMetrics.posted, Double(posted.count)),
                        Family(OperationMetrics.refused, Double(refused.count)),
                    ]),
            Collected(Self.collector, tables.custom.families(tables.histograms, texts), yields: true),
        ]
    }
}

extension OperationBook.Counts {
    fileprivate var families: [Family] {
        [
            Self.family(OperationMetrics.overLimit, "limit", zip(CrossedLimits.all.map(\.word), crossed)),
            Self.family(OperationMetrics.samples, "type", zip(StatsDKind.allCases.map(\.word), samples)),
            Self.family(
                OperationMetrics.malformed, "reason",
                // The receiver tells of those that were cut off.
                StatsDFault.allCases.filter { $0 != .truncated }.map { ($0.rawValue, malformed[$0] ?? 0) }),
            Self.family(OperationMetrics.dropped, "reason", zip(DropReason.allCases.map(\.word), dropped)),
            Self.family(
                OperationMetrics.events, "alert_type", StatsDEventKind.allCases.map { ($0.rawValue, events[$0] ?? 0) }),
            Family(OperationMetrics.serviceChecks, Double(serviceChecks)),
        ]
    }

    private static func family(
        _ metric: Metric, _ label: String, _ counts: some Sequence<(String, Int)>
    ) -> Family {
        Family(metric, counts.map { Sample(Labels([Label(label, $0)]), Double($1)) })
    }
}
