import Runtime

/// Entries that are kept alike: a name, the keys it is for, and how long, how, and in how much of the memory they live.
public struct CacheClass: Sendable, Equatable {
    /// The number of a class in its cache.
    public struct ID: Sendable, Hashable {
        public let index: Int
    }

    /// What a proxy does about writes to keys of the class.
    public enum WriteMode: String, CaseIterable, Sendable {
        /// Written beside the cache: the entry is dropped.
        case aside
        /// Written to the second level first, then here.
        case through
        /// Acknowledged once it is logged, written to the second level later.
        case behind
    }

    /// What a proxy answers while the second level is gone.
    public enum OnFailure: String, CaseIterable, Sendable {
        /// An error.
        case fail
        /// What is known, up to an age, though nobody tells of changes.
        case stale
        /// The same, and plain writes are taken into memory; they are discarded afterwards.
        case memory
    }

    /// A label of metrics, so one of few.
    public var name: String
    /// A key belongs to the first class one of whose patterns matches it.
    public var patterns: [KeyPattern]
    public var ttl: Duration
    /// No entry gets older, whatever lifetime is asked for it. At most 20 days.
    public var maxAge: Duration
    /// How long "there is no such thing" is believed; zero not to keep it.
    public var negativeTTL: Duration
    public var eviction: Eviction
    /// Of the cache's bounds, 0 to 1. Nil for an equal part of what the others leave.
    public var share: Double?
    public var writeMode: WriteMode
    public var admitsOnSecondSight: Bool
    /// A hot entry with less than this share of its life left is fetched anew; 0 for never.
    public var refreshShare: Double
    public var onFailure = OnFailure.fail
    /// How old an answer may be while the second level is gone.
    public var staleFor = Duration.seconds(3600)
    /// Counters in memory begin from nothing, so somebody has to want that.
    public var takesCountersOnFailure = false
    /// Locks in memory may be granted to others as well.
    public var takesLocksOnFailure = false

    public init(
        name: String, patterns: [KeyPattern] = [], ttl: Duration = .seconds(600), maxAge: Duration = .seconds(86_400),
        negativeTTL: Duration = .zero, eviction: Eviction = .s3fifo, share: Double? = nil,
        writeMode: WriteMode = .aside,
        admitsOnSecondSight: Bool = false, refreshShare: Double = 0
    ) {
        self.name = name
        self.patterns = patterns
        self.ttl = ttl
        self.maxAge = maxAge
        self.negativeTTL = negativeTTL
        self.eviction = eviction
        self.share = share
        self.writeMode = writeMode
        self.admitsOnSecondSight = admitsOnSecondSight
        self.refreshShare = refreshShare
    }

    /// The lifetimes of a matchmaking service, as an example: `cache.presets` puts them to use.
    public static let presets = [
        CacheClass(
            name: "active_queue", patterns: ["queue:active:*"], ttl: .seconds(300), share: 0.2, refreshShare: 0.1),
        CacheClass(name: "task_progress", patterns: ["task:progress:*"], ttl: .seconds(60), eviction: .lru, share: 0.1),
        CacheClass(
            name: "player_statistics", patterns: ["player:stats:*", "player:statistics:*"], ttl: .seconds(600),
            share: 0.3, refreshShare: 0.1),
        CacheClass(
            name: "frequent", patterns: ["frequent:*", "hot:*"], ttl: .seconds(1800), eviction: .wtinylfu, share: 0.2,
            admitsOnSecondSight: true, refreshShare: 0.1),
    ]
}

extension KeyPattern: ExpressibleByStringLiteral {
    public init(stringLiteral text: String) { self.init(text) }
}
