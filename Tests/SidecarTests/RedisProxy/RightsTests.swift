import LocalServers
import RedisTesting
import Runtime
import Testing

/// What becomes of the clients of the proxy, and of what it keeps, when somebody changes users at Redis.
@Suite(.timeLimit(.minutes(15))) struct RedisProxyRightsTests {
    private func start(_ flags: [String]) async throws -> ProxyUnderTest {
        try await ProxyUnderTest.start(ProxyVariant(name: "rights", flags: flags + ["--collect.min-age=0s"]))
    }

    private static func expectPrefix(_ wanted: String, from client: RawClient, _ words: String...) throws {
        let (deadline, bytes) = (Deadline.after(.seconds(120)), words.map { Array($0.utf8) })
        var told = ""
        repeat {
            told = String(decoding: try client.ask(bytes), as: UTF8.self)
        } while !told.hasPrefix(wanted)
            && !deadline.hasPassed
        #expect(told.hasPrefix(wanted), "\(words): \(told)")
    }

    @Test func whatTheProxysUserMayReadNoMoreIsSoonServedNoMore() async throws {
        let proxy = try await start(["--redis-proxy.acl-interval=100ms"])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            for key in ["ours", "theirs"] {
                try client.ask("SET", key, "value")
                try outside.expectServedLocally(by: client, "GET", key)
            }
            // What changes nothing is no reason to forget.
            let gets = try outside.calls(of: "get")
            while try outside.calls(of: "acl|getuser") < 5 { #expect(try client.ask("GET", "ours").hasPrefix("$5")) }
            #expect(try outside.calls(of: "get") == gets)
            try outside.ask("ACL", "SETUSER", "default", "resetkeys", "~ours")
            try Self.expectPrefix("-NOPERM", from: client, "GET", "theirs")
            #expect(try client.ask("GET", "theirs").hasPrefix("-NOPERM"))
            #expect(try client.ask("GET", "ours") == "$5\r\nvalue\r\n")
        }
        await proxy.stop()
    }

    @Test(arguments: [["SETUSER", "default", "resetkeys", "~ours"], ["LOAD"]])
    func aChangeThroughTheProxyIsSeenAtOnce(_ change: [String]) async throws {
        let folder = try TemporaryFolder("outrigger-acl")
        let file = folder.path + "/users.acl"
        try Files.write("user default on nopass ~* &* +@all\n", to: file)
        let proxy = try await ProxyUnderTest.start(
            ProxyVariant(name: "rights", flags: ["--redis-proxy.acl-interval=0"]), redis: ["--aclfile", file])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: proxy.port), try RawClient(port: proxy.redis.port))
            try client.ask("SET", "theirs", "value")
            try outside.expectServedLocally(by: client, "GET", "theirs")
            try Files.write("user default on nopass ~ours &* +@all\n", to: file)
            #expect(try client.ask("GET", "theirs") == "$5\r\nvalue\r\n")
            #expect(try client.ask((["ACL"] + change).map { Array($0.utf8) }) == Array("+OK\r\n".utf8))
            #expect(try client.ask("GET", "theirs").hasPrefix("-NOPERM"))
            #expect(try outside.calls(of: "acl|getuser") == 0)
        }
        await proxy.stop()
    }

    @Test func whoMayNotAskIsToldSoOnce() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("ACL", "SETUSER", "default", "-acl")
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            ["--redis-proxy.listen-address=127.0.0.1:\(port)", "--redis-proxy.acl-interval=10ms"],
            environment: ["REDIS_URL": redis.url])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: port), try RawClient(port: redis.port))
            try client.ask("SET", "k", "value")
            try outside.expectServedLocally(by: client, "GET", "k")
            let deadline = Deadline.after(.milliseconds(300))
            while !deadline.hasPassed { #expect(try client.ask("GET", "k") == "$5\r\nvalue\r\n") }
        }
        #expect(outrigger.log.split(separator: "is served up to max_age").count == 2)
        await outrigger.stop()
        await redis.stop()
    }

    @Test func aUserWhosePasswordHasChangedIsToldSoAndIsNobodyElse() async throws {
        let proxy = try await start(["--redis-proxy.auth=redis"])
        try await OwnThread().run {
            let outside = try RawClient(port: proxy.redis.port)
            try outside.ask("ACL", "SETUSER", "alice", "on", ">old", "~alice:*", "&*", "+@all")
            try outside.ask("SET", "secret", "of others")
            try outside.ask("SET", "alice:1", "hers")
            let (bystander, clients) = (
                try RawClient(port: proxy.port), try (0..<4).map { _ in try RawClient(port: proxy.port) }
            )
            try bystander.ask("PING")
            for client in clients {
                #expect(try client.ask("AUTH", "alice", "old") == "+OK\r\n")
                #expect(try client.ask("GET", "alice:1") == "$4\r\nhers\r\n")
                #expect(try client.ask("GET", "secret").hasPrefix("-NOPERM"))
            }
            try outside.ask("ACL", "SETUSER", "alice", "resetpass", ">new")
            #expect(try outside.integer("CLIENT", "KILL", "USER", "alice") > 0)
            // Until the proxy has noticed, a command may be told that the connection was lost.
            let late = try RawClient(port: proxy.port)
            try Self.expectPrefix("-WRONGPASS", from: late, "AUTH", "alice", "old")
            for client in clients {
                try Self.expectPrefix("-WRONGPASS", from: client, "GET", "secret")
                for words in [["GET", "secret"], ["SET", "secret", "taken"], ["KEYS", "*"], ["BLPOP", "q", "1"]] {
                    let reply = String(decoding: try client.ask(words.map { Array($0.utf8) }), as: UTF8.self)
                    #expect(reply.hasPrefix("-WRONGPASS"), "\(words): \(reply)")
                }
            }
            // A transaction, and connections of a client's own.
            clients[0].send(command("MULTI") + command("SET", "secret", "taken") + command("EXEC"))
            for _ in 0..<3 {
                #expect(String(decoding: try clients[0].nextReply(), as: UTF8.self).hasPrefix("-WRONGPASS"))
            }
            for (client, words) in zip(clients[1...], [["SUBSCRIBE", "news"], ["CLIENT", "ID"], ["MONITOR"]]) {
                client.send(command(words.map { Array($0.utf8) }))
                let said = String(decoding: try client.readToEnd(), as: UTF8.self)
                #expect(said.hasPrefix("-WRONGPASS") && said.split(separator: "\r\n").count == 1, "\(words): \(said)")
            }
            #expect(try outside.ask("GET", "secret") == "$9\r\nof others\r\n")
            // Others are none the worse for it, and she is herself again with the new one.
            #expect(try bystander.ask("GET", "secret") == "$9\r\nof others\r\n")
            #expect(try late.ask("AUTH", "alice", "new") == "+OK\r\n")
            #expect(try late.ask("GET", "alice:1") == "$4\r\nhers\r\n")
        }
        #expect(try await proxy.metric("circuit_breaker_openings_total", "breaker=\"redis_proxy\"") == 0)
        await proxy.stop()
    }

    @Test func aProxyWhosePasswordHasChangedIsNotTheDefaultUserInstead() async throws {
        let redis = try await LocalRedis.start()
        let port = FreePort.next()
        try await redis.command("ACL", "SETUSER", "proxy", "on", ">old", "~*", "&*", "+@all")
        let outrigger = try await RunningOutrigger.start([
            "--redis-proxy.listen-address=127.0.0.1:\(port)",
            "--redis-proxy.upstream-url=redis://proxy:old@127.0.0.1:\(redis.port)",
        ])
        try await OwnThread().run {
            let (client, outside) = (try RawClient(port: port), try RawClient(port: redis.port))
            try client.ask("SET", "k", "value")
            try outside.expectServedLocally(by: client, "GET", "k")
            try outside.ask("ACL", "SETUSER", "proxy", "resetpass", ">new")
            #expect(try outside.integer("CLIENT", "KILL", "USER", "proxy") > 1)
            try Self.expectPrefix("-WRONGPASS", from: client, "GET", "k")
            // Nor is the local level in use under anybody else's rights.
            for _ in 0..<50 { #expect(try client.ask("GET", "k").hasPrefix("-WRONGPASS")) }
            #expect(try RawClient(port: port).ask("SET", "k", "other").hasPrefix("-WRONGPASS"))
            try outside.ask("ACL", "SETUSER", "proxy", ">old")
            try client.expect("$5\r\nvalue\r\n", "GET", "k")
            try outside.expectServedLocally(by: client, "GET", "k")
        }
        await outrigger.stop()
        await redis.stop()
    }
}
