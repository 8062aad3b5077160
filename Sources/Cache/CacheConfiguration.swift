import Runtime

/// The settings under `cache.`, checked.
public struct CacheConfiguration: Sendable, Equatable {
    public let limits: LocalCache.Limits
    /// The last is called `default`.
    public let classes: [CacheClass]
    public let memory: MemoryGovernor.Rules
    /// How many hot keys are saved for the next start; 0 for none.
    public let hotKeys: Int

    public init(_ settings: Settings) throws(SettingsError) {
        limits = try LocalCache.Limits(settings)
        let fallback = try CacheClass(settings)
        classes = try CacheClass.all(settings, like: fallback)
        memory = try MemoryGovernor.Rules(settings)
        hotKeys = try settings.read(
            "cache.hot_keys", default: 1000, "Hot keys to save for warming at the next start; 0 for none.",
            in: 0...1_000_000)
    }

    /// The cache that was asked for.
    public func makeCache(nowMs: Int = MonotonicClock.nowMs) -> LocalCache {
        LocalCache(classes: classes, limits: limits, nowMs: nowMs)
    }
}

extension LocalCache.Limits {
    fileprivate init(_ settings: Settings) throws(SettingsError) {
        self.init()
        bytes =
            try settings.read(
                "cache.max_bytes", default: ByteCount(64 << 20), "Memory for the cache, everything included.",
                in: ByteCount(64 << 10)...ByteCount(1 << 50)
            ).bytes
        entries = try settings.read(
            "cache.max_entries", default: 100_000_000, "Entries at most.", aliases: ["PERFORMANCE_CACHE_MAX_SIZE"],
            in: 1...1_000_000_000)
        mostValueBytes =
            try settings.read(
                "cache.max_value_bytes", default: ByteCount(1 << 20), "Longer values are not kept.",
                in: ByteCount(1)...ByteCount(1 << 30)
            ).bytes
        jitter = try settings.read(
            "cache.jitter", default: 0.1,
            "Share of its lifetime by which an entry may expire early, at random, so that not all expire together.",
            in: 0...0.9)
        let isCompressed = try settings.read(
            "cache.compression", default: true, "Compress large values in memory when that saves a quarter.",
            aliases: ["PERFORMANCE_ENABLE_COMPRESSION"])
        let threshold = try settings.read(
            "cache.compression_threshold", default: ByteCount(16 << 10), "Values of this size and more are compressed.",
            in: ByteCount(256)...ByteCount(1 << 30))
        compressFromBytes = isCompressed ? threshold.bytes : nil
        fillPatience = try settings.read(
            "cache.fill_timeout", default: .seconds(10),
            "After this long without an answer, the next request fetches a key anew.",
            in: .milliseconds(1)...(.seconds(3600)))
    }
}

extension CacheClass {
    private static let longest = Duration.milliseconds(CacheRules.longestMs)

    /// The class of all keys that no other class is for, after which the others take what they do not say.
    fileprivate init(_ settings: Settings) throws(SettingsError) {
        self.init(name: "default")
        eviction = try settings.read(
            "cache.strategy", oneOf: Eviction.self, default: .s3fifo, "Which entry has to go when the cache is full.",
            aliases: ["PERFORMANCE_CACHE_STRATEGY"])
        ttl = try settings.read(
            "cache.ttl", default: .seconds(600), "How long an entry lives.", aliases: ["PERFORMANCE_CACHE_TTL"],
            in: .milliseconds(1)...CacheClass.longest)
        maxAge = try settings.read(
            "cache.max_age", default: .seconds(86_400), "No entry gets older, whatever lifetime is asked for it.",
            in: .milliseconds(1)...CacheClass.longest)
        negativeTTL = try settings.read(
            "cache.negative_ttl", default: .seconds(60),
            "How long \"there is no such thing\" is kept; 0 not to keep it.",
            in: .zero...CacheClass.longest)
        writeMode = try settings.read(
            "cache.write", oneOf: WriteMode.self, default: .aside, "What becomes of writes.")
        admitsOnSecondSight = try settings.read(
            "cache.second_sight", default: false, "Keep a value only when its key is asked for a second time.")
        refreshShare = try settings.read(
            "cache.refresh_ahead", default: 0,
            "Fetch a hot entry anew when less than this share of its life is left; 0 for never.", in: 0...0.9)
        onFailure = try settings.read(
            "cache.on_failure", oneOf: OnFailure.self, default: .fail,
            "While Redis is gone: an error, what is known up to stale_for, or that and plain writes into memory.")
        staleFor = try settings.read(
            "cache.stale_for", default: .seconds(3600), "How old an answer may be while Redis is gone.",
            in: .zero...CacheClass.longest)
        takesCountersOnFailure = try settings.read(
            "cache.volatile_counters", default: false,
            "With on_failure memory, take counters too, which begin from nothing.")
        takesLocksOnFailure = try settings.read(
            "cache.volatile_locks", default: false,
            "With on_failure memory, take SET NX and its like too, which others may be granted as well.")
    }

    fileprivate static func all(_ settings: Settings, like fallback: CacheClass) throws(SettingsError) -> [CacheClass] {
        var classes = try settings.readItems(
            "cache.classes", "Keys that are kept by rules of their own, the first match first."
        ) { item throws(SettingsError) in try CacheClass(item, like: fallback) }
        let usesPresets = try settings.read(
            "cache.presets", default: false,
            "Add the classes "
                + presets.map { "\($0.name) (\($0.patterns.map(\.description).joined(separator: " ")))" }
                .joined(separator: ", ") + ".")
        if usesPresets { classes += presets.filter { preset in !classes.contains { $0.name == preset.name } } }
        let given = classes.reduce(0) { $0 + ($1.share ?? 0) }
        guard given < 1 else {
            throw SettingsError(
                place: settings.fileName, key: "cache.classes",
                problem: "the shares add up to \(given): nothing is left for other keys")
        }
        guard Set(classes.map(\.name)).count == classes.count, !classes.contains(where: { $0.name == "default" }) else {
            throw SettingsError(
                place: settings.fileName, key: "cache.classes",
                problem: "two classes have one name, or one is \"default\"")
        }
        return classes + [fallback]
    }

    private init(_ item: SettingsItem, like fallback: CacheClass) throws(SettingsError) {
        self = fallback
        name = try item.require("name", "Name of the class in metrics.")
        patterns = try item.readList("match", "Patterns of its keys, with * and ?.").map { KeyPattern($0) }
        ttl = try CacheClass.lifetime(item, "ttl", fallback.ttl, "How long an entry lives.")
        maxAge = try CacheClass.lifetime(item, "max_age", fallback.maxAge, "No entry gets older.")
        negativeTTL = try CacheClass.lifetime(
            item, "negative_ttl", fallback.negativeTTL, "How long \"there is no such thing\" is kept.")
        eviction = try CacheClass.choice(item, "strategy", fallback.eviction, "Which entry has to go.")
        writeMode = try CacheClass.choice(item, "write", fallback.writeMode, "What becomes of writes.")
        share = try item.read(
            "share", as: Double.self,
            "Share of the cache, above 0 and below 1; without one, an equal part of what is left.")
        if let share, share <= 0 || share >= 1 { throw item.failure("share", "\(share) is not between 0 and 1") }
        admitsOnSecondSight = try item.read(
            "second_sight", default: fallback.admitsOnSecondSight, "Keep a value only at the second request.")
        onFailure = try Self.choice(
            item, "on_failure", fallback.onFailure, "What is answered while Redis is gone.")
        staleFor = try Self.lifetime(
            item, "stale_for", fallback.staleFor, "How old an answer may be while Redis is gone.")
        takesCountersOnFailure = try item.read(
            "volatile_counters", default: fallback.takesCountersOnFailure, "With on_failure memory, take counters too.")
        takesLocksOnFailure = try item.read(
            "volatile_locks", default: fallback.takesLocksOnFailure,
            "With on_failure memory, take SET NX and its like too.")
        refreshShare = try item.read(
            "refresh_ahead", default: fallback.refreshShare,
            "Fetch a hot entry anew when this share of its life is left.")
        guard (0...0.9).contains(refreshShare) else {
            throw item.failure("refresh_ahead", "\(refreshShare) is not between 0 and 0.9")
        }
    }

    private static func lifetime(_ item: SettingsItem, _ key: String, _ fallback: Duration, _ help: String)
        throws(SettingsError) -> Duration
    {
        let lifetime = try item.read(key, default: fallback, help)
        guard lifetime <= longest else {
            throw item.failure(key, "\(lifetime.settingText) is longer than \(longest.settingText)")
        }
        return lifetime
    }

    private static func choice<Choice: RawRepresentable & CaseIterable>(
        _ item: SettingsItem, _ key: String, _ fallback: Choice, _ help: String
    ) throws(SettingsError) -> Choice where Choice.RawValue == String {
        let words = Choice.allCases.map(\.rawValue).joined(separator: ", ")
        let text = try item.read(key, default: fallback.rawValue, help + " One of \(words).")
        guard let choice = Choice(rawValue: text.lowercased()) else {
            throw item.failure(key, "\"\(text)\" is none of \(words)")
        }
        return choice
    }
}

extension MemoryGovernor.Rules {
    fileprivate init(_ settings: Settings) throws(SettingsError) {
        self.init()
        policy = try settings.read(
            "cache.memory_policy", oneOf: MemoryPolicy.self, default: .adaptive,
            "How much of the cache goes when memory is short: half, a quarter, or 10 to 50 % by need.",
            aliases: ["PERFORMANCE_MEMORY_POLICY"])
        threshold = try settings.read(
            "cache.memory_threshold", default: 0.8,
            "Share of the control group's or the host's memory in use from which on the cache gives way.",
            aliases: ["PERFORMANCE_MEMORY_THRESHOLD"], in: 0.01...1)
        interval = try settings.read(
            "cache.memory_check_interval", default: .seconds(60), "How often memory is looked at.",
            aliases: ["PERFORMANCE_MEMORY_CHECK_INTERVAL"], in: .milliseconds(10)...(.seconds(86_400)))
    }
}
