import RedisTesting
import Runtime
import Testing

@testable import RedisProxy

extension PendingKey {
    init(_ name: String, in database: Int = 0) { self.init(database, Array(name.utf8)) }
}

extension PlannedWrite {
    init(_ key: String, _ value: String, _ expiry: Expiry = .never, in database: Int = 0) {
        self.init(PendingKey(key, in: database), Array(value.utf8), expiry)
    }
}

extension FlushCommand {
    /// The words with blanks between them, and the database in front where it is not the first.
    var text: String {
        let words = Reply(bytes).elements.map(\.text)
        return (database == 0 ? words : ["\(database):"] + words).joined(separator: " ")
    }
}

extension PendingWrites {
    /// Accepts a write and has it on disk.
    mutating func take(_ key: String, _ value: String, _ expiry: PlannedWrite.Expiry = .never, atMs nowMs: Int = 0)
        throws
    {
        _ = try accept([PlannedWrite(key, value, expiry)], wallMs: nowMs)
        log(atMs: nowMs)
    }

    @discardableResult
    mutating func log(atMs nowMs: Int = 0) -> [Step] {
        _ = nextBatch()
        return logged(nowMs: nowMs)
    }

    mutating func flight(atMs nowMs: Int) -> [String]? { nextFlight(nowMs: nowMs, wallMs: nowMs)?.map(\.text) }

    func value(_ key: String) -> String? { newest(PendingKey(key)).map { String(decoding: $0.value, as: UTF8.self) } }
}

@Suite struct PendingWritesTests {
    @Test func whileRedisHasNoRoomRemovalsGoAndNothingElseIsTaken() throws {
        var pending = PendingWrites(.init())
        let full = FlushReply.error("OOM command not allowed when used memory > 'maxmemory'.")
        let reason = "OOM command not allowed when used memory > 'maxmemory'."
        try pending.take("a", "1")
        try pending.take("b", "2")
        #expect(pending.flight(atMs: 1000) == ["SET a 1", "SET b 2"])
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 1000) == .until(1))
        #expect(pending.answered([full, full], nowMs: 1000) == [.fail([1], reason: reason)])
        #expect(pending.hasNoRoom)
        #expect(throws: PendingWrites.Refusal.noRoom) { _ = try pending.accept([PlannedWrite("c", "3")], wallMs: 0) }
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 1001) == .impossible(reason: reason))
        // A removal takes the place of what is pending, and does not wait until Redis is tried again.
        _ = try pending.accept([.removal(of: PendingKey("a"))], wallMs: 1001)
        pending.log(atMs: 1001)
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 1001) == .until(2))
        #expect(pending.flight(atMs: 1001) == ["UNLINK a"])
        #expect(pending.answered([.done], nowMs: 1002) == [] && pending.hasNoRoom)
        #expect(pending.log(atMs: 1002) == [.release([2])])
        #expect(pending.value("a") == nil && pending.value("b") == "2")
        // The rest is tried as ever, and then new ones are taken again.
        #expect(pending.flight(atMs: 1099) == nil)
        #expect(pending.flight(atMs: 1100) == ["SET b 2"])
        #expect(pending.answered([.done], nowMs: 1101) == [] && !pending.hasNoRoom)
        try pending.take("c", "3", atMs: 1101)
    }

    @Test func aRemovalThatComesWhileItsWriteIsUnderWayGoesNext() throws {
        var pending = PendingWrites(.init())
        let full = FlushReply.error("OOM no")
        try pending.take("a", "1")
        #expect(pending.flight(atMs: 1000) == ["SET a 1"])
        #expect(pending.answered([full], nowMs: 1000) == [])
        #expect(pending.flight(atMs: 1100) == ["SET a 1"])
        _ = try pending.accept([.removal(of: PendingKey("a"))], wallMs: 1100)
        pending.log(atMs: 1100)
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 1100) == .until(1))
        #expect(pending.answered([full], nowMs: 1101) == [])
        #expect(pending.flight(atMs: 1101) == ["UNLINK a"])
        #expect(pending.answered([.done], nowMs: 1102) == [])
        #expect(pending.log(atMs: 1102) == [.release([1])])
        #expect(pending.isEmpty && !pending.hasNoRoom)
    }

    @Test func aWriteIsAcknowledgedOnceItIsOnDiskAndSentOneIntervalLater() throws {
        var pending = PendingWrites(.init())
        #expect(try pending.accept([PlannedWrite("a", "1"), PlannedWrite("b", "2")], wallMs: 7) == 2)
        #expect(pending.value("a") == nil, "nobody reads what is not on disk")
        let batch = pending.nextBatch()
        #expect(batch.writes.map { $0.map(\.sequence) } == [[1, 2]])
        #expect(batch.writes[0][0].acceptedWallMs == 7)
        #expect(pending.logged(nowMs: 100) == [.acknowledge(through: 2)])
        #expect(pending.value("a") == "1")
        #expect(pending.dueMs == 1100)
        #expect(pending.flight(atMs: 1099) == nil)
        #expect(pending.flight(atMs: 1100) == ["SET a 1", "SET b 2"])
        #expect(pending.dueMs == nil, "one flight at a time")
        #expect(pending.answered([.done, .done], nowMs: 1101) == [])
        #expect(pending.value("a") == "1", "a crash would send it again")
        let mark = pending.nextBatch()
        #expect(mark.flushed == SequenceRanges([1...2]) && mark.writes.isEmpty)
        #expect(pending.logged(nowMs: 1102) == [])
        #expect(pending.isEmpty && pending.count == 0 && pending.sizeBytes == 0 && pending.floor == 3)
    }

    @Test func onlyTheNewestOfSeveralWritesIsSentInThePlaceOfTheOldest() throws {
        var pending = PendingWrites(.init())
        try pending.take("a", "1", atMs: 0)
        try pending.take("b", "1", atMs: 10)
        try pending.take("a", "2", atMs: 20)
        #expect(pending.count == 2 && pending.counts.coalesced == 1)
        #expect(pending.ageMs(nowMs: 500) == 500)
        #expect(pending.flight(atMs: 1000) == ["SET a 2", "SET b 1"])
    }

    @Test func aWriteThatComesWhileItsKeyIsUnderWayWaitsForTheOneBefore() throws {
        var pending = PendingWrites(.init())
        try pending.take("a", "1")
        #expect(pending.flight(atMs: 1000) == ["SET a 1"])
        try pending.take("a", "2", atMs: 1000)
        #expect(pending.value("a") == "2")
        _ = pending.answered([.done], nowMs: 1001)
        #expect(pending.flight(atMs: 9000) == nil, "the log does not say yet that Redis has the first")
        pending.log(atMs: 1002)
        #expect(pending.flight(atMs: 2000) == ["SET a 2"])
    }

    @Test func enoughKeysOrAMilestoneLeaveAtOnce() throws {
        var rules = PendingWrites.Rules()
        rules.batch = 3
        rules.milestones = ["order:*"]
        var pending = PendingWrites(rules)
        try pending.take("a", "1")
        try pending.take("order:7", "paid")
        #expect(pending.flight(atMs: 0) == ["SET order:7 paid"])
        _ = pending.answered([.done], nowMs: 0)
        try pending.take("b", "1")
        #expect(pending.flight(atMs: 0) == nil)
        try pending.take("c", "1")
        #expect(pending.flight(atMs: 0) == ["SET a 1", "SET b 1", "SET c 1"])
    }

    @Test func expiryIsToldAsItWasGivenAndWhatHasExpiredIsRemoved() throws {
        var pending = PendingWrites(.init())
        try pending.take("life", "1", .lifetime(endsMs: 5000))
        try pending.take("moment", "1", .moment(ms: 5000))
        try pending.take("short", "1", .lifetime(endsMs: 999))
        // As Redis counts, it is there to the end of the millisecond.
        try pending.take("last", "1", .lifetime(endsMs: 1000))
        #expect(
            pending.flight(atMs: 1000) == [
                "SET life 1 PX 4000", "SET moment 1 PXAT 5000", "UNLINK short", "SET last 1 PX 1",
            ])
    }

    @Test func commandsAreGroupedByDatabase() throws {
        var pending = PendingWrites(.init())
        for (key, database) in [("a", 1), ("b", 0), ("c", 1), ("d", 0)] {
            _ = try pending.accept([PlannedWrite(key, "x", in: database)], wallMs: 0)
        }
        pending.log()
        #expect(pending.flight(atMs: 1000) == ["SET b x", "SET d x", "1: SET a x", "1: SET c x"])
    }

    @Test func whoWaitsForAKeyIsReleasedWhenTheLogSaysThatRedisHasIt() throws {
        var pending = PendingWrites(.init())
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 0) == .nothing)
        try pending.take("a", "1")
        try pending.take("b", "1")
        #expect(pending.wait(for: [PendingKey("a"), PendingKey("z")], nowMs: 0) == .until(1))
        #expect(pending.flight(atMs: 0) == ["SET a 1"])
        try pending.take("a", "2")
        #expect(pending.answered([.done], nowMs: 1) == [])
        #expect(pending.log() == [.release([1])], "what came later is not waited for")
        #expect(pending.value("a") == "2")
    }

    @Test func whoWaitsForAWriteThatIsNotOnDiskYetWaitsUntilItIsAtRedis() throws {
        var pending = PendingWrites(.init())
        try pending.take("a", "1")
        _ = try pending.accept([PlannedWrite("a", "2")], wallMs: 0)
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 0) == .until(1))
        #expect(pending.flight(atMs: 0) == ["SET a 1"])
        _ = pending.answered([.done], nowMs: 0)
        #expect(pending.log() == [.acknowledge(through: 2)])
        #expect(pending.flight(atMs: 0) == ["SET a 2"])
        _ = pending.answered([.done], nowMs: 0)
        #expect(pending.log() == [.release([1])])
    }

    @Test func whoWaitsForEverythingIsReleasedWhenAllOfItIsAtRedis() throws {
        var pending = PendingWrites(.init())
        try pending.take("a", "1")
        _ = try pending.accept([PlannedWrite("b", "1")], wallMs: 0)
        #expect(pending.waitForAll(nowMs: 0) == .until(1))
        #expect(pending.flight(atMs: 0) == ["SET a 1"])
        _ = pending.answered([.done], nowMs: 0)
        pending.log()
        try pending.take("c", "1")
        #expect(pending.flight(atMs: 0) == ["SET b 1", "SET c 1"])
        _ = pending.answered([.done, .done], nowMs: 0)
        #expect(pending.log() == [.release([1])])
    }

    @Test func aLostConnectionIsTriedAgainLaterInTheSameOrderAndNobodyWaitsForIt() throws {
        var pending = PendingWrites(.init())
        for key in ["a", "b", "c"] { try pending.take(key, "1") }
        #expect(pending.waitForAll(nowMs: 0) == .until(1))
        #expect(pending.flight(atMs: 0) == ["SET a 1", "SET b 1", "SET c 1"])
        try pending.take("c", "2")
        #expect(
            pending.answered([.done], nowMs: 10) == [.fail([1], reason: "ERR Redis cannot be reached")])
        #expect(pending.wait(for: [PendingKey("b")], nowMs: 109) == .impossible(reason: "ERR Redis cannot be reached"))
        pending.log()
        #expect(pending.flight(atMs: 109) == nil)
        #expect(pending.flight(atMs: 110) == ["SET b 1", "SET c 2"])
        _ = pending.answered([], nowMs: 110)
        #expect(pending.dueMs == 310, "twice as long")
        pending.redisIsBack(nowMs: 120)
        #expect(pending.flight(atMs: 120) == ["SET b 1", "SET c 2"])
        _ = pending.answered([.done, .done], nowMs: 121)
        pending.log()
        #expect(pending.isEmpty && pending.counts.returned == 4 && pending.counts.coalesced == 1)
    }

    @Test func whatRedisCannotTakeNowIsSentAgainAndWhatItNeverTakesIsKeptForPeople() throws {
        var pending = PendingWrites(.init())
        for key in ["a", "b", "c"] { try pending.take(key, "1") }
        pending.hurryAll()
        #expect(pending.flight(atMs: 0)?.count == 3)
        let oom = "OOM command not allowed when used memory > 'maxmemory'."
        _ = pending.answered([.error(oom), .error("NOPERM no"), .done], nowMs: 0)
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 5) == .impossible(reason: oom))
        let rejections = pending.takeRejections()
        #expect(rejections.map(\.reason) == ["NOPERM no"])
        #expect(pending.value("b") == "1", "not forgotten before it is kept")
        pending.kept(rejections)
        pending.log()
        #expect(pending.value("b") == nil && pending.value("c") == nil && pending.value("a") == "1")
        #expect(pending.flight(atMs: 100) == ["SET a 1"])
    }

    @Test func whatTheDiskDoesNotTakeIsRefusedAndWithdrawnWithTheNextSync() throws {
        var pending = PendingWrites(.init())
        try pending.take("a", "1")
        _ = try pending.accept([PlannedWrite("a", "2"), PlannedWrite("b", "2")], wallMs: 0)
        #expect(pending.wait(for: [PendingKey("b")], nowMs: 0) == .until(1))
        _ = pending.nextBatch()
        #expect(pending.logFailed() == [.refuse(through: 3), .release([1])])
        #expect(pending.value("a") == "1" && pending.value("b") == nil && pending.count == 1)
        _ = try pending.accept([PlannedWrite("c", "3")], wallMs: 0)
        let batch = pending.nextBatch()
        #expect(batch.withdrawn == SequenceRanges([2...3]))
        #expect(pending.logged(nowMs: 0) == [.acknowledge(through: 4)])
        _ = try pending.accept([PlannedWrite("d", "4")], wallMs: 0)
        #expect(pending.nextBatch().withdrawn.isEmpty)
    }

    @Test func whenTheDiskTakesNoNoteTheWholeLogCanGoOnceRedisHasEverything() throws {
        var pending = PendingWrites(.init())
        try pending.take("a", "1")
        #expect(!pending.canEmptyLog)
        #expect(pending.flight(atMs: 1000) == ["SET a 1"])
        #expect(!pending.canEmptyLog)
        _ = pending.answered([.done], nowMs: 1000)
        _ = pending.nextBatch()
        #expect(pending.logFailed() == [])
        #expect(pending.canEmptyLog && pending.hasLogWork)
        #expect(pending.wait(for: [PendingKey("a")], nowMs: 1000) == .until(1))
        #expect(pending.logEmptied() == [.release([1])])
        #expect(pending.isEmpty)
    }

    @Test func boundsAreKept() throws {
        var rules = PendingWrites.Rules()
        rules.mostWrites = 2
        rules.mostBytesAtOnce = 1000
        var pending = PendingWrites(rules)
        #expect(throws: PendingWrites.Refusal.large) {
            _ = try pending.accept([PlannedWrite("a", String(repeating: "x", count: 1000))], wallMs: 0)
        }
        try pending.take("a", "1")
        try pending.take("a", "2")
        #expect(pending.count == 1, "what was overwritten does not count")
        try pending.take("b", "1")
        #expect(throws: PendingWrites.Refusal.full) { _ = try pending.accept([PlannedWrite("b", "2")], wallMs: 0) }
    }

    @Test func whatWasFoundInTheLogIsAsOldAsItIs() throws {
        let write = PendingWrite(sequence: 9, plan: PlannedWrite("a", "1"), acceptedWallMs: 1000)
        var pending = PendingWrites(
            .init(), replay: WriteLog.Replay(writes: [write], lastSequence: 9), nowMs: 50, wallMs: 61_000)
        #expect(pending.ageMs(nowMs: 50) == 60_000)
        #expect(pending.flight(atMs: 50) == ["SET a 1"])
        #expect(try pending.accept([PlannedWrite("b", "1")], wallMs: 0) == 10)
    }
}
