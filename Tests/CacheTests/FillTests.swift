import Testing

@testable import Cache

@Suite struct FillTests {
    @Test func oneLeadsAndTheOthersFollow() async {
        let cache = LocalCache()
        guard let token = cache.lead("a", at: 0), case .follow(let wait) = cache.begin("a", at: 1) else {
            Issue.record("no leader or no follower")
            return
        }
        async let end = cache.wait(for: wait)
        #expect(cache.finish(token, "a", "1", at: 2) == .stored)
        #expect(await end == .filled)
        #expect(cache.get("a", at: 3) == "1")
        #expect(cache.begin("a", at: 3) == .present)
        #expect(cache.usage.fillsInFlight == 0)
    }

    @Test func aTokenIsWorthlessOnceItsKeyWasInvalidated() async {
        let cache = LocalCache()
        guard let old = cache.lead("a", at: 0), case .follow(let wait) = cache.begin("a", at: 0) else { return }
        cache.drop("a")
        #expect(await cache.wait(for: wait) == .unfilled)
        let new = cache.lead("a", at: 1)
        #expect(cache.finish(old, "a", "old", at: 2) == .refused(.stale))
        #expect(cache.finish(new!, "a", "new", at: 3) == .stored)
        #expect(cache.finish(old, "a", "old", at: 4) == .refused(.stale))
        #expect(cache.get("a", at: 5) == "new")
    }

    @Test func aWriteOvertakesAFetch() {
        let cache = LocalCache()
        let token = cache.lead("a", at: 0)!
        cache.set("a", "written", at: 1)
        #expect(cache.finish(token, "a", "fetched", at: 2) == .refused(.stale))
        #expect(cache.get("a", at: 3) == "written")
    }

    @Test func aTagInvalidatedMeanwhileRefusesTheFetchAndIsNotJoined() {
        let cache = LocalCache()
        let orders = CacheTag("orders")
        let old = cache.lead("q", tags: [orders], at: 0)!
        cache.invalidate(orders)
        let new = cache.lead("q", tags: [orders], at: 1)
        #expect(new != nil)
        #expect(cache.finish(old, "q", "old", tags: [orders], at: 2) == .refused(.stale))
        #expect(cache.finish(new!, "q", "new", tags: [orders], at: 3) == .stored)
        #expect(cache.get("q", at: 4) == "new")
    }

    @Test func tagsKnownOnlyAtTheEndAreHeldAgainstTheBeginning() {
        let cache = LocalCache()
        let token = cache.lead("q", at: 0)!
        cache.invalidate(CacheTag("orders"))
        #expect(cache.finish(token, "q", "old", tags: [CacheTag("orders")], at: 1) == .refused(.stale))
    }

    @Test func aNewEpochRefusesEveryFetch() {
        let cache = LocalCache()
        let token = cache.lead("a", at: 0)!
        cache.invalidateAll(nowMs: 1)
        #expect(cache.finish(token, "a", "1", at: 2) == .refused(.stale))
        #expect(cache.statistics.fillsRefused[FillRefusal.stale.rawValue] == 1)
    }

    @Test func anAbandonedFetchWakesTheOthersAndOneOfThemLeads() async {
        let cache = LocalCache()
        guard let token = cache.lead("a", at: 0), case .follow(let wait) = cache.begin("a", at: 0) else { return }
        cache.giveUp(token, "a")
        #expect(await cache.wait(for: wait) == .unfilled)
        #expect(cache.lead("a", at: 1) != nil)
    }

    @Test func aSilentLeaderIsTakenOverAfterItsPatience() {
        let cache = LocalCache()
        let silent = cache.lead("a", at: 0)!
        #expect(cache.lead("a", at: 9_999) == nil)
        let next = cache.lead("a", at: 10_000)
        #expect(next != nil)
        #expect(cache.finish(silent, "a", "late", at: 10_001) == .refused(.stale))
        #expect(cache.finish(next!, "a", "1", at: 10_002) == .stored)
    }

    @Test func aWaitEndsWhenItsTimeIsOverOrItsTaskCancelled() async {
        let cache = LocalCache()
        _ = cache.lead("a", at: 0)
        guard case .follow(let short) = cache.begin("a", until: 100, at: 0),
            case .follow(let long) = cache.begin("a", at: 0)
        else { return }
        cache.tick(nowMs: 99)
        cache.tick(nowMs: 100)
        #expect(await cache.wait(for: short) == .timedOut)
        let waiting = Task { await cache.wait(for: long) }
        waiting.cancel()
        #expect(await waiting.value == .cancelled)
    }

    @Test func tooManyFetchesAtOnceAreNotCoordinated() {
        var fills = FillTable(limits: .init(flights: 2, waiters: 1))
        func start(_ hash: UInt64) -> FillTable.Start {
            fills.start(hash, [UInt8(hash)].span, tags: [], sequence: 0, nowMs: 0, waitUntilMs: .max) { _, _ in false }
        }
        #expect(start(1) == .lead(id: 1))
        #expect(start(2) == .lead(id: 2))
        #expect(start(3) == .crowded)
        #expect(start(1) == .follow(3))
        #expect(start(1) == .crowded)
        let ended = fills.end(1)
        #expect(ended == [3])
        #expect(start(3) == .lead(id: 4))
    }

    @Test func aHotEntryIsRefreshedAheadByOneCaller() {
        let cache = LocalCache(ttl: .seconds(100)) { $0.refreshShare = 0.2 }
        cache.set("a", "1", at: 0)
        func isDue(_ now: Int) -> Bool {
            var output: [UInt8] = []
            guard case .hit(let hit) = cache.lookup([97].span, in: cache.first, nowMs: now, into: &output) else {
                return false
            }
            return hit.isRefreshDue
        }
        #expect([1000, 2000, 3000, 79_000].map(isDue) == [false, false, false, false])
        #expect([81_000, 82_000].map(isDue) == [true, false])
        let token = cache.lead("a", refresh: true, at: 81_000)!
        #expect(cache.get("a", at: 90_000) == "1")
        #expect(cache.finish(token, "a", "2", at: 91_000) == .stored)
        #expect(cache.get("a", at: 150_000) == "2")
        #expect(cache.statistics.refreshes == 1)
    }

    @Test func aRefreshThatFailedIsAskedForAgain() {
        let cache = LocalCache(ttl: .seconds(10)) { $0.refreshShare = 0.5 }
        cache.set("a", "1", at: 0)
        for now in 1...4 { _ = cache.get("a", at: now) }
        _ = cache.get("a", at: 6000)
        let token = cache.lead("a", refresh: true, at: 6000)!
        cache.giveUp(token, "a")
        _ = cache.get("a", at: 7000)
        #expect(cache.statistics.refreshes == 2)
    }

    @Test func absenceIsKeptOnlyWhereTheClassSaysSoAndForItsOwnTime() {
        let deaf = LocalCache()
        #expect(deaf.finishAbsent(deaf.lead("a", at: 0)!, "a", at: 0) == .refused(.notKept))
        let cache = LocalCache { $0.negativeTTL = .seconds(1) }
        #expect(cache.finishAbsent(cache.lead("a", at: 0)!, "a", at: 0) == .stored)
        var output: [UInt8] = []
        func look(_ now: Int) -> Lookup { cache.lookup([97].span, in: cache.first, nowMs: now, into: &output) }
        #expect(look(500) == .absent(Hit(ageMs: 500, remainingMs: 500, isRefreshDue: false)))
        #expect(output.isEmpty)
        #expect(look(1000) == .miss)
    }

    @Test func aFetchOfAbsenceThatWasOvertakenByAWriteIsRefused() {
        let cache = LocalCache { $0.negativeTTL = .seconds(1) }
        let token = cache.lead("a", at: 0)!
        cache.drop("a")
        #expect(cache.finishAbsent(token, "a", at: 1) == .refused(.stale))
    }
}
