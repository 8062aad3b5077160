import LocalServers
import RedisTesting
import Runtime
import Testing

/// Races between the proxy's connections, played by a Redis that does what it is told. Letters and numbers are those of the
/// checklist for near caches.
@Suite(.timeLimit(.minutes(15))) struct RedisProxyRaceTests {
    /// The proxy in front of a scripted Redis, with its local level in use.
    private struct Stage: Sendable {
        let redis: FakeRedis
        let outrigger: RunningOutrigger
        let port: UInt16

        /// Clients whose numbers differ by one use different connections to Redis.
        func client() throws -> RawClient { try RawClient(port: port) }

        /// Everything that Redis has told before is known when this returns.
        func catchUp() throws { try client().ask("EVAL", "", "0") }
    }

    private func play(_ body: @escaping @Sendable (Stage) throws -> Void) async throws {
        let redis = FakeRedis()
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            ["--redis-proxy.listen-address=127.0.0.1:\(port)"],
            environment: ["REDIS_URL": "redis://127.0.0.1:\(redis.port)"])
        let stage = Stage(redis: redis, outrigger: outrigger, port: port)
        try await OwnThread().run {
            try redis.wait(for: "SUBSCRIBE", "__redis__:invalidate")
            redis.keep("probe", "1")
            try Self.untilHit(stage, "probe", "$1\r\n1\r\n")
            try body(stage)
        }
        await outrigger.stop()
        redis.stop()
    }

    /// Until the local level answers.
    private static func untilHit(_ stage: Stage, _ key: String, _ value: String) throws {
        let (client, deadline) = (try stage.client(), Deadline.after(.seconds(20)))
        while !deadline.hasPassed {
            let before = stage.redis.count("GET", key)
            #expect(try client.ask("GET", key) == value)
            if before > 0, stage.redis.count("GET", key) == before { return }
        }
        Issue.record("\(key) is never served locally")
    }

    private static func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }

    @Test func t4AnInvalidationThatOvertakesTheReplyMakesItWorthless() async throws {
        try await play { stage in
            stage.redis.keep("k", "old")
            stage.redis.holdReplies(to: "GET")
            let first = try stage.client()
            first.send(command("GET", "k"))
            try stage.redis.wait(for: "GET", "k")
            stage.redis.keep("k", "new")
            stage.redis.invalidate("k")
            try stage.client().ask("PING")
            try stage.catchUp()
            stage.redis.release()
            #expect(String(decoding: try first.nextReply(), as: UTF8.self) == Self.bulk("old"))
            #expect(try first.ask("GET", "k") == Self.bulk("new"))
            #expect(try stage.client().ask("GET", "k") == Self.bulk("new"))
        }
    }

    @Test(arguments: [0, 1]) func t4AnOldReplyDoesNotTakeTheNextFetchsPlace(firstToCome: Int) async throws {
        try await play { stage in
            // Both connections are there, in this order.
            let (first, second) = (try stage.client(), try stage.client())
            for client in [first, second] { try client.ask("INCR", "n") }
            stage.redis.keep("k", "old")
            stage.redis.holdReplies(to: "GET")
            first.send(command("GET", "k"))
            try stage.redis.wait(for: "GET", "k")
            stage.redis.keep("k", "new")
            stage.redis.invalidate("k")
            // `EVAL` has a connection apart.
            try stage.catchUp()
            second.send(command("GET", "k"))
            try stage.redis.wait(for: "GET", "k", count: 2)
            stage.redis.release(only: firstToCome)
            stage.redis.release()
            let replies = try [first, second].map { String(decoding: try $0.nextReply(), as: UTF8.self) }
            #expect(replies == [Self.bulk("old"), Self.bulk("new")])
            for _ in 0..<2 { #expect(try stage.client().ask("GET", "k") == Self.bulk("new")) }
        }
    }

    @Test func t5AWriteUnderWayMakesWorthlessWhatOthersFetchBeforeItsReply() async throws {
        try await play { stage in
            stage.redis.keep("k", "old")
            let (writer, reader) = (try stage.client(), try stage.client())
            try Self.untilHit(stage, "k", Self.bulk("old"))
            stage.redis.holdCommand("SET")
            writer.send(command("SET", "k", "new"))
            try stage.redis.wait(for: "SET", "k", "new")
            // Dropped before it was passed on: this is asked anew, and kept.
            let asked = stage.redis.count("GET", "k")
            #expect(try reader.ask("GET", "k") == Self.bulk("old"))
            #expect(stage.redis.count("GET", "k") == asked + 1)
            #expect(try reader.ask("GET", "k") == Self.bulk("old"))
            #expect(stage.redis.count("GET", "k") == asked + 1)
            // No message tells of this one: the reply alone makes it forgotten.
            stage.redis.release()
            #expect(String(decoding: try writer.nextReply(), as: UTF8.self) == "+OK\r\n")
            for client in [reader, writer] { #expect(try client.ask("GET", "k") == Self.bulk("new")) }
        }
    }

    @Test func t5AClientReadsPastTheLocalLevelWhatItIsWriting() async throws {
        try await play { stage in
            stage.redis.keep("k", "old")
            try Self.untilHit(stage, "k", Self.bulk("old"))
            let client = try stage.client()
            client.send(command("SET", "k", "new") + command("GET", "k"))
            #expect(String(decoding: try client.nextReply(), as: UTF8.self) == "+OK\r\n")
            #expect(String(decoding: try client.nextReply(), as: UTF8.self) == Self.bulk("new"))
        }
    }

    @Test func t6TheEndOfAValueIsCountedFromWhenItWasAskedFor() async throws {
        try await play { stage in
            stage.redis.keep("k", "soon gone", lifetimeMs: 60)
            stage.redis.holdReplies(to: "PTTL")
            let client = try stage.client()
            client.send(command("GET", "k"))
            try stage.redis.wait(for: "PTTL", "k")
            BlockingWait.milliseconds(80)
            stage.redis.release()
            #expect(String(decoding: try client.nextReply(), as: UTF8.self) == Self.bulk("soon gone"))
            stage.redis.keep("k", nil)
            #expect(try client.ask("GET", "k") == "$-1\r\n")
        }
    }

    @Test func t7AFeedThatIsSilentIsNotTrusted() async throws {
        try await play { stage in
            stage.redis.keep("k", "old")
            try Self.untilHit(stage, "k", Self.bulk("old"))
            stage.redis.silenceFeeds()
            stage.redis.keep("k", "new")
            let (client, deadline) = (try stage.client(), Deadline.after(.seconds(20)))
            while try client.ask("GET", "k") == Self.bulk("old") {
                guard !deadline.hasPassed else {
                    Issue.record("still served")
                    return
                }
                BlockingWait.milliseconds(20)
            }
            try stage.redis.wait(for: "SUBSCRIBE", "__redis__:invalidate", count: 2)
            try Self.untilHit(stage, "k", Self.bulk("new"))
        }
    }

    @Test func t7WhatWasFetchedBeforeTheFeedWasLostIsNotKept() async throws {
        try await play { stage in
            stage.redis.keep("k", "old")
            stage.redis.holdReplies(to: "GET")
            let client = try stage.client()
            client.send(command("GET", "k"))
            try stage.redis.wait(for: "GET", "k")
            stage.redis.closeConnections(feeds: true)
            stage.redis.keep("k", "new")
            try stage.redis.wait(for: "SUBSCRIBE", "__redis__:invalidate", count: 2)
            try stage.client().ask("PING")
            stage.redis.release()
            #expect(String(decoding: try client.nextReply(), as: UTF8.self) == Self.bulk("old"))
            for _ in 0..<2 { #expect(try client.ask("GET", "k") == Self.bulk("new")) }
        }
    }

    @Test func t7NothingIsServedWhenAnotherConnectionIsLostUntilTheFeedHasAnswered() async throws {
        try await play { stage in
            stage.redis.keep("k", "old")
            let client = try stage.client()
            try client.ask("INCR", "n")
            try Self.untilHit(stage, "k", Self.bulk("old"))
            stage.redis.silenceFeeds()
            stage.redis.keep("k", "new")
            stage.redis.closeUnder("INCR")
            client.send(command("INCR", "n"))
            #expect(throws: RawClient.Failure.self) { try client.nextReply() }
            let told = try stage.client().ask("GET", "k")
            #expect(told == Self.bulk("new"))
        }
    }

    @Test func t9AnMGETIsAnsweredWholeFromOneSide() async throws {
        try await play { stage in
            stage.redis.keep("a", "1")
            stage.redis.keep("b", "2")
            try Self.untilHit(stage, "a", Self.bulk("1"))
            let (client, both) = (try stage.client(), "*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n1\r\n")
            for _ in 0..<2 { #expect(try client.ask("MGET", "a", "b", "a") == both) }
            #expect(stage.redis.count("MGET", "a", "b", "a") == 1)
        }
    }

    @Test(arguments: [
        "LOADING Redis is loading the dataset in memory", "MISCONF no", "OOM no", "NOPERM no", "MOVED 1 h:1",
    ])
    func r3ErrorsAreToldAndNotKept(_ error: String) async throws {
        try await play { stage in
            stage.redis.keep("k", "value")
            let client = try stage.client()
            stage.redis.fail("GET", with: error)
            #expect(try client.ask("GET", "k") == "-\(error)\r\n")
            stage.redis.fail("GET", with: nil)
            #expect(try client.ask("GET", "k") == Self.bulk("value"))
            stage.redis.fail("SET", with: error)
            #expect(try client.ask("SET", "k", "x") == "-\(error)\r\n")
            stage.redis.fail("PTTL", with: error)
            stage.redis.keep("other", "value")
            for count in 1...2 {
                #expect(try client.ask("GET", "other") == Self.bulk("value"))
                #expect(stage.redis.count("GET", "other") == count)
            }
        }
    }

    @Test func r4ThatThereIsNothingIsKeptUntilThereIs() async throws {
        try await play { stage in
            let client = try stage.client()
            for _ in 0..<2 { #expect(try client.ask("GET", "k") == "$-1\r\n") }
            #expect(stage.redis.count("GET", "k") == 1)
            stage.redis.keep("k", "value")
            stage.redis.invalidate("k")
            try stage.catchUp()
            #expect(try client.ask("GET", "k") == Self.bulk("value"))
        }
    }

    @Test func p1AClientThatHasGoneKeepsItsPlaceInLine() async throws {
        try await play { stage in
            let (first, _, third) = (try stage.client(), try stage.client(), try stage.client())
            stage.redis.holdReplies(to: "INCR")
            first.send(command("INCR", "a"))
            try stage.redis.wait(for: "INCR", "a")
            first.hangUp()
            third.send(command("INCR", "b") + command("INCR", "b"))
            try stage.redis.wait(for: "INCR", "b", count: 2)
            stage.redis.keep("a", "77")
            stage.redis.release()
            let replies = try [third.nextReply(), third.nextReply()].map { String(decoding: $0, as: UTF8.self) }
            #expect(replies == [":1\r\n", ":2\r\n"])
        }
    }

    @Test func p5AWriteWithoutAReplyIsNotSentAgain() async throws {
        try await play { stage in
            stage.redis.closeUnder("INCR")
            let client = try stage.client()
            client.send(command("INCR", "n"))
            #expect(throws: RawClient.Failure.self) { try client.nextReply() }
            try stage.client().ask("PING")
            #expect(try stage.client().ask("GET", "n") == Self.bulk("1"))
            #expect(stage.redis.count("INCR", "n") == 1)
        }
    }

    @Test func p5NorIsTheRestOfATransactionCarriedOutElsewhere() async throws {
        try await play { stage in
            stage.redis.keep("k", "old")
            let client = try stage.client()
            try client.ask("MULTI")
            stage.redis.closeConnections(feeds: false)
            client.send(command("SET", "k", "new") + command("EXEC"))
            #expect(throws: RawClient.Failure.self) { try client.nextReply() }
            #expect(stage.redis.count("SET", "k", "new") == 0)
        }
    }

    @Test func whoFollowsAFetchWhoseConnectionDiesFetchesForItself() async throws {
        try await play { stage in
            stage.redis.keep("k", "value")
            let (first, second) = (try stage.client(), try stage.client())
            stage.redis.holdReplies(to: "GET")
            first.send(command("GET", "k"))
            try stage.redis.wait(for: "GET", "k")
            second.send(command("GET", "k"))
            try stage.client().ask("EVAL", "", "0")
            stage.redis.closeConnections(feeds: false)
            _ = try first.nextReply()
            stage.redis.release()
            let reply = String(decoding: try second.nextReply(), as: UTF8.self)
            #expect(reply == Self.bulk("value") || reply.hasPrefix("-"))
        }
    }

    @Test func lastWordsThatWaitForTheFeedAreToldThoughRedisHasGone() async throws {
        try await play { stage in
            stage.redis.fail("NOSUCH", with: "ERR unknown command 'NOSUCH'")
            stage.redis.closeBehind("NOSUCH")
            stage.redis.silenceFeeds()
            let client = try stage.client()
            client.send(command("NOSUCH"))
            let reply = String(decoding: try client.nextReply(), as: UTF8.self)
            #expect(reply == "-ERR unknown command 'NOSUCH'\r\n")
            #expect(try client.readToEnd().isEmpty)
        }
    }

    @Test func c7AClientOfARedisThatKnowsNoHelloGoesOnAsItWas() async throws {
        try await play { stage in
            let client = try stage.client()
            #expect(try client.ask("HELLO", "3") == "-ERR unknown command 'HELLO'\r\n")
            #expect(try client.ask("GET", "k") == "$-1\r\n")
            #expect(try client.ask("SET", "k", "1") == "+OK\r\n")
            #expect(try client.ask("GET", "k") == Self.bulk("1"))
        }
    }

    @Test func p2WhatOneClientAsksIsCarriedOutInItsOrder() async throws {
        try await play { stage in
            let client = try stage.client()
            stage.redis.holdCommand("EVAL")
            // `EVAL` goes over another connection than the others, and "probe" is known here.
            client.send(command("EVAL", "", "0") + command("SET", "k", "1") + command("GET", "probe"))
            try stage.redis.wait(for: "EVAL", "", "0")
            for _ in 0..<4 { try stage.client().ask("PING") }
            #expect(stage.redis.count("SET", "k", "1") == 0)
            stage.redis.release()
            let replies = try (0..<3).map { _ in String(decoding: try client.nextReply(), as: UTF8.self) }
            #expect(replies == ["+OK\r\n", "+OK\r\n", Self.bulk("1")])
        }
    }

    @Test func p2WhatIsKnownHereWaitsForTheRepliesBeforeIt() async throws {
        try await play { stage in
            let client = try stage.client()
            stage.redis.holdReplies(to: "INCR")
            client.send(command("INCR", "n") + command("GET", "probe") + command("INCR", "n"))
            try stage.redis.wait(for: "INCR", "n", count: 2)
            stage.redis.release()
            let replies = try (0..<3).map { _ in String(decoding: try client.nextReply(), as: UTF8.self) }
            #expect(replies == [":1\r\n", Self.bulk("1"), ":2\r\n"])
        }
    }

    @Test func c8ACommandThatComesInPiecesIsReadOnce() async throws {
        try await play { stage in
            let client = try stage.client()
            let get = command("GET", "probe")
            for cut in 1..<get.count {
                client.send(Array(get[..<cut]))
                // The first piece has come when this is answered.
                try stage.client().ask("PING")
                client.send(Array(get[cut...]) + command("SET", "k", "\(cut)"))
                let replies = try (0..<2).map { _ in String(decoding: try client.nextReply(), as: UTF8.self) }
                #expect(replies == [Self.bulk("1"), "+OK\r\n"], "cut at \(cut)")
            }
        }
    }

    @Test func nothingIsAskedOnAConnectionBeforeItIsWhatItIsFor() async throws {
        try await play { stage in
            let client = try stage.client()
            stage.redis.holdReplies(to: "SELECT")
            client.send(command("SELECT", "3") + command("SET", "k", "1"))
            try stage.redis.wait(for: "SELECT", "3")
            for _ in 0..<4 { try stage.client().ask("PING") }
            // The connection's own; the client's waits for the answer to it.
            #expect(stage.redis.count("SELECT", "3") == 1)
            stage.redis.release()
            for _ in 0..<2 { #expect(String(decoding: try client.nextReply(), as: UTF8.self) == "+OK\r\n") }
            #expect(stage.redis.count("SELECT", "3") == 2)
        }
    }

    @Test func onAConnectionThatRedisDoesNotAcceptNothingIsCarriedOut() async throws {
        try await play { stage in
            let (client, error) = (try stage.client(), "ERR DB index is out of range")
            try client.ask("SELECT", "3")
            #expect(try client.ask("SET", "k", "1") == "+OK\r\n")
            stage.redis.fail("SELECT", with: error)
            stage.redis.closeConnections(feeds: false)
            // Until the proxy has noticed, a read is told that the connection was lost.
            try client.expect("-\(error)\r\n", "MGET", "k")
            for value in ["2", "3"] { #expect(try client.ask("SET", "k", value) == "-\(error)\r\n") }
            #expect(stage.redis.count("SET", "k", "2") == 0)
            stage.redis.fail("SELECT", with: nil)
            #expect(try client.ask("SET", "k", "4") == "+OK\r\n")
        }
    }
}
