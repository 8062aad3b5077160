import Glibc
import LocalServers
import RedisTesting
import Runtime
import Testing

/// The items of the checklist that are about what the local level holds, and what Redis knows of it, against a real Redis.
@Suite(.timeLimit(.minutes(15))) struct RedisProxyHeldTests {
    private func start(_ flags: [String], redis arguments: [String] = []) async throws -> ProxyUnderTest {
        try await ProxyUnderTest.start(
            ProxyVariant(name: "held", flags: flags + ["--collect.min-age=0s"]), redis: arguments)
    }

    @Test func r5RepliesAboveTheLimitAreNotKeptHoweverSmallTheyCouldBeMade() async throws {
        let proxy = try await start(["--cache.max-value-bytes=100KiB", "--cache.compression-threshold=1KiB"])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            let (short, long) = (String(repeating: "s", count: 90_000), String(repeating: "l", count: 110_000))
            try client.ask("SET", "short", short)
            try client.ask("SET", "long", long)
            for item in 0..<40 { try client.ask("RPUSH", "list", String(repeating: "\(item % 10)", count: 3000)) }
            // From here on there is no more news of these writes.
            try client.ask("EVAL", "return 1", "0")
            try outside.expectServedLocally(by: client, "GET", "short")
            #expect(try client.ask("GET", "short") == "$90000\r\n\(short)\r\n")
            // Only the copy in memory is compressed.
            #expect(try outside.ask("GET", "short") == "$90000\r\n\(short)\r\n")
            let (gets, ranges) = (try outside.calls(of: "get"), try outside.calls(of: "lrange"))
            for _ in 0..<5 {
                #expect(try client.ask("GET", "long") == "$110000\r\n\(long)\r\n")
                #expect(try client.ask("LRANGE", "list", "0", "-1").utf8.count > 40 * 3000)
            }
            #expect(try outside.calls(of: "get") == gets + 5)
            #expect(try outside.calls(of: "lrange") == ranges + 5)
        }
        let (compressed, refused) = (
            try await proxy.metric("cache_compressed_values_total", "class=\"default\""),
            try await proxy.metric("cache_fills_refused_total", "class=\"default\",reason=\"too_large\"")
        )
        #expect(compressed == 1 && refused == 10, "\(compressed) compressed, \(refused) refused")
        await proxy.stop()
    }

    @Test func r7KeysAndOverheadCountAndTheBoundHolds() async throws {
        let (limit, keys) = (4 << 20, 60_000)
        let proxy = try await start(["--cache.max-bytes=4MiB"])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            try outside.ask(
                "EVAL", "for i = 1, \(keys) do redis.call('SET', 'key:' .. i, 'value') end return 1", "0")
            try outside.expectServedLocally(by: client, "GET", "key:1")
            let before = proxy.residentBytes
            for start in stride(from: 0, to: keys, by: 500) {
                _ = try client.ask(["MGET"].map { Array($0.utf8) } + (1...500).map { Array("key:\(start + $0)".utf8) })
            }
            #expect(proxy.residentBytes - before < limit + 16 << 20)
        }
        let used = try await proxy.metric("cache_used_bytes", "class=\"default\"")
        let entries = try await proxy.metric("cache_entries", "class=\"default\"")
        let resident = try await proxy.metric("cache_resident_bytes", "class=\"default\"")
        // Two bytes of its own, a key of seven or more, and `$5\r\nvalue\r\n`: a third of what an entry costs.
        #expect(entries > 10_000 && entries * (2 + 7 + 11 + 88) <= used, "\(entries) entries in \(used) bytes")
        #expect(used <= limit && resident <= limit, "\(used) and \(resident) of \(limit) bytes")
        #expect(try await proxy.metric("cache_evictions_total", "cause=\"bytes\",class=\"default\"") > 0)
        await proxy.stop()
    }

    @Test func t8RedisIsToldWhichKeysAreUsedHere() async throws {
        let evicts = ["--maxmemory-policy", "allkeys-lfu", "--lfu-log-factor", "0"]
        let proxy = try await start(["--redis-proxy.touch-every=10"], redis: evicts)
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            for key in ["hot", "warm", "idle"] { try client.ask("SET", key, "value") }
            for key in ["hot", "warm"] { try outside.expectServedLocally(by: client, "GET", key) }
            let before = try ["hot", "warm", "idle"].map { try outside.integer("OBJECT", "FREQ", $0) }
            let (gets, deadline) = (try outside.calls(of: "get"), Deadline.after(.seconds(30)))
            var isTold = false
            while !isTold, !deadline.hasPassed {
                for _ in 0..<100 { _ = try client.ask("MGET", "hot", "warm") }
                isTold = try zip(["hot", "warm"], before).allSatisfy {
                    try outside.integer("OBJECT", "FREQ", $0) > $1 + 5
                }
            }
            #expect(isTold, "Redis does not know that the keys are hot")
            #expect(try outside.integer("OBJECT", "FREQ", "idle") == before[2])
            // It was told by nothing else, and nothing was forgotten here because of it.
            #expect(try outside.calls(of: "get") == gets)
            #expect(try outside.calls(of: "mget") == 0)
        }
        #expect(try await proxy.metric("redis_proxy_touches_total") > 0)
        await proxy.stop()
    }

    @Test func t8WhereRedisDoesNotLetUsItIsAskedOnce() async throws {
        let proxy = try await start(["--redis-proxy.touch-every=1"])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            try outside.ask("ACL", "SETUSER", "default", "-touch")
            try client.ask("SET", "hot", "value")
            let deadline = Deadline.after(.seconds(120))
            while !proxy.outrigger.log.contains("may evict them"), !deadline.hasPassed { try client.ask("GET", "hot") }
            for _ in 0..<1000 { #expect(try client.ask("GET", "hot") == "$5\r\nvalue\r\n") }
            // The log of refusals has one line for all of a kind, with their number.
            #expect(try outside.ask("ACL", "LOG").contains("$5\r\ncount\r\n:1\r\n"))
        }
        #expect(try await proxy.metric("redis_proxy_touches_total") == 0)
        await proxy.stop()
    }

    /// How the proxy answers while Redis is gone, and what it says of a key whose time is over.
    @Test(arguments: [("stale", "-ERR Redis cannot be reached\r\n"), ("memory", "$-1\r\n")])
    func m5TimesToLiveRunOnWhileRedisIsGone(_ onFailure: String, _ gone: String) async throws {
        let proxy = try await start(["--cache.on-failure=\(onFailure)", "--cache.jitter=0"])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            try client.ask("SET", "lasting", "long")
            try client.ask("SET", "brief", "short", "PX", "4000")
            for key in ["brief", "lasting"] { try outside.expectServedLocally(by: client, "GET", key) }
            proxy.redis.server.process.signal(SIGKILL)
            if onFailure == "memory" {
                // Until the proxy has noticed: whether Redis got the write is not known.
                let deadline = Deadline.after(.seconds(120))
                while (try? RawClient(port: proxy.port).ask("SET", "own", "mine", "PX", "1000")) != "+OK\r\n" {
                    guard !deadline.hasPassed else { throw RawClient.Failure.silent }
                }
                try client.expect(gone, "GET", "own")
            }
            try client.expect(gone, "GET", "brief")
            #expect(try client.ask("GET", "lasting") == "$4\r\nlong\r\n")
        }
        await proxy.stop()
    }

    @Test func whatIsKnownNotToBeThereIsServedStaleAsValuesAre() async throws {
        let proxy = try await start(["--cache.on-failure=stale"])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            try client.ask("SET", "k", "value")
            for words in [["GET", "k"], ["GET", "no"], ["EXISTS", "no"], ["HGETALL", "no"]] {
                let before = Deadline.after(.seconds(120))
                var isKnown = false
                while !isKnown, !before.hasPassed {
                    let calls = try outside.calls(of: words[0].lowercased())
                    _ = try client.ask(words.map { Array($0.utf8) })
                    isKnown = try outside.calls(of: words[0].lowercased()) == calls
                }
                #expect(isKnown, "\(words)")
            }
            proxy.redis.server.process.signal(SIGKILL)
            try client.expect("-ERR Redis cannot be reached\r\n", "GET", "unknown")
            #expect(try client.ask("GET", "k") == "$5\r\nvalue\r\n")
            #expect(try client.ask("GET", "no") == "$-1\r\n")
            #expect(try client.ask("EXISTS", "no") == ":0\r\n")
            #expect(try client.ask("HGETALL", "no") == "*0\r\n")
            // Key by key, as while Redis was there.
            #expect(try client.ask("MGET", "k", "no", "k") == "*3\r\n$5\r\nvalue\r\n$-1\r\n$5\r\nvalue\r\n")
            #expect(try client.ask("MGET", "k", "unknown") == "-ERR Redis cannot be reached\r\n")
        }
        await proxy.stop()
    }

    @Test func severalKeysAreReadFromWhatIsKnownAndFromWhatWasWrittenWhileRedisIsGone() async throws {
        let proxy = try await start(["--cache.on-failure=memory"])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            for key in ["a", "b"] {
                try client.ask("SET", key, "old")
                try outside.expectServedLocally(by: client, "GET", key)
            }
            proxy.redis.server.process.signal(SIGKILL)
            // Until the proxy has noticed: whether Redis got the write is not known.
            let deadline = Deadline.after(.seconds(120))
            while (try? RawClient(port: proxy.port).ask("SETEX", "b", "100", "new")) != "+OK\r\n" {
                guard !deadline.hasPassed else { throw RawClient.Failure.silent }
            }
            let late = try RawClient(port: proxy.port)
            #expect(try late.ask("HSET", "h", "f", "1") == ":1\r\n")
            let wanted = "*4\r\n$3\r\nold\r\n$3\r\nnew\r\n$-1\r\n$-1\r\n"
            #expect(try late.ask("MGET", "a", "b", "no", "h") == wanted)
            #expect(try late.ask("GET", "b") == "$3\r\nnew\r\n")
        }
        await proxy.stop()
    }
}

extension RawClient {
    /// As Redis itself counts them.
    func calls(of command: String) throws -> Int {
        let line = try ask("INFO", "commandstats").split(separator: "\r\n").first {
            $0.hasPrefix("cmdstat_\(command):calls=")
        }
        return line.flatMap { Int($0.split(separator: "=")[1].prefix { $0.isNumber }) } ?? 0
    }

    func integer(_ words: String...) throws -> Int {
        let reply = String(decoding: try ask(words.map { Array($0.utf8) }), as: UTF8.self)
        return try #require(Int(reply.dropFirst().prefix { $0 != "\r\n" }), "\(words): \(reply)")
    }

    /// Asks until the reply is that.
    func expect(_ wanted: String, _ words: String...) throws {
        let (deadline, bytes) = (Deadline.after(.seconds(120)), words.map { Array($0.utf8) })
        var told = ""
        repeat {
            told = String(decoding: try ask(bytes), as: UTF8.self)
        } while told != wanted
            && !deadline.hasPassed
        #expect(told == wanted, "\(words)")
    }

    /// Of the Redis behind a proxy: lets its client ask until Redis hears nothing of it.
    func expectServedLocally(by client: RawClient, _ words: String...) throws {
        let (deadline, bytes) = (Deadline.after(.seconds(120)), words.map { Array($0.utf8) })
        while !deadline.hasPassed {
            let before = try calls(of: words[0].lowercased())
            _ = try client.ask(bytes)
            if try calls(of: words[0].lowercased()) == before { return }
        }
        Issue.record("\(words) is never served locally")
    }
}

extension ProxyUnderTest {
    /// A value of `/metrics`.
    ///
    /// - Parameters:
    ///   - name: without `outrigger_`.
    ///   - labels: as they stand there; empty for none.
    func metric(_ name: String, _ labels: String = "") async throws -> Int {
        let head = "outrigger_\(name)\(labels.isEmpty ? "" : "{\(labels)}") "
        // A collection that had begun before is shared; the next has not.
        _ = try await outrigger.get("/metrics")
        let line = try await outrigger.get("/metrics").body.split(separator: "\n").first { $0.hasPrefix(head) }
        return Int(try #require(line.flatMap { Double($0.dropFirst(head.count)) }, "\(head)"))
    }
}
