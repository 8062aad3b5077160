import Testing

@testable import Cache

/// What holds for the cache whatever its policy.
@Suite struct EveryPolicyTests {
    @Test(arguments: Eviction.allCases) func neverHoldsMoreThanItsBounds(_ eviction: Eviction) {
        let cache = LocalCache(eviction, entries: 10)
        for number in 0..<100 {
            cache.set("key\(number)", "value", at: 0)
            #expect(cache.usage.entries <= 10)
        }
        #expect(cache.usage.entries == 10)
        #expect(cache.statistics.evictions[EvictionCause.entries.rawValue] == 90)
    }

    @Test(arguments: Eviction.allCases) func aValueIsServedUntilItsTimeIsOver(_ eviction: Eviction) {
        let cache = LocalCache(eviction, ttl: .seconds(1))
        cache.set("a", "1", at: 0)
        #expect(cache.get("a", at: 999) == "1")
        #expect(cache.get("a", at: 1000) == nil)
        #expect(cache.usage.entries == 0)
        #expect(cache.statistics.expirations == 1)
    }

    @Test(arguments: Eviction.allCases) func whatNobodyAsksForExpiresByTheTimer(_ eviction: Eviction) {
        let cache = LocalCache(eviction, ttl: .seconds(1))
        for number in 0..<50 { cache.set("key\(number)", "v", at: 0) }
        cache.tick(nowMs: 990)
        #expect(cache.usage.entries == 50)
        cache.tick(nowMs: 1016)
        #expect(cache.usage.entries == 0)
    }

    /// A long random history beside a model that knows what may be served.
    @Test(arguments: Eviction.allCases) func aRandomHistoryServesNothingOldAndBreaksNoBound(_ eviction: Eviction) {
        var random = SplitMix64(seed: 2024)
        let cache = LocalCache(eviction, bytes: 40_000, entries: 150, ttl: .seconds(5), jitter: 0.2) {
            $0.negativeTTL = .seconds(2)
        }
        var model = Model()
        var tokens: [(token: FillToken, key: String, epoch: Int, version: Int, tags: [CacheTag], tagTimes: [Int])] = []
        var now = 0
        for step in 0..<30_000 {
            now += Int(random.next() % 8)
            let key = "key\(random.next() % 400)"
            let tag = CacheTag("tag\(random.next() % 12)")
            let tags = random.next() % 3 == 0 ? [tag, CacheTag("all")] : []
            let value = String(repeating: "x", count: Int(random.next() % 300)) + "\(step)"
            switch random.next() % 20 {
            case 0..<9:
                if let served = cache.get(key, at: now) {
                    #expect(model.mayServe(key, served, now), "step \(step): \(key)")
                }
            case 9..<12:
                model.put(
                    key, value, until: now + 5000, tags, stored: cache.set(key, value, tags: tags, at: now) == .stored)
                model.versions[key, default: 0] += 1
            case 12..<15:
                guard let token = cache.lead(key, tags: tags, at: now) else { continue }
                tokens.append(
                    (
                        token, key, model.epoch, model.versions[key, default: 0], tags,
                        tags.map { model.tagTimes[$0, default: 0] }
                    ))
            case 15..<18:
                guard !tokens.isEmpty else { continue }
                let fetch = tokens.remove(at: Int(random.next() % UInt64(tokens.count)))
                let result = cache.finish(fetch.token, fetch.key, value, tags: fetch.tags, at: now)
                let isCurrent =
                    fetch.epoch == model.epoch && fetch.version == model.versions[fetch.key, default: 0]
                    && fetch.tagTimes == fetch.tags.map { model.tagTimes[$0, default: 0] }
                if result == .stored {
                    #expect(isCurrent, "step \(step): a stale fetch was stored")
                    model.put(fetch.key, value, until: now + 5000, fetch.tags, stored: true)
                }
            case 18:
                if random.next() % 2 == 0 {
                    cache.drop(key)
                    model.values[key] = nil
                    model.versions[key, default: 0] += 1
                } else {
                    cache.invalidate(tag)
                    model.invalidate(tag)
                }
            default:
                switch random.next() % 60 {
                case 0:
                    cache.invalidateAll(nowMs: now)
                    model.values = [:]
                    model.epoch += 1
                case 1: cache.free(share: 0.5)
                default: cache.tick(nowMs: now)
                }
            }
            let usage = cache.usage
            #expect(usage.entries <= 150 && usage.bytes <= 40_000 * 5 / 6 && usage.bytes >= 0)
        }
        #expect(cache.statistics.hits > 1000)

        now += 10_000
        cache.tick(nowMs: now)
        #expect(cache.usage.entries == 0)
        #expect(cache.usage.bytes == 0)
        #expect(cache.usage.tags == 0)
    }

    private struct Model {
        var values: [String: (value: String, until: Int, tags: [CacheTag])] = [:]
        var versions: [String: Int] = [:]
        var tagTimes: [CacheTag: Int] = [:]
        var epoch = 0

        mutating func put(_ key: String, _ value: String, until: Int, _ tags: [CacheTag], stored: Bool) {
            values[key] = stored ? (value, until, tags) : nil
        }

        func mayServe(_ key: String, _ value: String, _ now: Int) -> Bool {
            guard let known = values[key] else { return false }
            return known.value == value && now < known.until
        }

        mutating func invalidate(_ tag: CacheTag) {
            tagTimes[tag, default: 0] += 1
            values = values.filter { !$0.value.tags.contains(tag) }
        }
    }

    @Test(arguments: Eviction.allCases) func clearingGivesTheMemoryBack(_ eviction: Eviction) {
        let cache = LocalCache(eviction, bytes: 64 << 20, entries: .max)
        let value = String(repeating: "v", count: 1000)
        for number in 0..<3000 { cache.set("key\(number)", value, tags: [CacheTag("t\(number)")], at: 0) }
        #expect(cache.usage.residentBytes > 3_000_000)
        cache.invalidateAll(nowMs: 0)
        #expect(cache.usage.entries == 0)
        #expect(cache.usage.tags == 0)
        #expect(cache.usage.residentBytes < 300_000)
        #expect(cache.get("key1", at: 0) == nil)
        cache.set("key1", "again", at: 0)
        #expect(cache.get("key1", at: 0) == "again")
    }

    @Test(arguments: Eviction.allCases) func freeingHalfLeavesHalfAndGivesTheLogBack(_ eviction: Eviction) {
        let cache = LocalCache(eviction, bytes: 64 << 20, entries: .max)
        let value = String(repeating: "v", count: 1000)
        for number in 0..<8000 { cache.set("key\(number)", value, at: 0) }
        let before = cache.usage
        cache.free(share: 0.5, .memory)
        let after = cache.usage
        #expect(abs(Double(after.bytes) / Double(before.bytes) - 0.5) < 0.01)
        #expect(Double(after.residentBytes) < 0.75 * Double(before.residentBytes))
        #expect(cache.statistics.evictions[EvictionCause.memory.rawValue] == before.entries - after.entries)
    }

    /// What the log keeps beside the living is bounded, however entries come and go.
    @Test(arguments: Eviction.allCases) func theMemoryTakenStaysBelowTheBound(_ eviction: Eviction) {
        var random = SplitMix64(seed: 5)
        let cache = LocalCache(
            classes: [CacheClass(name: "default", eviction: eviction)], limits: .init(bytes: 4 << 20), seed: 1, nowMs: 0
        )
        var output: [UInt8] = []
        for step in 0..<30_000 {
            let key = Array("key\(random.next() % 20_000)".utf8)
            if case .miss = cache.lookup(key.span, in: cache.first, nowMs: step, into: &output) {
                let value = [UInt8](repeating: 1, count: Int(random.next() % 2000))
                _ = cache.put(key.span, value.span, in: cache.first, nowMs: step)
            }
            output.removeAll(keepingCapacity: true)
            if step % 1000 == 0 { #expect(cache.usage.residentBytes <= 4 << 20, "after \(step)") }
        }
        #expect(cache.usage.bytes > 3 << 20)
    }
}
