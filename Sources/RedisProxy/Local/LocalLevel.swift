import Cache
import Runtime
import Synchronization

/// The local level of the proxy: replies of Redis kept in this process. Shared by all loops; any thread may call it.
///
/// The promise: an answer is never older than the invalidation in flight; a client reads what clients of the same proxy
/// have written and were told of; nothing is older than its class's `max_age`, whatever happens. It rests on four things.
/// The `Freshness` says whether the connection that tells of changes is alive: while it is not, nothing is served. A fetch
/// holds a token that any change to its keys makes worthless. What a client writes is dropped before it is passed on and
/// again before its reply (`Settlement`). An entry lives no longer than its key, whose remaining lifetime is asked for in
/// front of the command.
final class LocalLevel: Sendable {
    let cache: LocalCache
    let freshness: Freshness
    let features: Features
    private let metrics: RedisProxyMetrics
    /// The databases, as bits, that something was ever kept of.
    private let databases = Atomic<UInt64>(0)
    /// Whether anything but plain values was ever kept, which is found by the tag of its keys.
    private let holdsReplies = Atomic<Bool>(false)

    init(_ cache: LocalCache, freshness: Freshness, features: Features, metrics: RedisProxyMetrics) {
        self.cache = cache
        self.freshness = freshness
        self.features = features
        self.metrics = metrics
    }

    // MARK: Changing

    /// Drops what depends on a key of Redis, in every database: messages of Redis do not say which.
    func invalidate(_ key: Span<UInt8>) {
        var known = databases.load(ordering: .acquiring)
        if known != 0 {
            let id = cache.cacheClass(for: key)
            var name: [UInt8] = []
            while known != 0 {
                EntryKey.write(value: key, database: known.trailingZeroBitCount, to: &name)
                cache.invalidate(name.span, in: id)
                known &= known - 1
            }
        }
        if holdsReplies.load(ordering: .acquiring) { cache.invalidate(tagged: key) }
    }

    /// Drops everything, and makes every fetch under way worthless.
    func invalidateAll() { cache.invalidateAll(nowMs: MonotonicClock.nowMs) }

    /// Called when a command is about to be passed on, and again when its reply, or the loss of it, is here.
    func apply(_ settlement: Settlement) {
        switch settlement {
        case .none, .caughtUp: return
        case .key(let key): invalidate(key.span)
        case .keys(let keys): for key in keys { invalidate(key.span) }
        case .everything: invalidateAll()
        }
        metrics.invalidations.own.add()
    }

    // MARK: Fetching

    /// Says that something of a database is about to be fetched, before the fetch begins: what is changed from now on has
    /// to be looked for there.
    func willHold(database: Int, isReply: Bool) {
        let bit = UInt64(1) << UInt64(database)
        if databases.load(ordering: .relaxed) & bit == 0 {
            databases.bitwiseOr(bit, ordering: .acquiringAndReleasing)
        }
        if isReply, !holdsReplies.load(ordering: .relaxed) { holdsReplies.store(true, ordering: .releasing) }
    }
}
