import Testing

@testable import Cache

/// Who has to go, policy by policy, with three or four entries.
@Suite struct PolicyTests {
    @Test func fifoEvictsTheOldestThoughItWasUsed() {
        let cache = LocalCache(.fifo, entries: 2)
        cache.set("a", "1", at: 0)
        cache.set("b", "2", at: 0)
        #expect(cache.get("a", at: 0) == "1")
        cache.set("c", "3", at: 0)
        #expect(cache.get("a", at: 0) == nil)
        #expect(cache.get("b", at: 0) == "2")
    }

    @Test func lruEvictsWhatWasNotUsedForLongest() {
        let cache = LocalCache(.lru, entries: 2)
        cache.set("a", "1", at: 0)
        cache.set("b", "2", at: 0)
        #expect(cache.get("a", at: 0) == "1")
        cache.set("c", "3", at: 0)
        #expect(cache.get("b", at: 0) == nil)
        #expect(cache.get("a", at: 0) == "1")
    }

    @Test func lfuEvictsWhatWasUsedLeastAndOfEqualsTheOlder() {
        let cache = LocalCache(.lfu, entries: 3)
        for key in ["a", "b", "c"] { cache.set(key, key, at: 0) }
        for key in ["a", "a", "b"] { #expect(cache.get(key, at: 0) == key) }
        cache.set("d", "d", at: 0)
        #expect(cache.get("c", at: 0) == nil)
        #expect(cache.get("d", at: 0) == "d")
        cache.set("e", "e", at: 0)
        #expect(cache.get("b", at: 0) == nil)
        #expect(cache.get("a", at: 0) == "a")
    }

    @Test func ttlEvictsWhatWouldExpireFirst() {
        let cache = LocalCache(.ttl, entries: 3)
        cache.set("a", "1", ttl: .seconds(30), at: 0)
        cache.set("b", "2", ttl: .seconds(10), at: 0)
        cache.set("c", "3", ttl: .seconds(20), at: 0)
        cache.set("d", "4", ttl: .seconds(40), at: 0)
        #expect(cache.get("b", at: 0) == nil)
        cache.set("c", "5", ttl: .seconds(50), at: 0)
        cache.set("e", "6", at: 0)
        #expect(cache.get("a", at: 0) == nil)
        #expect(cache.get("c", at: 0) == "5")
    }

    @Test func s3fifoLetsAScanPassAndKeepsWhatIsUsed() {
        let cache = LocalCache(.s3fifo, entries: 100)
        for number in 0..<50 { cache.set("hot\(number)", "h", at: 0) }
        for _ in 0..<3 { for number in 0..<50 { #expect(cache.get("hot\(number)", at: 0) == "h") } }
        for number in 0..<1000 { cache.set("scan\(number)", "s", at: 0) }
        for number in 0..<50 { #expect(cache.get("hot\(number)", at: 0) == "h") }
    }

    @Test func s3fifoTakesAReturningKeyStraightIntoItsMainQueue() {
        let cache = LocalCache(.s3fifo, entries: 10)
        cache.set("back", "1", at: 0)
        for number in 0..<10 { cache.set("x\(number)", "x", at: 0) }
        #expect(cache.get("back", at: 0) == nil)
        cache.set("back", "2", at: 0)
        for number in 0..<30 { cache.set("y\(number)", "y", at: 0) }
        #expect(cache.get("back", at: 0) == "2")
    }

    @Test func wtinylfuKeepsWhatIsAskedForOftenAgainstAScan() {
        let cache = LocalCache(.wtinylfu, entries: 100)
        for number in 0..<50 {
            #expect(cache.get("hot\(number)", at: 0) == nil)
            cache.set("hot\(number)", "h", at: 0)
        }
        for _ in 0..<3 { for number in 0..<50 { _ = cache.get("hot\(number)", at: 0) } }
        for number in 0..<900 where cache.get("scan\(number)", at: 0) == nil { cache.set("scan\(number)", "s", at: 0) }
        let kept = (0..<50).count { cache.get("hot\($0)", at: 0) != nil }
        #expect(kept >= 48)
    }

    @Test func theSketchCountsToFifteenAndForgetsByHalves() {
        var sketch = FrequencySketch()
        for _ in 0..<40 { sketch.add(12345, period: 1000) }
        #expect(sketch.estimate(12345) == 15)
        #expect(sketch.estimate(54321) == 0)
        for number in 0..<970 { sketch.add(UInt32(number) &* 2_654_435_761, period: 1000) }
        #expect(sketch.estimate(12345) <= 8)
    }

    @Test func theSketchKnowsAfterItHasGrownWhatItKnewBefore() {
        var sketch = FrequencySketch()
        for _ in 0..<5 { sketch.add(99, period: 1000) }
        sketch.reserve(100_000)
        #expect(sketch.estimate(99) == 5)
    }

    @Test func ghostsAreForgottenInTheOrderInWhichTheyCame() {
        var ghosts = GhostQueue()
        for hash in 0..<10 { ghosts.append(UInt32(hash), weight: 1, bound: 4) }
        var isKnown: [Bool] = []
        for hash: UInt32 in [5, 6, 6, 9] { isKnown.append(ghosts.forget(hash)) }
        #expect(isKnown == [false, true, false, true])
    }
}
