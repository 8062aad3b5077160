import Glibc
import LocalServers
import RedisTesting
import Runtime
import Testing

/// Writing behind and writing through, by clients of the real binary.
@Suite struct RedisProxyWriteBehindTests {
    /// Nothing leaves by itself.
    private static func slow(_ flags: String...) -> ProxyVariant {
        ProxyVariant(
            name: "slow",
            flags: ProxyVariant.behind.flags + [
                "--redis-proxy.write-behind.flush-interval=1h", "--redis-proxy.write-behind.batch=100000",
            ] + flags)
    }

    /// Runs a proof with a client of the proxy, another one, and one of Redis.
    private func prove(
        _ variant: ProxyVariant = slow(),
        _ proof: @escaping @Sendable (_ client: RawClient, _ other: RawClient, _ redis: RawClient) throws -> Void
    ) async throws {
        let proxy = try await ProxyUnderTest.start(variant)
        let (port, redis) = (proxy.port, proxy.redis.port)
        try await OwnThread().run {
            try proof(RawClient(port: port), RawClient(port: port), RawClient(port: redis))
        }
        await proxy.stop()
    }

    private static func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }
    private static let null = "$-1\r\n"

    @Test func everyClientReadsWhatWasAcknowledgedBeforeRedisHasIt() async throws {
        try await prove { client, other, redis in
            #expect(try client.ask("SET", "a", "one") == "+OK\r\n")
            #expect(try client.ask("SETEX", "b", "100", "two") == "+OK\r\n")
            #expect(try client.ask("MSET", "c", "three", "d", "four") == "+OK\r\n")
            for reader in [client, other] {
                #expect(try reader.ask("GET", "a") == Self.bulk("one"))
                #expect(try reader.ask("STRLEN", "c") == ":5\r\n")
                #expect(try reader.ask("MGET", "b", "d") == "*2\r\n" + Self.bulk("two") + Self.bulk("four"))
            }
            #expect(try redis.ask("DBSIZE") == ":0\r\n")
            // In another database there is nothing of that name.
            try other.ask("SELECT", "1")
            #expect(try other.ask("GET", "a") == Self.null)
            #expect(try client.ask("DBSIZE") == ":4\r\n", "waits for the flush")
            #expect(try redis.ask("GET", "a") == Self.bulk("one"))
        }
    }

    @Test func anotherCommandOnAPendingKeyWaitsForThatKeyOnly() async throws {
        try await prove { client, other, redis in
            try client.ask("SET", "n", "5")
            try client.ask("SET", "still", "pending")
            #expect(try other.ask("INCR", "n") == ":6\r\n")
            #expect(try client.ask("GET", "n") == Self.bulk("6"))
            #expect(try redis.ask("EXISTS", "still") == ":0\r\n")
            try client.ask("SET", "n", "7")
            #expect(try other.ask("DEL", "n") == ":1\r\n")
            #expect(try client.ask("GET", "n") == Self.null)
            // Half of what is asked for is pending.
            try redis.ask("SET", "there", "already")
            try client.ask("SET", "n", "8")
            #expect(try other.ask("MGET", "n", "there") == "*2\r\n" + Self.bulk("8") + Self.bulk("already"))
            #expect(try redis.ask("GET", "n") == Self.bulk("8"))
            #expect(try client.ask("EVAL", "return redis.call('GET', 'still')", "0") == Self.bulk("pending"))
        }
    }

    @Test func aPipelineKeepsItsOrderAndSharesItsSyncs() async throws {
        let proxy = try await ProxyUnderTest.start(Self.slow())
        let port = proxy.port
        try await OwnThread().run {
            let client = try RawClient(port: port)
            let mixed = [
                command("SET", "k", "1"), command("GET", "k"), command("SET", "k", "2"), command("INCR", "k"),
                command("GET", "k"), command("SET", "k", "9"), command("APPEND", "k", "9"), command("GET", "k"),
            ]
            client.send(mixed.flatMap { $0 })
            let wanted = [
                "+OK\r\n", Self.bulk("1"), "+OK\r\n", ":3\r\n", Self.bulk("3"), "+OK\r\n", ":2\r\n", Self.bulk("99"),
            ]
            for reply in wanted { #expect(String(decoding: try client.nextReply(), as: UTF8.self) == reply) }
            client.send((0..<2000).flatMap { command("SET", "p\($0 % 100)", "\($0)") })
            for _ in 0..<2000 { #expect(try client.nextReply() == Array("+OK\r\n".utf8)) }
            for key in 0..<100 { #expect(try client.ask("GET", "p\(key)") == Self.bulk("\(1900 + key)")) }
        }
        let metrics = try await proxy.outrigger.get("/metrics").body
        let syncs = try #require(Self.value("write_behind_sync_seconds_count", in: metrics))
        #expect(syncs < 200, "2000 writes of one pipeline")
        await proxy.stop()
    }

    private static func value(_ name: String, in metrics: String) -> Double? {
        metrics.split(separator: "\n").first { $0.hasPrefix("outrigger_redis_proxy_\(name)") }
            .flatMap { $0.split(separator: " ").last }.flatMap { Double($0) }
    }

    @Test func transactionsSeeWhatIsPendingAndNoticeWhatIsWritten() async throws {
        try await prove { client, other, redis in
            try client.ask("SET", "t", "1")
            for words in [["MULTI"], ["GET", "t"], ["INCR", "t"]] { _ = try client.ask(words.map { Array($0.utf8) }) }
            // After it was queued, before it is carried out.
            try other.ask("SET", "t", "10")
            #expect(try client.ask("EXEC") == "*2\r\n" + Self.bulk("10") + ":11\r\n")
            #expect(try other.ask("GET", "t") == Self.bulk("11"))
            try client.ask("WATCH", "t")
            try other.ask("SET", "t", "20")
            #expect(try client.ask("GET", "t") == Self.bulk("20"))
            try client.ask("MULTI")
            try client.ask("SET", "u", "mine")
            #expect(try client.ask("EXEC") == "*-1\r\n", "a watched key changed")
            #expect(try redis.ask("GET", "t") == Self.bulk("20"))
        }
    }

    @Test func aClientWithAConnectionOfItsOwnSeesWhatIsPending() async throws {
        try await prove { client, other, _ in
            try client.ask("SET", "o", "1")
            try other.ask("CLIENT", "ID")
            #expect(try other.ask("GET", "o") == Self.bulk("1"))
            #expect(try other.ask("INCR", "o") == ":2\r\n")
            #expect(try client.ask("SET", "o", "7") == "+OK\r\n")
            #expect(try other.ask("GET", "o") == Self.bulk("7"))
            #expect(try client.ask("GET", "o") == Self.bulk("7"))
        }
    }

    @Test func milestonesAreAtRedisSoon() async throws {
        try await prove(Self.slow("--redis-proxy.write-behind.milestones=done:*")) { client, _, redis in
            try client.ask("SET", "plain", "1")
            try client.ask("SET", "done:1", "yes")
            let deadline = Deadline.after(.seconds(120))
            while try redis.ask("GET", "done:1") != Self.bulk("yes"), !deadline.hasPassed {
                BlockingWait.milliseconds(2)
            }
            #expect(try redis.ask("GET", "done:1") == Self.bulk("yes"))
            #expect(try redis.ask("GET", "plain") == Self.null)
        }
    }

    @Test func redisGoneIsNoReasonNotToWrite() async throws {
        let proxy = try await ProxyUnderTest.start(
            Self.slow("--redis-proxy.write-behind.max-pending=10"))
        let port = proxy.port
        proxy.redis.server.process.signal(SIGKILL)
        _ = try await proxy.redis.server.process.exited(within: .seconds(120))
        try await OwnThread().run {
            let client = try RawClient(port: port)
            for number in 0..<10 { #expect(try client.ask("SET", "k\(number)", "v") == "+OK\r\n") }
            #expect(try client.ask("GET", "k3") == Self.bulk("v"))
            // Beyond the bound, and for everything that only Redis knows.
            #expect(try client.ask("SET", "k10", "v").hasPrefix("-ERR Redis cannot be reached"))
            #expect(try client.ask("INCR", "k0").hasPrefix("-ERR Redis cannot be reached"))
            #expect(try client.ask("GET", "k9") == Self.bulk("v"))
        }
        try await proxy.restartRedis()
        let behind = proxy.redis.port
        try await OwnThread().run {
            let client = try RawClient(port: port)
            let deadline = Deadline.after(.seconds(120))
            while try client.ask("DBSIZE") != ":10\r\n", !deadline.hasPassed { BlockingWait.milliseconds(20) }
            let redis = try RawClient(port: behind)
            #expect(try redis.ask("GET", "k7") == Self.bulk("v"))
        }
        await proxy.stop()
    }

    @Test func aRedisWithoutRoomTakesDeletionsAndReadsAndRefusesTheRestItself() async throws {
        let quick = ProxyVariant(
            name: "quick", flags: ProxyVariant.behind.flags + ["--redis-proxy.write-behind.flush-interval=1ms"])
        let full = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        try await prove(quick) { client, other, redis in
            try redis.ask("CONFIG", "SET", "maxmemory", "1")
            for (deletion, told) in [
                (["DEL", "a", "none"], ":1\r\n"), (["UNLINK", "a", "a"], ":1\r\n"), (["FLUSHDB"], "+OK\r\n"),
                (["FLUSHALL"], "+OK\r\n"),
            ] {
                #expect(try client.ask("SET", "a", "1") == "+OK\r\n")
                try client.ask("SELECT", "1")
                #expect(["+OK\r\n", full].contains(try client.ask("SET", "elsewhere", "1")))
                try client.ask("SELECT", "0")
                // Until the proxy has tried: from then on writes are for Redis to refuse.
                try other.expect(full, "SET", "b", "2")
                #expect(try other.ask("GET", "a") == Self.bulk("1"))
                #expect(try other.ask("INCR", "a") == full)
                #expect(try client.ask("KEYS", "*") == "*0\r\n")
                #expect(try client.ask("DBSIZE") == ":0\r\n")
                #expect(try client.ask("EVAL", "return 7", "0") == ":7\r\n")
                #expect(try client.ask("EVAL", "return redis.call('GET', KEYS[1])", "1", "a") == full)
                #expect(try client.ask("DEL", "none") == ":0\r\n")
                #expect(String(decoding: try client.ask(deletion.map { Array($0.utf8) }), as: UTF8.self) == told)
                #expect(try other.ask("GET", "a") == Self.null)
                #expect(try other.ask("DEL", "a") == ":0\r\n")
                #expect(try client.ask("FLUSHALL") == "+OK\r\n")
            }
            try client.ask("SET", "kept", "1")
            try redis.ask("CONFIG", "SET", "maxmemory", "0")
            try redis.expect(Self.bulk("1"), "GET", "kept")
            try client.expect("+OK\r\n", "SET", "more", "2")
            try redis.expect(Self.bulk("2"), "GET", "more")
            #expect(try redis.ask("DBSIZE") == ":2\r\n")
        }
    }

    @Test func whatIsPendingIsAtRedisWhenTheProxyHasEnded() async throws {
        let proxy = try await ProxyUnderTest.start(Self.slow())
        let port = proxy.port
        try await OwnThread().run {
            let client = try RawClient(port: port)
            for number in 0..<100 { try client.ask("SET", "k\(number)", "v") }
            // What was switched off goes to Redis as ever, after what is pending.
        }
        let answer = try await proxy.outrigger.get("/-/features/write_behind=off", ["-X", "PUT"])
        #expect(answer.status == 200)
        let behind = proxy.redis.port
        try await OwnThread().run {
            try RawClient(port: port).ask("SET", "k0", "w")
            #expect(try RawClient(port: behind).ask("GET", "k0") == Self.bulk("w"))
        }
        proxy.outrigger.process.signal(SIGTERM)
        #expect(try await proxy.outrigger.process.exited(within: .seconds(120)) == 0)
        #expect(try await proxy.redis.command("DBSIZE") == "100\n")
        await proxy.redis.stop()
    }

    @Test func withoutAFolderForTheLogItDoesNotStart() async throws {
        let run = try await RunningOutrigger.run(
            ["serve", "--redis-proxy.listen-address=127.0.0.1:1", "--cache.write=behind"],
            environment: ["REDIS_URL": "redis://127.0.0.1:1"])
        #expect(run.status != 0)
        #expect(run.output.contains("state.dir"))
    }

    @Test(arguments: [["SET"], ["MSET", "beside", "1"]])
    func whatIsWrittenThroughIsHereForTheFirstReader(_ write: [String]) async throws {
        let proxy = try await ProxyUnderTest.start(ProxyVariant(name: "through", flags: ["--cache.write=through"]))
        let port = proxy.port
        let deadline = Deadline.after(.seconds(120))
        var (number, hits) = (0, 0.0)
        while hits < 5, !deadline.hasPassed {
            number += 1
            let key = "fresh\(number)"
            try await OwnThread().run {
                let client = try RawClient(port: port)
                #expect(try client.ask((write + [key, "v"]).map { Array($0.utf8) }) == Array("+OK\r\n".utf8))
                BlockingWait.milliseconds(5)
                #expect(try client.ask("GET", key) == Self.bulk("v"))
            }
            hits =
                Self.value("replies_total{source=\"local\"}", in: try await proxy.outrigger.get("/metrics").body) ?? 0
        }
        #expect(hits >= 5, "of \(number) keys that nobody had read before")
        await proxy.stop()
    }
}
