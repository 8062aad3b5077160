import Runtime
import Synchronization

/// Asks every source at once and hands the same answer to everybody who wants it at that time.
///
/// Scrapes that overlap share one collection, and one that finished less than `minAge` ago is served again. A source that
/// is late is left out with its success metrics at 0, and it is not asked again before it has come back.
public final class Registry: Sendable {
    private let state: Mutex<State>

    /// How much is asked and kept.
    public struct Rules: Sendable {
        /// How long a finished collection is served again.
        public var minAge: Duration
        /// Series that one collector may bring.
        public var seriesLimit: Int

        public init(minAge: Duration, seriesLimit: Int) { (self.minAge, self.seriesLimit) = (minAge, seriesLimit) }
    }

    /// Series left out because their collector had brought `seriesLimit` already.
    public let seriesDropped = CounterFamily(
        .counter(
            "outrigger_series_dropped_total", "Series left out because their collector reached its limit of series."),
        labelNames: ["collector"])

    /// Series left out because their names are not the service's to give.
    public let namesRefused = CounterFamily(
        .counter(
            "outrigger_series_name_taken_total",
            "Series of the service's own metrics left out because Outrigger serves their name."))

    fileprivate struct State {
        var rules: Rules
        var sources: [SourceSlot] = []
        /// Collectors that have lost series.
        var cut: Set<String> = []
        var owners = NameOwners()
        var gatherings: [CollectorSelection: Gathering] = [:]
    }

    public init(_ rules: Rules) { state = Mutex(State(rules: rules)) }

    public convenience init(minAge: Duration, seriesLimit: Int) {
        self.init(Rules(minAge: minAge, seriesLimit: seriesLimit))
    }

    /// From the next collection on.
    public func use(_ rules: Rules) { state.withLock { $0.rules = rules } }

    public func add(_ source: any MetricSource) {
        state.withLock { $0.sources.append(SourceSlot(source)) }
    }

    /// Puts these sources in the place of all others: what a reload does. Collections under way finish as they began.
    public func replaceSources(_ sources: [any MetricSource]) {
        state.withLock {
            $0.sources = sources.map(SourceSlot.init)
            $0.owners = NameOwners()
            $0.gatherings = [:]
        }
    }

    /// What all sources know, at `deadline` at the latest.
    public func gather(_ selection: CollectorSelection = .all, by deadline: Deadline) async -> Snapshot {
        let (gathering, isNew) = state.withLock { $0.gathering(for: selection, deadline: deadline) }
        if isNew { gathering.start() }
        var collected = await gathering.results(by: deadline)
        let refused = state.withLock { $0.owners.settle(&collected) }
        if refused.series > 0 { namesRefused.with([]).add(refused.series) }
        for name in refused.names {
            Log.warn("a metric of the service is left out: its name is taken", ["metric": name])
        }
        var snapshot = Snapshot()
        let seriesLimit = state.withLock { $0.rules.seriesLimit }
        for part in collected { append(part, atMost: seriesLimit, to: &snapshot) }
        return snapshot
    }

    private func append(_ part: Collected, atMost seriesLimit: Int, to snapshot: inout Snapshot) {
        var room = seriesLimit
        for var family in part.families {
            let excess = family.samples.count - room
            if excess > 0 {
                seriesDropped.with([part.collector]).add(excess)
                noteCut(part.collector, limit: seriesLimit)
                family.samples.removeLast(excess)
            }
            room -= family.samples.count
            snapshot.families.append(family)
        }
    }

    /// Said once for each collector; the counter tells the rest.
    private func noteCut(_ collector: String, limit: Int) {
        guard state.withLock({ $0.cut.insert(collector).inserted }) else { return }
        Log.warn(
            "series are left out: a collector has more than its limit",
            ["collector": collector, "limit": "\(limit)"])
    }
}

extension Registry.State {
    /// The collection that answers a scrape which begins now, and whether it must still be started.
    fileprivate mutating func gathering(
        for selection: CollectorSelection, deadline: Deadline
    ) -> (Gathering, isNew: Bool) {
        let minAge = rules.minAge
        if let known = gatherings[selection], known.serves(minAge: minAge) { return (known, false) }
        gatherings = gatherings.filter { $0.value.serves(minAge: minAge) }
        let fresh = Gathering(sources, round: CollectionRound(deadline: deadline, selection: selection))
        gatherings[selection] = fresh
        return (fresh, true)
    }
}

/// A source, and whether an earlier collection still waits for it.
private final class SourceSlot: Sendable {
    let source: any MetricSource
    private let isBusy = Atomic<Bool>(false)

    init(_ source: any MetricSource) { self.source = source }

    func begin() -> Bool {
        isBusy.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
    }
    func end() { isBusy.store(false, ordering: .releasing) }
}

/// One collection under way or finished, with everybody who waits for it.
private final class Gathering: Sendable {
    private let sources: [SourceSlot]
    private let round: CollectionRound
    private let state: Mutex<State>

    private struct State {
        var results: [[Collected]?]
        var missing: Int
        var finishedAt: ContinuousClock.Instant?
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
        var nextWaiter = 0
    }

    init(_ sources: [SourceSlot], round: CollectionRound) {
        self.sources = sources
        self.round = round
        state = Mutex(State(results: Array(repeating: nil, count: sources.count), missing: sources.count))
    }

    /// Whether a scrape that begins now may have this collection's answer.
    func serves(minAge: Duration) -> Bool {
        state.withLock { state in
            guard let finished = state.finishedAt else { return !round.deadline.hasPassed }
            return ContinuousClock.now - finished < minAge
        }
    }

    func start() {
        if sources.isEmpty { state.withLock { $0.finishedAt = .now } }
        for (index, slot) in sources.enumerated() {
            guard slot.begin() else {
                deliver(slot.source.collectedWhenLate(round), at: index)
                continue
            }
            Task {
                let collected = await slot.source.collect(round)
                slot.end()
                deliver(collected, at: index)
            }
        }
    }

    private func deliver(_ collected: [Collected], at index: Int) {
        let waiters = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.results[index] = collected
            state.missing -= 1
            guard state.missing == 0 else { return [] }
            state.finishedAt = .now
            defer { state.waiters = [:] }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Waits until every source has answered or the deadline has come, whichever is first.
    func results(by deadline: Deadline) async -> [Collected] {
        let ticket = state.withLock { state -> Int? in
            guard state.missing > 0 else { return nil }
            state.nextWaiter += 1
            return state.nextWaiter
        }
        if let ticket { await wait(ticket, until: deadline) }
        let results = state.withLock { $0.results }
        return zip(results, sources).flatMap { $0 ?? $1.source.collectedWhenLate(round) }
    }

    private func wait(_ ticket: Int, until deadline: Deadline) async {
        let alarm = Task {
            // Cancelled when the answers came first; then there is nobody left to wake.
            guard (try? await Task.sleep(until: deadline.instant, clock: .continuous)) != nil else { return }
            state.withLock { $0.waiters.removeValue(forKey: ticket) }?.resume()
        }
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.missing > 0, !deadline.hasPassed else { return true }
                state.waiters[ticket] = continuation
                return false
            }
            if isOver { continuation.resume() }
        }
        alarm.cancel()
    }
}
