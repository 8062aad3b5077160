import Glibc
import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

/// A Redis that is stopped, full, or takes nobody more in.
@Suite(.tags(.proof), .timeLimit(.minutes(15))) struct RedisProxyOutageTests {
    private func play(
        redis arguments: [String] = [], _ body: @escaping @Sendable (ProxyUnderTest) throws -> Void
    ) async throws {
        let proxy = try await ProxyUnderTest.start(ProxyVariant.standard[0], redis: arguments)
        try await OwnThread().run { try body(proxy) }
        await proxy.stop()
    }

    private static func eventually(_ what: String, _ isSo: () throws -> Bool) rethrows {
        let deadline = Deadline.after(.seconds(120))
        while !(try isSo()) {
            guard !deadline.hasPassed else {
                Issue.record("never: \(what)")
                return
            }
            BlockingWait.milliseconds(20)
        }
    }

    @Test func aRedisThatIsStoppedForAWhileLosesNothing() async throws {
        try await play { proxy in
            let clients = try (0..<4).map { _ in try RawClient(port: proxy.port) }
            for client in clients { try client.ask("INCR", "n") }
            proxy.redis.server.process.signal(SIGSTOP)
            for client in clients { client.send(command("INCR", "n") + command("GET", "nothing")) }
            BlockingWait.milliseconds(3000)
            proxy.redis.server.process.signal(SIGCONT)
            let values = try clients.map { client in
                let value = String(decoding: try client.nextReply(), as: UTF8.self)
                #expect(String(decoding: try client.nextReply(), as: UTF8.self) == "$-1\r\n")
                return value
            }
            #expect(values.sorted() == (5...8).map { ":\($0)\r\n" })
        }
    }

    @Test func aRedisThatIsStoppedForLongIsGivenUp() async throws {
        try await play { proxy in
            let (reader, writer, mover) = try (
                RawClient(port: proxy.port, patience: .seconds(40)),
                RawClient(port: proxy.port, patience: .seconds(40)),
                RawClient(port: proxy.port, patience: .seconds(40))
            )
            for client in [reader, writer, mover] { try client.ask("INCR", "n") }
            proxy.redis.server.process.signal(SIGSTOP)
            reader.send(command("GET", "nothing"))
            writer.send(command("INCR", "n"))
            mover.send(command("SELECT", "0"))
            #expect(String(decoding: try reader.nextReply(), as: UTF8.self) == "-ERR Redis cannot be reached\r\n")
            // It may yet be carried out, which no reply could say.
            #expect(throws: RawClient.Failure.self) { try writer.nextReply() }
            #expect(try mover.nextReply().first == UInt8(ascii: "-"))
            let transaction = try RawClient(port: proxy.port, patience: .seconds(40))
            transaction.send(command("MULTI"))
            #expect(throws: RawClient.Failure.self) { try transaction.nextReply() }
            proxy.redis.server.process.signal(SIGCONT)
            let client = try RawClient(port: proxy.port)
            try Self.eventually("served again") { try client.ask("GET", "nothing") == "$-1\r\n" }
        }
    }

    @Test func aRedisThatCannotBeReachedIsSaidToBeSo() async throws {
        try await play { proxy in
            proxy.redis.server.process.signal(SIGKILL)
            try Self.eventually("refused") {
                try RawClient(port: proxy.port).ask("GET", "k") == "-ERR Redis cannot be reached\r\n"
            }
            for _ in 0..<5 {
                for words in [["CLIENT", "ID"], ["SUBSCRIBE", "c"], ["MULTI"], ["WATCH", "k"]] {
                    let client = try RawClient(port: proxy.port)
                    client.send(command(words.map { Array($0.utf8) }))
                    #expect(try client.readToEnd().isEmpty, "\(words)")
                }
                for words in [["BLPOP", "q", "0"], ["SELECT", "1"], ["KEYS", "*"]] {
                    let client = try RawClient(port: proxy.port)
                    #expect(try client.ask(words.map { Array($0.utf8) }).first == UInt8(ascii: "-"), "\(words)")
                }
                let garbled = try RawClient(port: proxy.port)
                garbled.send(Array("*x\r\n".utf8))
                #expect(try garbled.readToEnd().isEmpty)
            }
        }
    }

    @Test func clientsThatGoWhileConnectionsAreMadeSayNothingAboutRedis() async throws {
        try await play { proxy in
            try RawClient(port: proxy.port).ask("PING")
            for turn in 0..<60 {
                let client = try RawClient(port: proxy.port)
                client.send(command("SELECT", "\(1 + turn % 9)"))
                client.hangUp(abruptly: turn % 2 == 0)
                // A connection that nobody has made yet is always to be had.
                if turn % 10 == 9 { #expect(try RawClient(port: proxy.port).ask("CLIENT", "ID").first == ":") }
            }
        }
    }

    @Test func aRedisThatTakesNobodyMoreInHasSeenNoCommand() async throws {
        try await play(redis: ["--maxclients", "24"]) { proxy in
            let crowd = try (0..<40).map { _ in try RawClient(port: proxy.port) }
            for client in crowd { client.send(command("SUBSCRIBE", "c")) }
            // Others are told what Redis says.
            let inside = crowd.filter { (try? $0.nextReply())?.first == UInt8(ascii: "*") }
            #expect(!inside.isEmpty && inside.count < 24)
            // Whoever needs a connection of the proxy that is not there is refused, and knows that nothing was done.
            let client = try RawClient(port: proxy.port)
            for words in [["BLPOP", "q", "0.1"], ["SET", "k", "1"], ["KEYS", "*"]] {
                let reply = String(decoding: try client.ask(words.map { Array($0.utf8) }), as: UTF8.self)
                #expect(reply == "-ERR max number of clients reached\r\n" || !reply.hasPrefix("-"), "\(words)")
            }
            for client in inside { client.hangUp() }
            try Self.eventually("served again") { try client.ask("SET", "k", "2") == "+OK\r\n" }
            try Self.eventually("served again") { try client.ask("BLPOP", "q", "0.01") == "*-1\r\n" }
        }
    }

    @Test func aRedisThatIsFullSaysSo() async throws {
        try await play { proxy in
            let (client, outside) = try (RawClient(port: proxy.port), RawClient(port: proxy.redis.port))
            try client.ask("SET", "k", "old")
            for _ in 0..<3 { try client.ask("GET", "k") }
            try outside.ask("CONFIG", "SET", "maxmemory", "1")
            #expect(try client.ask("SET", "k", "new").hasPrefix("-OOM"))
            #expect(try client.ask("GET", "k") == "$3\r\nold\r\n")
            client.send(command("MULTI") + command("SET", "k", "new") + command("EXEC"))
            let replies = try (0..<3).map { _ in String(decoding: try client.nextReply(), as: UTF8.self) }
            #expect(replies[1].hasPrefix("-OOM") && replies[2].hasPrefix("-EXECABORT"))
            try outside.ask("CONFIG", "SET", "maxmemory", "0")
            client.send(command("MULTI") + command("SET", "k", "new") + command("EXEC"))
            for _ in 0..<2 { _ = try client.nextReply() }
            #expect(String(decoding: try client.nextReply(), as: UTF8.self) == "*1\r\n+OK\r\n")
            #expect(try client.ask("GET", "k") == "$3\r\nnew\r\n")
        }
    }

    @Test func tenThousandIdleClientsCostLittle() async throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        let count = min(10_000, Int(clamping: limit.rlim_cur) - 2000)
        try await play { proxy in
            try RawClient(port: proxy.port).ask("PING")
            let before = proxy.residentBytes
            let clients = try (0..<count).map { _ in try RawClient(port: proxy.port) }
            try RawClient(port: proxy.port).ask("PING")
            let cost = proxy.residentBytes - before
            #expect(cost < count * 6000, "\(count) clients cost \(cost) bytes")
            for client in clients { client.hangUp() }
        }
    }
}
