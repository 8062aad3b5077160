import Testing

@testable import PostgresProxy

/// What decides and does nothing by itself.
struct PoolSizingTests {
    private let sizing = PoolSizing(size: 4, overflow: 2)

    private func opens(_ waiting: Int, after waitMs: Int, connecting: Int = 0, total: Int, allowed: Int = 100) -> Int {
        sizing.connectionsToOpen(
            PoolSizing.Demand(
                waiting: waiting, longestWaitMs: waitMs, connecting: connecting, total: total, allowed: allowed))
    }

    @Test func theFirstIsOpenedForTheFirstWhoComes() { #expect(opens(1, after: 0, total: 0) == 1) }

    @Test func nobodyWaitsAndNothingIsOpened() { #expect(opens(0, after: 1000, total: 1) == 0) }

    @Test func aShortWaitOpensNothing() { #expect(opens(3, after: 1, total: 2) == 0) }

    @Test func aLongerWaitOpensMoreTheLongerTheLine() {
        #expect(opens(1, after: 5, total: 1) == 1)
        #expect(opens(6, after: 5, total: 1) == 3)
        #expect(opens(6, after: 5, connecting: 2, total: 3) == 1)
        #expect(opens(6, after: 5, connecting: 3, total: 4) == 0)
    }

    @Test func onlyALongWaitGoesBeyondTheSize() {
        #expect(opens(9, after: 49, total: 4) == 0)
        #expect(opens(9, after: 50, total: 4) == 2)
        #expect(opens(9, after: 5000, total: 6) == 0)
    }

    @Test func theUsersLimitHolds() {
        #expect(opens(9, after: 5, total: 1, allowed: 1) == 1)
        #expect(opens(9, after: 5, total: 1, allowed: 0) == 0)
        #expect(opens(9, after: 5, total: 1, allowed: -3) == 0)
    }

    @Test func whoIsRefusedTriesLaterAndLater() {
        var backoff = ConnectBackoff()
        #expect(backoff.mayConnect(nowMs: 0))
        backoff.failed(nowMs: 0)
        #expect(!backoff.mayConnect(nowMs: 99) && backoff.mayConnect(nowMs: 100))
        for _ in 0..<200 { backoff.failed(nowMs: 0) }
        #expect(!backoff.mayConnect(nowMs: 4999) && backoff.mayConnect(nowMs: 5000))
        backoff.succeeded()
        #expect(backoff.mayConnect(nowMs: 0))
    }
}

struct ReplyQueueTests {
    private typealias Entry = ReplyQueue.Entry

    private func queue(_ kinds: [ReplyQueue.Kind]) -> ReplyQueue {
        var queue = ReplyQueue()
        for kind in kinds { queue.append(Entry(kind)) }
        return queue
    }

    private func kinds(_ queue: ReplyQueue) -> [ReplyQueue.Kind] { (0..<queue.count).map { queue[$0].kind } }

    @Test func firstInFirstOutHoweverItGrowsAndTurns() {
        var queue = ReplyQueue()
        var (put, taken) = (UInt32(0), UInt32(0))
        for round in 0..<200 {
            for _ in 0..<(round % 13) {
                put += 1
                queue.append(Entry(.parse, statement: put))
            }
            for _ in 0..<(round % 11) {
                guard let entry = queue.popFirst() else { continue }
                taken += 1
                #expect(entry.statement == taken)
            }
            #expect(queue.count == Int(put - taken))
        }
    }

    @Test func anErrorSkipsToTheNextSync() {
        var queue = queue([.parse, .bind, .execute, .sync, .parse, .sync])
        var skipped = 0
        let hasSync = queue.skipToSync { _ in skipped += 1 }
        #expect(hasSync && skipped == 3)
        #expect(kinds(queue) == [.sync, .parse, .sync])
        queue.popFirst()
        queue.popFirst()
        queue.popFirst()
        queue.append(Entry(.bind))
        let hasAnother = queue.skipToSync { _ in }
        #expect(!hasAnother && queue.isEmpty)
    }

    @Test func syncsWithinACopyAreNotAnswered() {
        var queue = queue([.execute, .sync, .copyEnd, .sync, .query])
        let hasDropped = queue.dropIgnoredSyncs()
        #expect(hasDropped)
        #expect(kinds(queue) == [.execute, .copyEnd, .sync, .query])
        // The end of the copy has no reply of its own.
        queue.popFirst()
        #expect(kinds(queue) == [.sync, .query])
    }
}

struct LastStatementTests {
    @Test(arguments: [
        ("SELECT  1,\n 'a''b' FROM t1 WHERE x=-2.5", "SELECT ?, ?? FROM t1 WHERE x=-?"),
        ("SELECT $1::int", "SELECT $1::int"),
        ("SELECT $$secret$$", "SELECT ?"), ("SELECT 'cut off", "SELECT ?"), ("", ""),
    ]) func aFingerprintHoldsNoValues(_ text: String, _ plain: String) {
        #expect(LastStatement.fingerprint(Array(text.utf8).span) == plain)
    }
}
