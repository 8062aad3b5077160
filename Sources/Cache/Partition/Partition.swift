import Runtime
import Synchronization

/// The part of the cache that holds one class, whatever its policy.
protocol Partition: AnyObject, Sendable {
    func lookup(_ hash: UInt64, _ key: Span<UInt8>, nowMs: Int, into output: inout [UInt8]) -> Lookup
    func contains(_ hash: UInt64, _ key: Span<UInt8>, nowMs: Int) -> Bool
    func beginFill(_ hash: UInt64, _ key: Span<UInt8>, _ request: FillRequest, _ id: CacheClass.ID, nowMs: Int)
        -> FillStart
    func fill(
        _ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry, _ token: FillToken, nowMs: Int
    ) -> FillResult
    func put(_ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry, nowMs: Int) -> FillResult
    func abandon(_ hash: UInt64, _ key: Span<UInt8>, _ token: FillToken)
    func wait(_ wait: FillWait) async -> FillEnd
    func wait(_ wait: FillWait, _ ended: @escaping @Sendable (FillEnd) -> Void)
    func invalidate(_ hash: UInt64, _ key: Span<UInt8>) -> Bool
    func invalidate(tag: UInt64) -> Int
    func invalidateAll(nowMs: Int)
    func tick(nowMs: Int)
    func free(share: Double, _ cause: EvictionCause)
    func resize(_ bounds: Bounds)
    func hotKeys(nowMs: Int, _ take: (_ hits: Int, _ key: [UInt8]) -> Void)
    var statistics: CacheStatistics { get }
    var usage: CacheUsage { get }
}

/// A partition with one policy: its state behind a lock, compression and waiting outside it.
///
/// Calls through `any Partition` reach the generic body, which copied the whole state at every touch: 900 ns a hit.
/// The calls of the hot path are therefore specialised for each policy of the catalogue, 80 to 320 ns a hit
/// (`make bench BENCH=cache-time`).
final class PolicyPartition<Policy: EvictionPolicy>: Partition {
    private let state: Mutex<PartitionState<Policy>>
    private let waiters = FillWaiters()
    private let rules: CacheRules

    /// Entries that are worked on before the lock is given to others.
    private static var lockBudget: Int { 256 }

    init(_ rules: CacheRules, bounds: Bounds, seed: UInt64, nowMs: Int) {
        self.rules = rules
        state = Mutex(PartitionState(rules, bounds: bounds, seed: seed, nowMs: nowMs))
    }

    @specialized(where Policy == S3FIFO)
    @specialized(where Policy == WTinyLFU)
    @specialized(where Policy == LRU)
    @specialized(where Policy == LFU)
    @specialized(where Policy == FIFO)
    @specialized(where Policy == SoonestExpiry)
    func lookup(_ hash: UInt64, _ key: Span<UInt8>, nowMs: Int, into output: inout [UInt8]) -> Lookup {
        let start = output.count
        switch state.withLock({ $0.lookup(hash, key, nowMs: nowMs, into: &output) }) {
        case .miss: return .miss
        case .absent(let hit): return .absent(hit)
        case .plain(let hit): return .hit(hit)
        case .packed(let hit):
            guard PackedValue.unpack(&output, from: start) else { return .miss }
            return .hit(hit)
        }
    }

    func contains(_ hash: UInt64, _ key: Span<UInt8>, nowMs: Int) -> Bool {
        state.withLock { $0.contains(hash, key, nowMs: nowMs) }
    }

    @specialized(where Policy == S3FIFO)
    @specialized(where Policy == WTinyLFU)
    @specialized(where Policy == LRU)
    @specialized(where Policy == LFU)
    @specialized(where Policy == FIFO)
    @specialized(where Policy == SoonestExpiry)
    func beginFill(_ hash: UInt64, _ key: Span<UInt8>, _ request: FillRequest, _ id: CacheClass.ID, nowMs: Int)
        -> FillStart
    {
        let (start, sequence) = state.withLock { state in
            (state.beginFill(hash, key, request, nowMs: nowMs), state.sequence)
        }
        switch start {
        case nil: return .present
        case .lead(let flight): return .lead(FillToken(cacheClass: id, id: flight, sequence: sequence))
        case .follow(let waiter): return .follow(FillWait(cacheClass: id, waiter: waiter))
        case .crowded: return .crowded
        }
    }

    @specialized(where Policy == S3FIFO)
    @specialized(where Policy == WTinyLFU)
    @specialized(where Policy == LRU)
    @specialized(where Policy == LFU)
    @specialized(where Policy == FIFO)
    @specialized(where Policy == SoonestExpiry)
    func fill(
        _ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry, _ token: FillToken, nowMs: Int
    ) -> FillResult {
        withPacked(value, entry) { value, entry in
            let (result, ended) = state.withLock {
                $0.fill(hash, key, value, entry, token: (token.id, token.sequence), nowMs: nowMs)
            }
            waiters.settle(ended, result == .stored ? .filled : .unfilled)
            return result
        }
    }

    @specialized(where Policy == S3FIFO)
    @specialized(where Policy == WTinyLFU)
    @specialized(where Policy == LRU)
    @specialized(where Policy == LFU)
    @specialized(where Policy == FIFO)
    @specialized(where Policy == SoonestExpiry)
    func put(_ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry, nowMs: Int) -> FillResult {
        withPacked(value, entry) { value, entry in
            let (result, ended) = state.withLock { $0.put(hash, key, value, entry, nowMs: nowMs) }
            waiters.settle(ended, result == .stored ? .filled : .unfilled)
            return result
        }
    }

    /// Calls `store` with the value as it is to be kept.
    private func withPacked(
        _ value: Span<UInt8>, _ entry: NewEntry, _ store: (Span<UInt8>, NewEntry) -> FillResult
    ) -> FillResult {
        // What is too long stays so, however small it could be made: it would have to be made long again.
        guard let threshold = rules.compressFromBytes, value.count >= threshold, value.count <= rules.mostValueBytes,
            let packed = PackedValue.pack(value)
        else { return store(value, entry) }
        var entry = entry
        entry.flags.insert(.compressed)
        entry.savedBytes = value.count - packed.count
        return store(packed.span, entry)
    }

    func abandon(_ hash: UInt64, _ key: Span<UInt8>, _ token: FillToken) {
        waiters.settle(state.withLock { $0.abandon(hash, key, id: token.id) }, .unfilled)
    }

    func wait(_ wait: FillWait) async -> FillEnd { await waiters.wait(wait.waiter) }

    func wait(_ wait: FillWait, _ ended: @escaping @Sendable (FillEnd) -> Void) { waiters.wait(wait.waiter, ended) }

    @specialized(where Policy == S3FIFO)
    @specialized(where Policy == WTinyLFU)
    @specialized(where Policy == LRU)
    @specialized(where Policy == LFU)
    @specialized(where Policy == FIFO)
    @specialized(where Policy == SoonestExpiry)
    func invalidate(_ hash: UInt64, _ key: Span<UInt8>) -> Bool {
        let (wasThere, ended) = state.withLock { $0.invalidate(hash, key) }
        waiters.settle(ended, .unfilled)
        return wasThere
    }

    func invalidate(tag: UInt64) -> Int { state.withLock { $0.invalidate(tag: tag) } }

    func invalidateAll(nowMs: Int) {
        // What was there is let go of after the lock.
        let (_, ended) = state.withLock { $0.invalidateAll(nowMs: nowMs) }
        waiters.settle(ended, .unfilled)
    }

    func tick(nowMs: Int) {
        while !state.withLock({ $0.expire(nowMs: nowMs, budget: Self.lockBudget) }) {}
        waiters.settle(state.withLock { $0.overdueWaiters(nowMs: nowMs) }, .timedOut)
    }

    func free(share: Double, _ cause: EvictionCause) {
        let target = state.withLock { Int(Double($0.directory.weight) * (1 - min(max(share, 0), 1))) }
        while state.withLock({ $0.shrink(to: target, cause, budget: Self.lockBudget) }) {}
    }

    func resize(_ bounds: Bounds) {
        state.withLock { $0.resize(bounds) }
        while state.withLock({ $0.shrink(to: bounds.weight, .bytes, budget: Self.lockBudget) }) {}
    }

    func hotKeys(nowMs: Int, _ take: (_ hits: Int, _ key: [UInt8]) -> Void) {
        var next: Int? = 0
        while let start = next {
            next = state.withLock { $0.hotKeys(from: start, count: 16 * Self.lockBudget, nowMs: nowMs, take) }
        }
    }

    var statistics: CacheStatistics { state.withLock { $0.statistics } }
    var usage: CacheUsage { state.withLock { $0.usage } }
}

/// What a look into the cache found.
public enum Lookup: Sendable, Equatable {
    /// The value was appended to the output.
    case hit(Hit)
    /// It is known that there is no such thing.
    case absent(Hit)
    case miss
}
