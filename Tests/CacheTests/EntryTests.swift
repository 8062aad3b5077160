import Testing

@testable import Cache

@Suite struct EntryTests {
    @Test func aTagDropsWhatCarriesItAndNothingElse() {
        let cache = LocalCache()
        let (users, orders) = (CacheTag("users"), CacheTag("orders"))
        cache.set("join", "1", tags: [users, orders], at: 0)
        cache.set("users", "2", tags: [users], at: 0)
        cache.set("plain", "3", at: 0)
        #expect(cache.get("join", at: 0) == "1")
        #expect(cache.invalidate(orders) == 1)
        #expect(cache.get("join", at: 1) == nil)
        #expect(cache.get("users", at: 1) == "2")
        #expect(cache.get("plain", at: 1) == "3")
        cache.set("join", "4", tags: [users, orders], at: 2)
        #expect(cache.get("join", at: 2) == "4")
        #expect(cache.invalidate(users) == 2)
        #expect(cache.get("join", at: 3) == nil)
        #expect(cache.get("users", at: 3) == nil)
    }

    @Test func aClassIsDroppedAlone() {
        let cache = LocalCache(
            classes: [CacheClass(name: "a", patterns: ["a:*"]), CacheClass(name: "default")], seed: 1, nowMs: 0)
        let (a, other) = (cache.cacheClass(for: Array("a:1".utf8).span), cache.cacheClass(for: Array("b".utf8).span))
        #expect(cache.classes[a.index].name == "a" && cache.classes[other.index].name == "default")
        _ = cache.put([1].span, [1].span, in: a, nowMs: 0)
        _ = cache.put([1].span, [2].span, in: other, nowMs: 0)
        cache.invalidateAll(in: a, nowMs: 0)
        #expect(!cache.has([1], in: a, at: 0))
        #expect(cache.has([1], in: other, at: 0))
    }

    @Test func jitterOnlyShortensAndTheMaximumAgeAlwaysHolds() {
        let cache = LocalCache(.lru, entries: 1000, jitter: 0.5) { $0.maxAge = .seconds(2) }
        for number in 0..<200 { cache.set("key\(number)", "v", ttl: .seconds(100), at: 0) }
        let at1500 = (0..<200).count { cache.get("key\($0)", at: 1500) != nil }
        #expect((50...150).contains(at1500))
        #expect((0..<200).allSatisfy { cache.get("key\($0)", at: 900) != nil || at1500 < 200 })
        #expect((0..<200).allSatisfy { cache.get("key\($0)", at: 2000) == nil })
    }

    @Test func theSameSeedGivesTheSameJitter() {
        func lifetimes() -> [Bool] {
            let cache = LocalCache(.lru, entries: 1000, ttl: .seconds(10), jitter: 0.5)
            for number in 0..<50 { cache.set("key\(number)", "v", at: 0) }
            return (0..<50).map { cache.get("key\($0)", at: 7500) != nil }
        }
        let first = lifetimes()
        #expect(first == lifetimes())
        #expect(first.contains(true) && first.contains(false))
    }

    @Test func onlyASecondRequestAdmitsWhereTheClassSaysSo() {
        let cache = LocalCache { $0.admitsOnSecondSight = true }
        #expect(cache.set("a", "1", at: 0) == .refused(.firstSight))
        #expect(cache.get("a", at: 0) == nil)
        #expect(cache.set("a", "1", at: 1) == .stored)
        #expect(cache.get("a", at: 2) == "1")
        #expect(cache.set("a", "2", at: 3) == .stored)
    }

    @Test func aReplacedValueIsTheOnlyOneAndItsOldTagsAreGone() {
        let cache = LocalCache(bytes: 1 << 20)
        cache.set("a", "old", tags: [CacheTag("x")], at: 0)
        cache.set("a", String(repeating: "n", count: 1000), tags: [CacheTag("y")], at: 1)
        #expect(cache.usage.entries == 1)
        #expect(cache.usage.tags == 1)
        cache.invalidate(CacheTag("x"))
        #expect(cache.get("a", at: 2)?.count == 1000)
        cache.set("a", "", at: 3)
        #expect(cache.get("a", at: 4) == "")
        #expect(cache.usage.bytes == 1 + LocalCache.Limits.overheadBytes)
    }

    @Test func whatIsTooLargeIsRefusedAndTheOldValueGoes() {
        let cache = LocalCache(bytes: 64 << 10)
        cache.set("a", "small", at: 0)
        #expect(cache.set("a", String(repeating: "x", count: 60_000), at: 1) == .refused(.tooLarge))
        #expect(cache.get("a", at: 2) == nil)
        #expect(cache.set(String(repeating: "k", count: 65_536), "v", at: 3) == .refused(.tooLarge))
    }

    @Test func whatIsTooLongStaysSoHoweverWellItCompresses() {
        let limits = LocalCache.Limits(
            bytes: 8 << 20, compressFromBytes: 4096, mostValueBytes: 20_000, jitter: 0, estimatesHitRatios: false)
        let cache = LocalCache(classes: [CacheClass(name: "default")], limits: limits, nowMs: 0)
        let id = cache.cacheClass(for: Array("k".utf8).span)
        for (length, result) in [(20_000, FillResult.stored), (20_001, .refused(.tooLarge))] {
            let value = [UInt8](repeating: 7, count: length)
            #expect(cache.put(Array("k".utf8).span, value.span, in: id, nowMs: 0) == result)
        }
    }

    /// Bytes that say they are short and would grow for ever, as a fault of ours might leave them.
    @Test func whatIsUnpackedIsNeverLongerThanItSays() {
        let whole = [UInt8](repeating: 7, count: 100_000)
        guard var packed = PackedValue.pack(whole.span) else {
            Issue.record("it does not pay")
            return
        }
        for length in [UInt32(0), 10, 99_999, 100_001] {
            var lying: [UInt8] = []
            lying.append(word: length)
            lying += packed[4...]
            var output = [UInt8](repeating: 1, count: 3)
            output += lying
            #expect(!PackedValue.unpack(&output, from: 3))
            #expect(output == [1, 1, 1])
        }
        #expect(PackedValue.unpack(&packed, from: 0) && packed == whole)
    }

    @Test func largeValuesAreCompressedWhenThatPays() {
        let limits = LocalCache.Limits(bytes: 8 << 20, compressFromBytes: 4096, jitter: 0, estimatesHitRatios: false)
        let cache = LocalCache(classes: [CacheClass(name: "default")], limits: limits, seed: 1, nowMs: 0)
        var random = SplitMix64(seed: 1)
        let text = String(repeating: "{\"player\": 17, \"score\": 4200}", count: 1000)
        let noise = (0..<30_000).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        cache.set("text", text, tags: [CacheTag("t")], at: 0)
        #expect(cache.usage.bytes < 3000)
        _ = cache.put([1].span, noise.span, in: cache.first, nowMs: 0)
        #expect(cache.usage.bytes > 30_000)
        #expect(cache.get("text", at: 1) == text)
        var output = Array("before".utf8)
        guard case .hit = cache.lookup([1].span, in: cache.first, nowMs: 1, into: &output) else {
            Issue.record("noise is gone")
            return
        }
        #expect(output == Array("before".utf8) + noise)
        #expect(cache.statistics.compressedValues == 1)
        #expect(cache.statistics.savedBytes > 25_000)
    }

    @Test func aHitTellsItsAgeAndWhatIsLeft() {
        let cache = LocalCache(ttl: .seconds(10))
        cache.set("a", "1", at: 1000)
        var output: [UInt8] = []
        let found = cache.lookup([97].span, in: cache.first, nowMs: 4000, into: &output)
        #expect(found == .hit(Hit(ageMs: 3000, remainingMs: 7000, isRefreshDue: false)))
        #expect(cache.statistics.ages == [0, 0, 1, 0, 0, 0, 0, 0, 0])
        #expect(cache.statistics.ageSumMs == 3000)
    }

    @Test(arguments: [(0, 0), (250, 0), (251, 1), (1000, 1), (1001, 2), (4000, 2), (4_096_000, 7), (4_096_001, 8)])
    func agesFallIntoBucketsThatGrowByFour(_ ageMs: Int, _ bucket: Int) {
        var statistics = CacheStatistics()
        statistics.countHit(ageMs: ageMs)
        #expect(statistics.ages.firstIndex(of: 1) == bucket)
    }

    @Test func boundsCanBeLoweredWhileItRuns() {
        let cache = LocalCache(bytes: 1 << 20, entries: .max)
        for number in 0..<1000 { cache.set("key\(number)", String(repeating: "v", count: 500), at: 0) }
        cache.resize(bytes: 120_000, entries: .max)
        #expect(cache.usage.bytes <= 100_000)
        #expect(cache.usage.entries > 100)
    }

    /// The estimate for half and for twice the memory, beside caches that really have it.
    @Test(arguments: [Eviction.lru, .s3fifo]) func theShadowsForetellTheHitRatio(_ eviction: Eviction) async throws {
        let trace = try await Trace.load("web12", requests: 60_000)
        func run(_ entries: Int, estimates: Bool) -> (CacheStatistics, CacheUsage) {
            let limits = LocalCache.Limits(bytes: .max, entries: entries, jitter: 0, estimatesHitRatios: estimates)
            let cache = LocalCache(
                classes: [CacheClass(name: "default", eviction: eviction)], limits: limits, seed: 3, nowMs: 0)
            var output: [UInt8] = []
            for key in trace.keys {
                let bytes = Array("\(key)".utf8)
                if case .miss = cache.lookup(bytes.span, in: cache.first, nowMs: 0, into: &output) {
                    _ = cache.put(bytes.span, Span(), in: cache.first, nowMs: 0)
                }
            }
            return (cache.statistics, cache.usage)
        }
        func ratio(_ entries: Int) -> Double {
            Double(run(entries, estimates: false).0.hits) / Double(trace.keys.count)
        }
        let usage = run(1400, estimates: true).1
        let (half, double) = (try #require(usage.hitRatioAtHalf), try #require(usage.hitRatioAtDouble))
        #expect(abs(half - ratio(700)) < 0.05)
        #expect(abs(double - ratio(2800)) < 0.05)
        #expect(half < double)
    }
}
