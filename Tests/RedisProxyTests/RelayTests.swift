import Metrics
import Operations
import RedisTesting
import Runtime
import TestTools
import Testing

@testable import RedisProxy

@Suite(.timeLimit(.minutes(3))) struct RelayTests {
    @Test func theLocalLevelComesBackAfterEveryDoubtHoweverTheyFollowOneAnother() async throws {
        let stage = try RelayUnderTest()
        try await stage.eventually("in use at first") { stage.local.freshness.isLive }
        let feed = try #require(await stage.onLoop { FeedOfTest($0.home.feed) }.feed)
        var dice = Seeded(3)
        for _ in 0..<40 {
            // Between two of them a pong to the first may come.
            for _ in 0..<Int.random(in: 1...4, using: &dice) {
                feed.doubt()
                for _ in 0..<Int.random(in: 0...500, using: &dice) { _ = dice.next() }
            }
            try await stage.eventually("in use after a doubt") { stage.local.freshness.isLive }
        }
        #expect(stage.metrics.trackingIsUp.value == 1)
        stage.stop()
    }

    private struct FeedOfTest: @unchecked Sendable {
        let feed: InvalidationFeed?
        init(_ feed: InvalidationFeed?) { self.feed = feed }
    }

    @Test func aBreakerThatOpensBecauseRepliesAreOverdueIsSeen() async throws {
        let stage = try RelayUnderTest { options in
            (options.timeoutMs, options.slowTimeoutMs) = (50, 50)
            options.feedTimeoutMs = 600_000
        }
        stage.redis.holdCommand("GET")
        await stage.onLoop { relay in
            let connections = relay.ownConnections(to: relay.home)
            for upstream in connections.fast + [connections.slow] { upstream.ask(command("GET", "k")) { _, _ in } }
        }
        try await stage.eventually("counted") { stage.metrics.breakerOpenings.count > 0 }
        try await stage.eventually("timed out") { stage.metrics.timeouts.count >= 3 }
        // Then it closes again, as soon as somebody is answered.
        stage.redis.release()
        try await stage.eventually("closed again") {
            await stage.onLoop { relay in relay.ownConnections(to: relay.home).fast[0].ask(command("PING")) { _, _ in }
            }
            return stage.metrics.breakerIsOpen.value == 0
        }
        stage.stop()
    }

    @Test func everyMoveOfABreakerIsTold() {
        let node = RedisNode()
        var told: [Bool] = []
        node.breakerTurned = { told.append($0.breaker.isClosed) }
        for now in 0..<5 { node.failed(nowMs: now) }
        #expect(told == [false])
        #expect(!node.mayConnect(nowMs: 10) && node.mayConnect(nowMs: 1000))
        node.gaveUp(nowMs: 1000)
        #expect(told == [false])
        node.succeeded()
        for now in 0..<3 { node.failed(nowMs: now) }
        // Another server in its place has failed nobody.
        node.become(NodeAddress("other", 1), at: nil)
        #expect(told == [false, true, false, true])
    }

    @Test func aByteNowAndThenIsNoProgress() {
        var progress = ReplyProgress(nowMs: 0)
        for second in 1...100 {
            progress.sees(second, nowMs: second * 1000)
            progress.leaves(second)
        }
        #expect(progress.lastMs == 0)
        progress.tookReply(nowMs: 101_000)
        #expect(progress.lastMs == 101_000)
        // A long reply that keeps coming is.
        progress.leaves(0)
        for second in 102...104 {
            progress.sees((second - 101) * 40_000, nowMs: second * 1000)
            progress.leaves((second - 101) * 40_000)
        }
        #expect(progress.lastMs == 103_000)
    }

    @Test func answersFromMemoryTakeTheTimeTheyTook() throws {
        let recorder = OperationRecorder(try OperationsConfiguration(Settings()))
        let monitor = CommandMonitor(recorder)
        monitor.noteHit(.string, 3, roundNs: 100_000)
        monitor.noteHit(.string, 1, roundNs: 500_000)
        monitor.noteHit(.hash, 2, roundNs: 2_000_000)
        #expect(Self.sum("redis_string", recorder) == nil)
        monitor.flush()
        monitor.flush()
        #expect(Self.sum("redis_string", recorder).map { abs($0 - 0.0008) < 1e-9 } == true)
        // A long round is told as long as it was.
        #expect(Self.sum("redis_hash", recorder).map { abs($0 - 0.004) < 1e-9 } == true)
    }

    private static func sum(_ operation: String, _ recorder: OperationRecorder) -> Double? {
        for collected in recorder.collectedWhenLate(CollectionRound(deadline: .after(.seconds(1)))) {
            for family in collected.families where family.metric.name == "outrigger_operation_duration_seconds" {
                for sample in family.samples where sample.part == .sum && sample.value > 0 {
                    if sample.labels["operation"] == operation { return sample.value }
                }
            }
        }
        return nil
    }
}
