import Runtime
import Synchronization

/// Keeps a cache tidy: removes what has expired, ends overdue waits, and gives memory back when it is short.
public final class CacheKeeper: Sendable {
    private let cache: LocalCache
    private let read: @Sendable () -> MemoryReading
    private let governor: Mutex<MemoryGovernor>
    private let freed = Mutex<[MemoryTrigger: Int]>([:])

    /// - Parameter read: how full the memory is; blocks for some file reads.
    public init(
        _ cache: LocalCache, _ rules: MemoryGovernor.Rules,
        read: @escaping @Sendable () -> MemoryReading = { MemoryReading.now() }
    ) {
        self.cache = cache
        self.read = read
        governor = Mutex(MemoryGovernor(rules))
    }

    /// One round. Between two, an entry that has expired is not served, but takes room.
    public func step(nowMs: Int) {
        cache.tick(nowMs: nowMs)
        guard governor.withLock({ $0.isDue(nowMs: nowMs) }) else { return }
        let reading = read()
        let own = cache.memory
        guard let decision = governor.withLock({ $0.check(reading, own: own, nowMs: nowMs) }) else { return }
        cache.free(share: decision.share, .memory)
        freed.withLock { $0[decision.trigger, default: 0] += 1 }
        Log.warn(
            "cache freed memory",
            [
                "trigger": decision.trigger.rawValue, "share": "\(decision.share)",
                "bytes_before": "\(own.residentBytes)",
            ])
    }

    /// Rounds until the task is cancelled.
    public func run(every pause: Duration = .milliseconds(100)) async {
        while !Task.isCancelled {
            step(nowMs: MonotonicClock.nowMs)
            // Cancelled while it sleeps: the loop ends.
            try? await Task.sleep(for: pause)
        }
    }

    /// How often memory was freed, by trigger.
    public var frees: [MemoryTrigger: Int] { freed.withLock { $0 } }
}
