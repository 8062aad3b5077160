import Glibc
import LocalServers
import RedisTesting
import Runtime
import Testing

/// That a client's state is at Redis what it would be on a connection of its own, whichever connection carries it.
@Suite(.timeLimit(.minutes(3))) struct RedisProxySessionStateTests {
    private func prove(
        _ flags: [String] = [], features: [String] = [], redis arguments: [String] = [],
        _ proof: @escaping @Sendable (_ proxy: UInt16, _ redis: UInt16) throws -> Void
    ) async throws {
        let variant = ProxyVariant(name: "state", flags: flags, features: features)
        let proxy = try await ProxyUnderTest.start(variant, redis: arguments)
        let (port, direct) = (proxy.port, proxy.redis.port)
        try await OwnThread().run { try proof(port, direct) }
        await proxy.stop()
    }

    private static func until(_ what: String, _ isSo: () throws -> Bool) throws {
        let deadline = Deadline.after(.seconds(60))
        while try !isSo() {
            guard !deadline.hasPassed else {
                Issue.record("never \(what)")
                return
            }
            BlockingWait.milliseconds(2)
        }
    }

    /// Asked of the proxy and of Redis itself, one after the other.
    private static func same(_ steps: [[String]], _ proxy: UInt16, _ redis: UInt16) throws {
        let told: [[String]] = try [proxy, redis].map { port in
            let client = try RawClient(port: port)
            return try steps.map { words in
                String(decoding: try client.ask(words.map { Array($0.utf8) }), as: UTF8.self)
            }
        }
        for (index, step) in steps.enumerated() {
            // `HELLO` numbers connections.
            let parts = told.map { step[0] == "HELLO" ? String($0[index].prefix(1)) : $0[index] }
            #expect(parts[0] == parts[1], "\(step)")
        }
    }

    @Test(arguments: [
        [["SELECT", "11"], ["AUTH", "bob", "pw"]], [["SELECT", "11"], ["HELLO", "3", "AUTH", "bob", "pw"]],
        [["CLIENT", "SETNAME", "x"], ["SELECT", "11"], ["HELLO", "2", "AUTH", "bob", "pw", "SETNAME", "y"]],
        [["SELECT", "11"], ["AUTH", "bob", "wrong"]], [["AUTH", "bob", "pw"], ["SELECT", "11"]],
        [["AUTH", "alice", "pw"], ["SELECT", "11"], ["AUTH", "bob", "pw"]],
    ])
    func aUserMayBeInADatabaseThatItMustNotSelect(_ before: [[String]]) async throws {
        try await prove { proxy, redis in
            let admin = try RawClient(port: redis)
            try admin.ask("ACL", "SETUSER", "bob", "on", ">pw", "~*", "+@all", "-select", "-dbsize")
            try admin.ask("ACL", "SETUSER", "alice", "on", ">pw", "~*", "+@all")
            let after = [
                ["SET", "k", "v"], ["GET", "k"], ["DBSIZE"], ["SELECT", "3"], ["MULTI"], ["SET", "t", "1"], ["EXEC"],
                ["WATCH", "k"], ["UNWATCH"], ["CLIENT", "GETNAME"], ["CLIENT", "NO-EVICT", "on"], ["GET", "t"],
                ["DBSIZE"],
                ["SELECT", "3"], ["DEL", "k", "t"],
            ]
            try Self.same(before + after, proxy, redis)
        }
    }

    @Test func whatTheProxysUserMustNotSelectAClientsUserMay() async throws {
        try await prove { proxy, redis in
            let admin = try RawClient(port: redis)
            try admin.ask("ACL", "SETUSER", "alice", "on", ">pw", "~*", "+@all")
            try admin.ask("ACL", "SETUSER", "default", "-select")
            try Self.same(
                [
                    ["SELECT", "5"], ["AUTH", "alice", "pw"], ["SELECT", "5"], ["SET", "k", "v"], ["GET", "k"],
                    ["DBSIZE"],
                ], proxy,
                redis)
        }
    }

    @Test(arguments: [(["SYNC"], "$"), (["PSYNC", "?", "-1"], "+FULLRESYNC ")])
    func whoCopiesRedisMayBeginWithThat(_ words: [String], _ answer: String) async throws {
        try await prove(redis: ["--repl-diskless-sync-delay", "0"]) { proxy, _ in
            let client = try RawClient(port: proxy)
            client.send(command(words.map { Array($0.utf8) }))
            var told = ""
            // Empty lines while the copy is being made.
            while told.utf8.count < answer.utf8.count {
                guard let some = try client.readSome() else { break }
                told += String(decoding: some, as: UTF8.self).drop { $0 == "\n" }
            }
            #expect(told.hasPrefix(answer), "\(told.prefix(100))")
        }
    }

    @Test func aScriptThatDoesNotEndRefusesATransactionAndNothingElse() async throws {
        try await prove(redis: ["--busy-reply-threshold", "1"]) { proxy, redis in
            let (early, admin, script) = (
                try RawClient(port: proxy), try RawClient(port: redis), try RawClient(port: redis)
            )
            try early.ask("SELECT", "9")
            script.send(command("EVAL", "while true do end", "0"))
            try Self.until("busy") { try admin.ask("PING").hasPrefix("-BUSY") }
            let steps = [
                ["MULTI"], ["SET", "a", "1"], ["GET", "a"], ["DISCARD"], ["PING"], ["SELECT", "9"], ["MULTI"],
                ["SET", "b", "1"],
            ]
            try Self.same(steps, proxy, redis)
            // Of one that had selected a database before, Redis lets no new connection be.
            let all = [
                ["MULTI"], ["SET", "a", "1"], ["MULTI"], ["EXEC"], ["EXEC"], ["MULTI"], ["DISCARD"], ["GET", "a"],
            ]
            early.send(all.flatMap { command($0.map { Array($0.utf8) }) })
            let told = try all.map { _ in String(decoding: try early.nextReply(), as: UTF8.self) }
            let wanted = ["+OK", "-BUSY", "-", "-EXECABORT", "-", "+OK", "+OK", "-BUSY"]
            for (reply, prefix) in zip(told, wanted) { #expect(reply.hasPrefix(prefix), "\(told)") }
            #expect(try admin.ask("SCRIPT", "KILL") == "+OK\r\n")
            try Self.until("no longer busy") { try early.ask("PING") == "+PONG\r\n" }
            for words in [["MULTI"], ["SET", "a", "1"], ["EXEC"]] { _ = try early.ask(words.map { Array($0.utf8) }) }
            #expect(try early.ask("GET", "a") == "$1\r\n1\r\n")
            try admin.ask("SELECT", "9")
            #expect(try admin.ask("GET", "a") == "$1\r\n1\r\n")
        }
    }

    @Test func readersDoNotWaitBehindWritesThatRedisHoldsBack() async throws {
        try await prove(features: ["cache=off"]) { proxy, redis in
            let admin = try RawClient(port: redis)
            try admin.ask("SET", "k", "old")
            // Of each connection to Redis, some.
            let (writers, readers) = (
                try (0..<2).map { _ in try RawClient(port: proxy) }, try (0..<6).map { _ in try RawClient(port: proxy) }
            )
            for client in writers + readers { try client.ask("PING") }
            for round in 1...3 {
                try admin.ask("CLIENT", "PAUSE", "600000", "WRITE")
                for writer in writers { writer.send(command("SET", "k", "new\(round)") + command("GET", "k")) }
                // Behind the writes already, and later.
                for _ in 0..<3 {
                    for reader in readers { reader.send(command("GET", "k") + command("MGET", "k", "none")) }
                    for reader in readers {
                        let told = try (0..<2).map { _ in String(decoding: try reader.nextReply(), as: UTF8.self) }
                        let value = round == 1 ? "$3\r\nold\r\n" : "$4\r\nnew\(round - 1)\r\n"
                        #expect(told == [value, "*2\r\n\(value)$-1\r\n"])
                    }
                }
                try admin.ask("CLIENT", "UNPAUSE")
                for writer in writers {
                    #expect(try writer.nextReply() == Array("+OK\r\n".utf8))
                    #expect(try writer.nextReply() == Array("$4\r\nnew\(round)\r\n".utf8))
                }
                for reader in readers { #expect(try reader.ask("GET", "k") == "$4\r\nnew\(round)\r\n") }
            }
        }
    }

    @Test func databasesThatAreSwappedPastTheProxyAreNoticed() async throws {
        try await prove(["--redis-proxy.acl-interval=50ms"]) { proxy, redis in
            let (client, outside) = (try RawClient(port: proxy), try RawClient(port: redis))
            try client.ask("SET", "k", "old")
            try outside.ask("SELECT", "1")
            try outside.ask("SET", "k", "new")
            try outside.expectServedLocally(by: client, "GET", "k")
            for (swap, value) in [("1", "new"), ("2", "old"), ("3", "new")] {
                try outside.ask("SWAPDB", "0", "1")
                try client.expect("$3\r\n\(value)\r\n", "GET", "k")
                #expect(try client.ask("GET", "k") == "$3\r\n\(value)\r\n", "swap \(swap)")
            }
        }
    }

    @Test func aRedisThatLetsNobodyMoreInIsUsedAsFarAsItDoes() async throws {
        let proxy = try await ProxyUnderTest.start(ProxyVariant(name: "full", flags: ["--collect.min-age=0s"]))
        let (port, direct) = (proxy.port, proxy.redis.port)
        let full = "-ERR max number of clients reached\r\n"
        try await OwnThread().run {
            let (first, admin) = (try RawClient(port: port), try RawClient(port: direct))
            try first.ask("SET", "k", "v")
            try admin.ask("CONFIG", "SET", "maxclients", "1")
            let clients = try (0..<4).map { _ in try RawClient(port: port) }
            for (number, client) in clients.enumerated() {
                #expect(try client.ask("INCR", "n") == ":\(number + 1)\r\n")
                // A command that takes long has a connection apart, which is not there.
                #expect(try client.ask("KEYS", "k") == "*1\r\n$1\r\nk\r\n")
                client.send(command("SET", "own", "\(number)") + command("KEYS", "own") + command("GET", "own"))
                for wanted in ["+OK\r\n", "*1\r\n$3\r\nown\r\n", "$1\r\n\(number)\r\n"] {
                    #expect(String(decoding: try client.nextReply(), as: UTF8.self) == wanted)
                }
                // What needs a connection of its own is told what Redis says.
                #expect(try client.ask("BLPOP", "list", "1") == full)
                client.send(command("MULTI") + command("SET", "k", "w") + command("EXEC"))
                let told = try (0..<3).map { _ in String(decoding: try client.nextReply(), as: UTF8.self) }
                #expect(told[1] == full || told[0] == full && told[1] == "+OK\r\n", "\(told)")
                #expect(try client.ask("PING") == "+PONG\r\n")
            }
            #expect(try admin.ask("CONFIG", "SET", "maxclients", "1000") == "+OK\r\n")
            try Self.until("let in") { try clients[0].ask("BLPOP", "list", "0.001") == "*-1\r\n" }
        }
        #expect(try await proxy.metric("circuit_breaker_openings_total", "breaker=\"redis_proxy\"") == 0)
        #expect(try await proxy.metric("redis_proxy_upstream_full_total") > 0)
        await proxy.stop()
    }

    @Test(arguments: [("error", "-ERR Redis cannot be reached\r\n"), ("close", "")])
    func whatAClientGetsWhileRedisIsGoneIsSet(_ whenGone: String, _ told: String) async throws {
        let proxy = try await ProxyUnderTest.start(
            ProxyVariant(name: "gone", flags: ["--redis-proxy.when-gone=\(whenGone)"]))
        let port = proxy.port
        _ = try await OwnThread().run { try RawClient(port: port).ask("SET", "k", "v") }
        proxy.redis.server.process.signal(SIGKILL)
        _ = try await proxy.redis.server.process.exited(within: .seconds(10))
        try await OwnThread().run {
            for words in [["GET", "none"], ["INCR", "n"], ["SELECT", "3"], ["KEYS", "*"], ["AUTH", "a", "b"]] {
                let client = try RawClient(port: port)
                client.send(command(words.map { Array($0.utf8) }))
                client.finishSending()
                #expect(String(decoding: try client.readToEnd(), as: UTF8.self) == told, "\(words)")
            }
        }
        await proxy.stop()
    }
}
