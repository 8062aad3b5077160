import Testing

@testable import Cache

@Suite struct StorageTests {
    @Test func theWheelGivesEveryDeadlineOnceAndNoneEarly() {
        var random = SplitMix64(seed: 3)
        var slots = SlotTable(weighing: .entries)
        var wheel = TimerWheel(nowMs: 1000)
        var deadlines: [SlotID: Int] = [:]
        for _ in 0..<5000 {
            // From one bucket to weeks: every level.
            let lifetime = Int(random.next() % 16) << Int(random.next() % 27)
            var slot = Slot()
            slot.deadlineMs = UInt32(1000 + lifetime)
            let id = slots.insert(slot)
            deadlines[id] = 1000 + lifetime
            wheel.schedule(id, in: &slots)
        }
        for (id, _) in deadlines.prefix(500) {
            wheel.cancel(id, in: &slots)
            deadlines[id] = nil
        }
        var now = 1000
        while !deadlines.isEmpty {
            now += 1 + Int(random.next() % 16) << Int(random.next() % 24)
            var budget = Int.max
            while let id = wheel.nextDue(nowMs: now, budget: &budget, in: &slots) {
                let deadline = deadlines.removeValue(forKey: id)
                #expect(deadline != nil && deadline! <= now)
            }
            // Late by less than two buckets.
            #expect(!deadlines.values.contains { $0 + 2 * TimerWheel.tickMs <= now })
        }
    }

    @Test func theWheelStopsWhenTheBudgetIsUsedUpAndGoesOnLater() {
        var slots = SlotTable(weighing: .entries)
        var wheel = TimerWheel(nowMs: 0)
        for _ in 0..<100 {
            var slot = Slot()
            slot.deadlineMs = 5000
            wheel.schedule(slots.insert(slot), in: &slots)
        }
        var expired = 0
        for _ in 0..<100 {
            var budget = 7
            while wheel.nextDue(nowMs: 5008, budget: &budget, in: &slots) != nil { expired += 1 }
        }
        #expect(expired == 100)
    }

    @Test func theWheelCrossesTheTurnOfThe32BitClock() {
        let start = Int(UInt32.max) - 500
        var slots = SlotTable(weighing: .entries)
        var wheel = TimerWheel(nowMs: start)
        var slot = Slot()
        slot.deadlineMs = UInt32(truncatingIfNeeded: start + 2000)
        wheel.schedule(slots.insert(slot), in: &slots)
        var budget = 100
        let early = wheel.nextDue(nowMs: start + 1900, budget: &budget, in: &slots)
        let due = wheel.nextDue(nowMs: start + 2016, budget: &budget, in: &slots)
        #expect(early == nil)
        #expect(due != nil)
    }

    @Test func theIndexFindsWhatIsThereWhileItGrowsAndShrinks() {
        var slots = SlotTable(weighing: .entries)
        var index = KeyIndex()
        var ids: [UInt32: SlotID] = [:]
        var random = SplitMix64(seed: 9)
        for _ in 0..<20_000 {
            let hash = UInt32(random.next() % 5000) &* 2_654_435_761
            if let id = ids.removeValue(forKey: hash) {
                index.remove(id, in: &slots)
                slots.free(id)
            } else {
                var slot = Slot()
                slot.hash = hash
                let id = slots.insert(slot)
                index.insert(id, in: &slots)
                ids[hash] = id
            }
        }
        for number in 0..<5000 {
            let hash = UInt32(number) &* 2_654_435_761
            #expect(index.find(hash, in: slots, where: { _ in true }) == ids[hash])
        }
    }

    @Test func recordsSurviveTheCleaningOfTheirSegments() {
        var random = SplitMix64(seed: 11)
        var slots = SlotTable(weighing: .entries)
        var log = RecordLog(bound: 1 << 20)
        var living: [SlotID: (key: [UInt8], value: [UInt8])] = [:]
        func check() {
            for (id, record) in living {
                var value: [UInt8] = []
                log.appendValue(of: slots[id], to: &value)
                let isKey = log.hasKey(record.key.span, slots[id])
                #expect(isKey && value == record.value)
            }
        }
        for step in 0..<20_000 {
            if living.count > 300 {
                let victim = living.keys.randomElement(using: &random)!
                log.free(slots[victim])
                slots.free(victim)
                living[victim] = nil
            }
            let key = Array("key\(step)".utf8)
            let length = step % 50 == 0 ? 5000 : Int(random.next() % 400)
            let value = [UInt8](repeating: UInt8(truncatingIfNeeded: step), count: length)
            let id = slots.insert(Slot())
            let written = log.append(key.span, value.span, trailer: [], id, in: &slots)
            log.clean(afterWriting: written, in: &slots)
            living[id] = (key, value)
            if step % 2000 == 0 { check() }
            #expect(log.allocatedBytes < log.liveBytes + log.liveBytes / 8 + 5 * (16 << 10))
        }
        check()
        while log.compact(budget: 1000, in: &slots) {}
        check()
        for id in living.keys { log.free(slots[id]) }
        living = [:]
        #expect(log.liveBytes == 0)
        #expect(log.allocatedBytes <= 16 << 10)
    }

    @Test func hashesOfNearlyEqualKeysDiffer() {
        var seen: Set<UInt64> = []
        for length in 0..<40 {
            var key = [UInt8](repeating: 0, count: length)
            seen.insert(KeyHash.hash(key.span, seed: 1))
            for place in key.indices {
                key[place] = 1
                seen.insert(KeyHash.hash(key.span, seed: 1))
                key[place] = 0
            }
        }
        #expect(seen.count == 40 + (0..<40).reduce(0, +))
        let seeds = [1, 2].map { KeyHash.hash([1, 2, 3].span, seed: $0) }
        #expect(seeds[0] != seeds[1])
    }

    @Test func aTagIsForgottenWithItsLastEntry() {
        var tags = TagTable()
        let first = tags.retain(7)
        let second = tags.retain(7)
        #expect(second == first)
        let carriers = tags.invalidate(7, at: 3)
        #expect(carriers == 2)
        #expect(tags.changed(first) == 3)
        tags.release(first)
        tags.release(first)
        #expect(tags.count == 0)
        let left = tags.invalidate(7, at: 4)
        #expect(left == 0)
    }

    @Test(arguments: [
        ("queue:*", "queue:1", true), ("queue:*", "queue:", true), ("queue:*", "queu", false), ("*", "", true),
        ("a?c", "abc", true), ("a?c", "ac", false), ("*:stats:*", "player:stats:9", true),
        ("*ab*ab", "abxabab", true), ("*ab*ab", "abxaba", false), ("plain", "plain", true), ("plain", "plains", false),
    ]) func patterns(_ pattern: String, _ key: String, _ matches: Bool) {
        let found = KeyPattern(pattern).matches(Array(key.utf8).span)
        #expect(found == matches)
    }
}
