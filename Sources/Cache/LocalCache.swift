import Runtime
import Synchronization

/// The local level of caching: keys and values are bytes, held in this process, in classes with rules of their own.
///
/// Every call names the class, found once by `cacheClass(for:)`, and the time in milliseconds on a clock that never
/// goes back (`MonotonicClock`). Calls may come from any thread; each takes one short lock. Nothing here waits but
/// `wait(for:)`.
///
/// On a miss one caller leads: `beginFill`, fetch, `fill` with the token. A token is refused once its key, one of the
/// tags or everything was invalidated, so a fetch that was overtaken by a write never stores what it brought.
public final class LocalCache: Sendable {
    /// The last is for keys that no pattern matches.
    public let classes: [CacheClass]
    private let partitions: [any Partition]
    private let limits: Limits
    /// What `resize` set last.
    private let bounds: Mutex<(bytes: Int, entries: Int)>
    private let seed: UInt64

    /// What all classes share.
    public struct Limits: Sendable, Equatable {
        public var bytes: Int
        public var entries: Int
        /// Values of at least this length are compressed when that pays; nil for none.
        public var compressFromBytes: Int?
        public var mostValueBytes: Int
        /// Up to this share is taken off every lifetime at random.
        public var jitter: Double
        public var estimatesHitRatios: Bool
        /// After this long a fetch without an end is taken over by whoever asks next.
        public var fillPatience: Duration

        public init(
            bytes: Int = 64 << 20, entries: Int = .max, compressFromBytes: Int? = 16 << 10,
            mostValueBytes: Int = 1 << 20, jitter: Double = 0.1, estimatesHitRatios: Bool = true,
            fillPatience: Duration = .seconds(10)
        ) {
            self.bytes = bytes
            self.entries = entries
            self.compressFromBytes = compressFromBytes
            self.mostValueBytes = mostValueBytes
            self.jitter = jitter
            self.estimatesHitRatios = estimatesHitRatios
            self.fillPatience = fillPatience
        }

        /// Charged for each entry beside key and value: slot, index, record head, ghosts.
        public static let overheadBytes = 88
    }

    /// - Parameters:
    ///   - classes: the last takes what no pattern matches.
    ///   - seed: the same seed gives the same jitter and the same places; nil for another one in each process.
    public init(classes: [CacheClass], limits: Limits = Limits(), seed: UInt64? = nil, nowMs: Int) {
        precondition(!classes.isEmpty)
        var random = SystemRandomNumberGenerator()
        let seed = seed ?? random.next()
        self.classes = classes
        self.limits = limits
        self.seed = seed
        bounds = Mutex((limits.bytes, limits.entries))
        partitions = zip(classes, LocalCache.bounds(classes, limits)).enumerated().map { index, pair in
            pair.0.eviction.partition(
                CacheRules(pair.0, limits), bounds: pair.1, seed: seed &+ UInt64(index), nowMs: nowMs)
        }
    }

    /// The class of a key, by its name as people know it: for Redis the key, not the command.
    public func cacheClass(for name: Span<UInt8>) -> CacheClass.ID {
        let last = classes.count - 1
        for index in 0..<last {
            for pattern in classes[index].patterns where pattern.matches(name) { return CacheClass.ID(index: index) }
        }
        return CacheClass.ID(index: last)
    }

    public func cacheClass(named name: String) -> CacheClass.ID? {
        classes.firstIndex { $0.name == name }.map { CacheClass.ID(index: $0) }
    }

    // MARK: Looking

    /// Appends the value of a key to `output`, if it is here.
    public func lookup(_ key: Span<UInt8>, in id: CacheClass.ID, nowMs: Int, into output: inout [UInt8]) -> Lookup {
        partitions[id.index].lookup(hash(key), key, nowMs: nowMs, into: &output)
    }

    /// Whether the key is here; counts as no use.
    public func contains(_ key: Span<UInt8>, in id: CacheClass.ID, nowMs: Int) -> Bool {
        partitions[id.index].contains(hash(key), key, nowMs: nowMs)
    }

    // MARK: Filling

    /// Says that the caller would fetch a key.
    ///
    /// - Parameters:
    ///   - tags: what the value depends on, as far as it is known already; a fetch whose tags were invalidated is not
    ///     joined.
    ///   - isRefresh: the key is here, and is to be replaced.
    ///   - waitUntilMs: how long the caller would wait for somebody else's fetch.
    public func beginFill(
        _ key: Span<UInt8>, in id: CacheClass.ID, tags: [CacheTag] = [], isRefresh: Bool = false,
        waitUntilMs: Int = .max, nowMs: Int
    ) -> FillStart {
        let request = FillRequest(tags: tags.map { hash($0) }, isRefresh: isRefresh, waitUntilMs: waitUntilMs)
        return partitions[id.index].beginFill(hash(key), key, request, id, nowMs: nowMs)
    }

    /// Stores what was fetched, unless it may be out of date.
    ///
    /// - Parameters:
    ///   - ttl: how long it lives; nil for the class's. The class's maximum age and the jitter only shorten it.
    ///   - tags: at most 255.
    ///   - isKnownHot: it is stored even where a class waits for the second request.
    public func fill(
        _ token: FillToken, _ key: Span<UInt8>, _ value: Span<UInt8>, ttl: Duration? = nil, tags: [CacheTag] = [],
        isKnownHot: Bool = false, nowMs: Int
    ) -> FillResult {
        var entry = NewEntry(ttlMs: ttl?.milliseconds, tags: tags.map { hash($0) })
        entry.isKnownHot = isKnownHot
        return partitions[token.cacheClass.index].fill(hash(key), key, value, entry, token, nowMs: nowMs)
    }

    /// Stores that there is no such thing, if the class keeps that. Errors are no such answer: abandon those.
    public func fillAbsent(
        _ token: FillToken, _ key: Span<UInt8>, ttl: Duration? = nil, tags: [CacheTag] = [], nowMs: Int
    ) -> FillResult {
        let entry = NewEntry(ttlMs: ttl?.milliseconds, tags: tags.map { hash($0) }, flags: .absent)
        return partitions[token.cacheClass.index].fill(hash(key), key, Span(), entry, token, nowMs: nowMs)
    }

    /// The fetch failed; whoever waits may try.
    public func abandon(_ token: FillToken, _ key: Span<UInt8>) {
        partitions[token.cacheClass.index].abandon(hash(key), key, token)
    }

    /// Waits for somebody else's fetch, until it ends, the time given to `beginFill` is over (by `tick`), or the task
    /// is cancelled. Every `.follow` must be waited for once.
    public func wait(for wait: FillWait) async -> FillEnd { await partitions[wait.cacheClass.index].wait(wait) }

    /// The same for callers that are no tasks, such as event loops: `ended` is called once, on whichever thread ends the
    /// fetch, and must not block.
    public func wait(for wait: FillWait, _ ended: @escaping @Sendable (FillEnd) -> Void) {
        partitions[wait.cacheClass.index].wait(wait, ended)
    }

    /// Stores a value that was just written, which is newer than anything being fetched.
    public func put(
        _ key: Span<UInt8>, _ value: Span<UInt8>, in id: CacheClass.ID, ttl: Duration? = nil, tags: [CacheTag] = [],
        nowMs: Int
    ) -> FillResult {
        let entry = NewEntry(ttlMs: ttl?.milliseconds, tags: tags.map { hash($0) })
        return partitions[id.index].put(hash(key), key, value, entry, nowMs: nowMs)
    }

    // MARK: Invalidating

    /// Drops a key and makes worthless what is being fetched for it.
    ///
    /// - Returns: whether it was here.
    @discardableResult
    public func invalidate(_ key: Span<UInt8>, in id: CacheClass.ID) -> Bool {
        partitions[id.index].invalidate(hash(key), key)
    }

    /// Drops everything that carries a tag, in every class, in O(1) for each class.
    ///
    /// - Returns: how many entries carried it.
    @discardableResult
    public func invalidate(_ tag: CacheTag) -> Int { invalidate(tagged: tag.bytes.span) }

    /// The same, for a tag of these bytes.
    @discardableResult
    public func invalidate(tagged bytes: Span<UInt8>) -> Int {
        let hash = hash(bytes)
        return partitions.reduce(0) { $0 + $1.invalidate(tag: hash) }
    }

    /// Drops a class, in O(1) under its lock.
    public func invalidateAll(in id: CacheClass.ID, nowMs: Int) { partitions[id.index].invalidateAll(nowMs: nowMs) }

    /// Drops everything and makes every token worthless: a new epoch.
    public func invalidateAll(nowMs: Int) {
        for partition in partitions { partition.invalidateAll(nowMs: nowMs) }
    }

    // MARK: Keeping house

    /// Removes what has expired and ends waits that are overdue. To be called a few times a second; fills do part of
    /// it too.
    public func tick(nowMs: Int) {
        for partition in partitions { partition.tick(nowMs: nowMs) }
    }

    /// Evicts a share of every class and gives the memory back.
    public func free(share: Double, _ cause: EvictionCause = .requested) {
        for partition in partitions { partition.free(share: share, cause) }
    }

    /// Sets other bounds; what is over them is evicted.
    public func resize(bytes: Int, entries: Int) {
        var limits = limits
        (limits.bytes, limits.entries) = (bytes, entries)
        bounds.withLock { $0 = (bytes, entries) }
        for (partition, bounds) in zip(partitions, LocalCache.bounds(classes, limits)) { partition.resize(bounds) }
    }

    public func statistics(of id: CacheClass.ID) -> CacheStatistics { partitions[id.index].statistics }
    public func usage(of id: CacheClass.ID) -> CacheUsage { partitions[id.index].usage }

    /// What the cache takes in all, and what it may take.
    public var memory: MemoryGovernor.Own {
        let resident = partitions.reduce(0) { $0 + $1.usage.residentBytes }
        return MemoryGovernor.Own(residentBytes: resident, boundBytes: bounds.withLock { $0.bytes })
    }

    /// The keys that were hit most, the hottest first.
    public func hotKeys(limit: Int, nowMs: Int) -> [(cacheClass: CacheClass.ID, key: [UInt8])] {
        var hottest = HottestKeys(limit: limit)
        for (index, partition) in partitions.enumerated() {
            partition.hotKeys(nowMs: nowMs) { hits, key in
                hottest.add(hits: hits, CacheClass.ID(index: index), key)
            }
        }
        return hottest.sorted
    }

    private func hash(_ key: Span<UInt8>) -> UInt64 { KeyHash.hash(key, seed: seed) }
    private func hash(_ tag: CacheTag) -> UInt64 { KeyHash.hash(tag.bytes.span, seed: seed) }

    /// The classes' parts. A sixth is kept back for what lies dead in the logs, and for the shadows.
    private static func bounds(_ classes: [CacheClass], _ limits: Limits) -> [Bounds] {
        let given = classes.reduce(0) { $0 + ($1.share ?? 0) }
        let takers = classes.count { $0.share == nil }
        let rest = takers == 0 ? 0 : max(0, 1 - given) / Double(takers)
        let usable = limits.bytes == .max ? .max : limits.bytes / 6 * 5
        return classes.map { cacheClass in
            let share = (cacheClass.share ?? rest) / max(1, given)
            return Bounds(weight: part(usable, share), entries: max(1, part(limits.entries, share)))
        }
    }

    private static func part(_ whole: Int, _ share: Double) -> Int {
        share >= 1 || whole == .max ? whole : Int(Double(whole) * share)
    }
}

/// Something that values depend on: a table, a Redis key. Any bytes.
public struct CacheTag: Sendable, Hashable {
    public let bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }
    public init(_ text: String) { bytes = Array(text.utf8) }
}

extension CacheRules {
    init(_ cacheClass: CacheClass, _ limits: LocalCache.Limits) {
        self.init(
            weighing: limits.bytes == .max ? .entries : .bytes(overhead: LocalCache.Limits.overheadBytes),
            ttlMs: cacheClass.ttl.milliseconds, maxAgeMs: cacheClass.maxAge.milliseconds)
        negativeTTLMs = cacheClass.negativeTTL.milliseconds
        jitter = limits.jitter
        admitsOnSecondSight = cacheClass.admitsOnSecondSight
        refreshShare = cacheClass.refreshShare
        compressFromBytes = limits.compressFromBytes
        mostValueBytes = limits.mostValueBytes
        estimates = limits.estimatesHitRatios
        fillLimits.patienceMs = limits.fillPatience.milliseconds
    }
}
