@testable import Cache

/// Short forms for tests.
extension LocalCache {
    convenience init(
        _ eviction: Eviction = .s3fifo, bytes: Int = .max, entries: Int = 100, ttl: Duration = .seconds(60),
        jitter: Double = 0, _ change: (inout CacheClass) -> Void = { _ in }
    ) {
        var cacheClass = CacheClass(name: "default", ttl: ttl, eviction: eviction)
        change(&cacheClass)
        let limits = Limits(
            bytes: bytes, entries: entries, compressFromBytes: nil, jitter: jitter, estimatesHitRatios: false)
        self.init(classes: [cacheClass], limits: limits, seed: 7, nowMs: 0)
    }

    var first: CacheClass.ID { CacheClass.ID(index: 0) }
    var statistics: CacheStatistics { statistics(of: first) }
    var usage: CacheUsage { usage(of: first) }

    func get(_ key: String, at nowMs: Int) -> String? {
        var output: [UInt8] = []
        guard case .hit = lookup(Array(key.utf8).span, in: first, nowMs: nowMs, into: &output) else { return nil }
        return String(decoding: output, as: UTF8.self)
    }

    @discardableResult
    func set(_ key: String, _ value: String, ttl: Duration? = nil, tags: [CacheTag] = [], at nowMs: Int) -> FillResult {
        put(Array(key.utf8).span, Array(value.utf8).span, in: first, ttl: ttl, tags: tags, nowMs: nowMs)
    }

    func begin(
        _ key: String, tags: [CacheTag] = [], until waitUntilMs: Int = .max, refresh: Bool = false, at nowMs: Int
    )
        -> FillStart
    {
        beginFill(
            Array(key.utf8).span, in: first, tags: tags, isRefresh: refresh, waitUntilMs: waitUntilMs, nowMs: nowMs)
    }

    /// The token of a fetch that this call leads.
    func lead(_ key: String, tags: [CacheTag] = [], refresh: Bool = false, at nowMs: Int) -> FillToken? {
        guard case .lead(let token) = begin(key, tags: tags, refresh: refresh, at: nowMs) else { return nil }
        return token
    }

    func finish(_ token: FillToken, _ key: String, _ value: String, tags: [CacheTag] = [], at nowMs: Int) -> FillResult
    {
        fill(token, Array(key.utf8).span, Array(value.utf8).span, tags: tags, nowMs: nowMs)
    }

    @discardableResult
    func drop(_ key: String) -> Bool { invalidate(Array(key.utf8).span, in: first) }

    func finishAbsent(_ token: FillToken, _ key: String, at nowMs: Int) -> FillResult {
        fillAbsent(token, Array(key.utf8).span, nowMs: nowMs)
    }

    func giveUp(_ token: FillToken, _ key: String) { abandon(token, Array(key.utf8).span) }

    func has(_ key: [UInt8], in id: CacheClass.ID, at nowMs: Int) -> Bool { contains(key.span, in: id, nowMs: nowMs) }
}
