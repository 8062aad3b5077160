import Runtime

/// Who is fetching which key, and who waits for it. Decides only; the waiting itself is `FillWaiters`.
struct FillTable {
    typealias WaiterID = UInt64

    private struct Flight {
        let key: [UInt8]
        var id: UInt64
        var sequence: UInt64
        var startedMs: Int
        var tags: [UInt64]
        var waiters: [WaiterID] = []
    }

    struct Limits {
        var flights = 4096
        var waiters = 16_384
        /// After this long without an end a fetch is taken over by whoever asks next.
        var patienceMs = 10_000
    }

    enum Start: Equatable {
        case lead(id: UInt64)
        case follow(WaiterID)
        case crowded
    }

    private let limits: Limits
    /// By the whole hash of the key, which is compared beside it.
    private var flights: [UInt64: Flight] = [:]
    private var deadlines: [WaiterID: Int] = [:]
    private var soonestDeadlineMs = Int.max
    private var lastID: UInt64 = 0

    init(limits: Limits = Limits()) { self.limits = limits }

    var count: Int { flights.count }
    var waiterCount: Int { deadlines.count }

    /// - Parameters:
    ///   - sequence: invalidations so far.
    ///   - isStale: whether a fetch that began at that point with these tags would be refused.
    mutating func start(
        _ hash: UInt64, _ key: Span<UInt8>, tags: [UInt64], sequence: UInt64, nowMs: Int, waitUntilMs: Int,
        isStale: (_ tags: [UInt64], _ sequence: UInt64) -> Bool
    ) -> Start {
        guard let flight = flights[hash] else { return lead(hash, key, tags, sequence, nowMs) }
        guard flight.key.span.hasSameBytes(as: key) else { return .crowded }
        if nowMs - flight.startedMs >= limits.patienceMs || isStale(flight.tags, flight.sequence) {
            return takeOver(hash, tags, sequence, nowMs)
        }
        guard deadlines.count < limits.waiters else { return .crowded }
        lastID += 1
        flights[hash]?.waiters.append(lastID)
        deadlines[lastID] = waitUntilMs
        soonestDeadlineMs = min(soonestDeadlineMs, waitUntilMs)
        return .follow(lastID)
    }

    /// Whether the holder of the token is still the one who fetches the key.
    func isCurrent(_ hash: UInt64, id: UInt64) -> Bool { flights[hash]?.id == id }

    /// The fetch of a key is over.
    ///
    /// - Parameter id: only if this is who fetches it; nil for whoever does.
    /// - Returns: those who waited for it.
    mutating func end(_ hash: UInt64, id: UInt64? = nil) -> [WaiterID] {
        guard let flight = flights[hash], id == nil || flight.id == id else { return [] }
        flights[hash] = nil
        for waiter in flight.waiters { deadlines[waiter] = nil }
        return flight.waiters
    }

    mutating func endAll() -> [WaiterID] {
        let waiters = Array(deadlines.keys)
        flights = [:]
        deadlines = [:]
        soonestDeadlineMs = .max
        return waiters
    }

    /// Those who have waited as long as they wanted to.
    mutating func overdue(nowMs: Int) -> [WaiterID] {
        guard nowMs >= soonestDeadlineMs else { return [] }
        let overdue = deadlines.filter { $0.value <= nowMs }.map(\.key)
        for waiter in overdue { deadlines[waiter] = nil }
        soonestDeadlineMs = deadlines.values.min() ?? .max
        return overdue
    }

    private mutating func lead(
        _ hash: UInt64, _ key: Span<UInt8>, _ tags: [UInt64], _ sequence: UInt64, _ nowMs: Int
    ) -> Start {
        if flights.count >= limits.flights { dropAbandoned(nowMs) }
        guard flights.count < limits.flights else { return .crowded }
        lastID += 1
        var bytes: [UInt8] = []
        bytes.append(bytes: key)
        flights[hash] = Flight(key: bytes, id: lastID, sequence: sequence, startedMs: nowMs, tags: tags)
        return .lead(id: lastID)
    }

    /// A new leader for a key; those who wait go on waiting, for something newer than they hoped for.
    private mutating func takeOver(_ hash: UInt64, _ tags: [UInt64], _ sequence: UInt64, _ nowMs: Int) -> Start {
        lastID += 1
        flights[hash]?.id = lastID
        flights[hash]?.sequence = sequence
        flights[hash]?.startedMs = nowMs
        flights[hash]?.tags = tags
        return .lead(id: lastID)
    }

    /// Forgets fetches whose leaders went away without a word and that nobody waits for.
    private mutating func dropAbandoned(_ nowMs: Int) {
        flights = flights.filter { nowMs - $0.value.startedMs < limits.patienceMs || !$0.value.waiters.isEmpty }
    }
}
