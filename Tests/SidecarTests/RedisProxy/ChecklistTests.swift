import LocalServers
import RedisTesting
import Runtime
import Testing

/// The checklist for near caches, item by item, against a real Redis; the races are in `RedisProxyRaceTests`, what the
/// local level holds in `RedisProxyHeldTests`, replicas (T10) in `RedisProxyClusterTests`. The tests of abuse go further
/// into the protocol's oddities (C8), the differential ones into what a client must not notice (P2, P6).
@Suite(.timeLimit(.minutes(15))) struct RedisProxyChecklistTests {
    private struct Stage: Sendable {
        let proxy: ProxyUnderTest

        func inside() throws -> RawClient { try RawClient(port: proxy.port) }
        func outside() throws -> RawClient { try RawClient(port: proxy.redis.port) }

        /// Asks until the reply is that; a foreign write is on its way for a moment.
        func expect(_ wanted: String, from client: RawClient, _ words: String...) throws {
            let (deadline, bytes) = (Deadline.after(.seconds(120)), words.map { Array($0.utf8) })
            var told = ""
            repeat {
                told = String(decoding: try client.ask(bytes), as: UTF8.self)
            } while told != wanted
                && !deadline.hasPassed
            #expect(told == wanted, "\(words)")
        }
    }

    private func play(
        redis arguments: [String] = [], _ body: @escaping @Sendable (Stage) throws -> Void
    ) async throws {
        let proxy = try await ProxyUnderTest.start(ProxyVariant.standard[0], redis: arguments)
        try await OwnThread().run { try body(Stage(proxy: proxy)) }
        await proxy.stop()
    }

    @Test func r1EntriesAreTheirDatabasesAlone() async throws {
        try await play { stage in
            let client = try stage.inside()
            try client.ask("SET", "k", "zero")
            for _ in 0..<3 { try client.ask("GET", "k") }
            // In one go: what comes behind SELECT is for the other database, whatever is known of this one.
            client.send(command("SELECT", "1") + command("GET", "k") + command("SELECT", "0") + command("GET", "k"))
            let replies = try (0..<4).map { _ in String(decoding: try client.nextReply(), as: UTF8.self) }
            #expect(replies == ["+OK\r\n", "$-1\r\n", "+OK\r\n", "$4\r\nzero\r\n"])
        }
    }

    @Test func r2EachProtocolHasItsOwnReplies() async throws {
        try await play { stage in
            let (two, three) = (try stage.inside(), try stage.inside())
            try three.ask("HELLO", "3")
            try two.ask("HSET", "h", "f", "1")
            try two.ask("ZADD", "z", "1.5", "m")
            for _ in 0..<3 {
                #expect(try two.ask("HGETALL", "h") == "*2\r\n$1\r\nf\r\n$1\r\n1\r\n")
                #expect(try three.ask("HGETALL", "h") == "%1\r\n$1\r\nf\r\n$1\r\n1\r\n")
                #expect(try two.ask("ZSCORE", "z", "m") == "$3\r\n1.5\r\n")
                #expect(try three.ask("ZSCORE", "z", "m") == ",1.5\r\n")
                #expect(try two.ask("GET", "no") == "$-1\r\n")
                #expect(try three.ask("GET", "no") == "_\r\n")
            }
        }
    }

    @Test func r6AnotherUserIsToldNothingFromTheLocalLevel() async throws {
        try await play { stage in
            let client = try stage.inside()
            try stage.outside().ask("ACL", "SETUSER", "guest", "on", ">secret", "+@all", "~theirs:*")
            try client.ask("SET", "ours", "1")
            for _ in 0..<3 { try client.ask("GET", "ours") }
            try client.ask("AUTH", "guest", "secret")
            #expect(try client.ask("GET", "ours").hasPrefix("-NOPERM"))
            client.send(command("AUTH", "guest", "wrong") + command("GET", "ours"))
            #expect(String(decoding: try client.nextReply(), as: UTF8.self).hasPrefix("-WRONGPASS"))
            #expect(String(decoding: try client.nextReply(), as: UTF8.self).hasPrefix("-NOPERM"))
        }
    }

    /// Of a foreign change, and the read that has to tell it.
    struct Change: Sendable, CustomTestStringConvertible {
        let commands: [[String]]
        let read: [String]
        let told: String

        var testDescription: String { commands.map { $0.joined(separator: " ") }.joined(separator: "; ") }
    }

    static let changes: [Change] = [
        Change(commands: [["SET", "s", "new"]], read: ["GET", "s"], told: "$3\r\nnew\r\n"),
        Change(commands: [["INCR", "n"]], read: ["GET", "n"], told: "$1\r\n8\r\n"),
        Change(commands: [["RENAME", "s", "n"]], read: ["GET", "n"], told: "$3\r\nold\r\n"),
        Change(commands: [["RENAME", "s", "n"]], read: ["EXISTS", "s"], told: ":0\r\n"),
        Change(commands: [["COPY", "s", "n", "REPLACE"]], read: ["GET", "n"], told: "$3\r\nold\r\n"),
        Change(commands: [["DEL", "s"]], read: ["GET", "s"], told: "$-1\r\n"),
        Change(commands: [["UNLINK", "h"]], read: ["HGETALL", "h"], told: "*0\r\n"),
        Change(commands: [["HSET", "h", "other", "1"]], read: ["HLEN", "h"], told: ":2\r\n"),
        Change(commands: [["PEXPIRE", "s", "20"]], read: ["GET", "s"], told: "$-1\r\n"),
        Change(commands: [["SET", "s", "x", "PX", "15"]], read: ["EXISTS", "s"], told: ":0\r\n"),
        Change(
            commands: [["EVAL", "return redis.call('SET', 's', 'lua')", "0"]], read: ["GET", "s"], told: "$3\r\nlua\r\n"
        ),
        Change(
            commands: [["MULTI"], ["SET", "n", "1"], ["SET", "s", "tx"], ["EXEC"]], read: ["GET", "s"],
            told: "$2\r\ntx\r\n"),
        Change(commands: [["FLUSHDB"]], read: ["GET", "s"], told: "$-1\r\n"),
        Change(commands: [["SELECT", "1"], ["FLUSHALL"]], read: ["HGET", "h", "f"], told: "$-1\r\n"),
        Change(commands: [["SORT", "l", "BY", "nosort", "STORE", "s"]], read: ["TYPE", "s"], told: "+list\r\n"),
        Change(commands: [["LMPOP", "1", "l", "LEFT"]], read: ["LRANGE", "l", "0", "-1"], told: "*0\r\n"),
    ]

    @Test(arguments: [false, true]) func t3EveryKindOfChangeIsSeen(isOwn: Bool) async throws {
        try await play { stage in
            for change in Self.changes {
                let (reader, writer) = (try stage.inside(), isOwn ? try stage.inside() : try stage.outside())
                for words in [
                    ["FLUSHALL"], ["SET", "s", "old"], ["SET", "n", "7"], ["HSET", "h", "f", "1"], ["RPUSH", "l", "a"],
                ] { _ = try writer.ask(words.map { Array($0.utf8) }) }
                let read = change.read.map { Array($0.utf8) }
                for _ in 0..<3 { _ = try reader.ask(read) }
                for words in change.commands { _ = try writer.ask(words.map { Array($0.utf8) }) }
                let deadline = Deadline.after(.seconds(120))
                var told = String(decoding: try reader.ask(read), as: UTF8.self)
                // What a client of the proxy was told is done, all clients of the proxy see, but for what time does.
                let mayLag =
                    !isOwn || change.testDescription.contains("PEXPIRE") || change.testDescription.contains("PX")
                while mayLag, told != change.told, !deadline.hasPassed {
                    told = String(decoding: try reader.ask(read), as: UTF8.self)
                }
                #expect(told == change.told, "\(change.testDescription): \(change.read)")
            }
        }
    }

    @Test func t2EveryWriteIsToldNotOnlyTheFirst() async throws {
        try await play { stage in
            let (reader, writer) = (try stage.inside(), try stage.outside())
            for value in 10..<60 {
                try writer.ask("SET", "k", "\(value)")
                try stage.expect("$2\r\n\(value)\r\n", from: reader, "GET", "k")
            }
        }
    }

    @Test func t5WhatNamesNoKeysIsSeenAtOnce() async throws {
        try await play { stage in
            let (reader, writer) = (try stage.inside(), try stage.inside())
            for value in 10..<40 {
                try writer.ask("EVAL", "return redis.call('SET', ARGV[1], ARGV[2])", "0", "k", "\(value)")
                #expect(try reader.ask("GET", "k") == "$2\r\n\(value)\r\n")
                writer.send(
                    command("MULTI") + command("SET", "k", "\(value + 50)") + command("EVAL", "return 1", "0")
                        + command("EXEC"))
                for _ in 0..<4 { _ = try writer.nextReply() }
                #expect(try reader.ask("GET", "k") == "$2\r\n\(value + 50)\r\n")
            }
        }
    }

    @Test func t5DatabasesThatAreSwappedAreForgotten() async throws {
        try await play { stage in
            let (reader, writer) = (try stage.inside(), try stage.inside())
            try writer.ask("SET", "k", "zero")
            for _ in 0..<3 { try reader.ask("GET", "k") }
            #expect(try writer.ask("SWAPDB", "0", "1") == "+OK\r\n")
            #expect(try reader.ask("GET", "k") == "$-1\r\n")
            #expect(try writer.ask("SWAPDB", "0", "1") == "+OK\r\n")
            #expect(try reader.ask("GET", "k") == "$4\r\nzero\r\n")
        }
    }

    @Test func c1WatchSeesOwnWritesAndThoseOfOthers() async throws {
        try await play { stage in
            let (client, inside, outside) = (try stage.inside(), try stage.inside(), try stage.outside())
            for writer in [client, inside, outside] {
                try client.ask("SET", "k", "1")
                for _ in 0..<3 { try client.ask("GET", "k") }
                try client.ask("WATCH", "k")
                try writer.ask("SET", "k", "2")
                // Past the local level, which may not know yet.
                #expect(try client.ask("GET", "k") == "$1\r\n2\r\n")
                try client.ask("MULTI")
                try client.ask("SET", "k", "3")
                #expect(try client.ask("EXEC") == "*-1\r\n")
                #expect(try client.ask("GET", "k") == "$1\r\n2\r\n")
            }
        }
    }

    @Test func c1TransactionsUseTheSameFewConnections() async throws {
        try await play { stage in
            let outside = try stage.outside()
            func opened() throws -> Int {
                let info = try outside.ask("INFO", "stats")
                let line = info.split(separator: "\r\n").first { $0.hasPrefix("total_connections_received:") }
                return line.flatMap { Int($0.split(separator: ":")[1]) } ?? -1
            }
            let clients = try (0..<3).map { _ in try stage.inside() }
            let before = try opened()
            for turn in 0..<300 {
                let client = clients[turn % clients.count]
                if turn % 3 == 0 { try client.ask("WATCH", "other") }
                client.send(command("MULTI") + command("INCR", "n") + command("EXEC"))
                for _ in 0..<2 { _ = try client.nextReply() }
                #expect(String(decoding: try client.nextReply(), as: UTF8.self) == "*1\r\n:\(turn + 1)\r\n")
            }
            #expect(try opened() - before <= 5)
        }
    }

    @Test(arguments: [
        [["MULTI"], ["EXEC", "x"], ["PING"]], [["MULTI"], ["DISCARD", "x"], ["PING"], ["EXEC"]],
        [["WATCH", "a"], ["MULTI", "x"], ["EXEC"]], [["WATCH", "a"], ["UNWATCH", "x"], ["MULTI"], ["EXEC"]],
        [["WATCH"], ["PING"]], [["MULTI"], ["MULTI"], ["NOSUCH"], ["EXEC"]], [["MULTI"], ["WATCH", "a"], ["DISCARD"]],
    ]) func c1OddTransactionsLeaveNothingToTheNextClient(_ commands: [[String]]) async throws {
        try await play { stage in
            let (inside, outside) = (try stage.inside(), try stage.outside())
            for words in commands {
                let bytes = words.map { Array($0.utf8) }
                #expect(try inside.ask(bytes) == outside.ask(bytes), "\(words)")
            }
            let next = try stage.inside()
            #expect(try next.ask("MULTI") == "+OK\r\n")
            #expect(try next.ask("PING") == "+QUEUED\r\n")
            #expect(try next.ask("EXEC") == "*1\r\n+PONG\r\n")
        }
    }

    @Test func c2NamesAndDatabasesStayWithTheirClient() async throws {
        try await play { stage in
            let (named, other) = (try stage.inside(), try stage.inside())
            try named.ask("CLIENT", "SETNAME", "me")
            named.send(command("MULTI") + command("PING") + command("EXEC"))
            for _ in 0..<3 { _ = try named.nextReply() }
            #expect(try named.ask("CLIENT", "GETNAME") == "$2\r\nme\r\n")
            // The connection that was lent to the one is lent to the other.
            try other.ask("MULTI")
            #expect(try other.ask("CLIENT", "GETNAME") == "+QUEUED\r\n")
            #expect(try other.ask("EXEC") == "*1\r\n$-1\r\n")
        }
    }

    @Test(arguments: [false, true]) func c3AWaitingClientThatGoesTakesNothingWithIt(afterWatch: Bool) async throws {
        try await play { stage in
            let outside = try stage.outside()
            func blocked(_ count: Int) throws {
                let deadline = Deadline.after(.seconds(120))
                while !(try outside.ask("INFO", "clients")).contains("blocked_clients:\(count)\r\n") {
                    guard !deadline.hasPassed else {
                        Issue.record("never \(count) waiting")
                        return
                    }
                }
            }
            let client = try stage.inside()
            if afterWatch { try client.ask("WATCH", "k") }
            client.send(command("BLPOP", "queue", "0") + command("PING"))
            try blocked(1)
            client.finishSending()
            try blocked(0)
            #expect(try outside.ask("RPUSH", "queue", "kept") == ":1\r\n")
            #expect(try outside.ask("LLEN", "queue") == ":1\r\n")
        }
    }

    @Test func c4ScriptsAreKnownOnEveryConnection() async throws {
        try await play { stage in
            let sha = "d3c21d0c2b9ca22f82737626a27bcaf5d288f99f"
            let loaded = try stage.inside().ask("SCRIPT", "LOAD", "return redis.call('GET', KEYS[1])")
            #expect(loaded.contains(sha))
            for _ in 0..<4 {
                #expect(try stage.inside().ask("EVALSHA", sha, "1", "no") == "$-1\r\n")
            }
            #expect(try stage.inside().ask("EVALSHA", String(repeating: "0", count: 40), "0").hasPrefix("-NOSCRIPT"))
        }
    }

    @Test func c6WhatIsUnknownIsPassedOnAsItIs() async throws {
        try await play { stage in
            let (inside, outside) = (try stage.inside(), try stage.outside())
            for words in [
                ["NOSUCH"], ["nosuch", "a b", "c"], ["CONFIG", "NOSUCH"], ["GET"], ["HELLO", "4"], ["HELLO", "x"],
            ] {
                let bytes = words.map { Array($0.utf8) }
                #expect(try inside.ask(bytes) == outside.ask(bytes))
            }
        }
    }

    @Test func p3LargeRepliesAndSlowReadersHoldNobodyUp() async throws {
        try await play { stage in
            let (greedy, other) = (try stage.inside(), try stage.inside())
            try stage.outside().ask("SET", "large", String(repeating: "x", count: 20 << 20))
            // It asks and never reads.
            greedy.send((0..<20).flatMap { _ in command("GETRANGE", "large", "0", "-1") + command("GET", "large") })
            let second = try stage.inside()
            for value in 0..<200 {
                for client in [other, second] {
                    #expect(try client.ask("ECHO", "\(value)") == "$\("\(value)".utf8.count)\r\n\(value)\r\n")
                }
            }
            #expect(stage.proxy.residentBytes < 400 << 20)
        }
    }

    @Test(arguments: [60_000, 3 << 20]) func p4WhoIsHeldBackGoesOn(size: Int) async throws {
        try await play { stage in
            let value = String(repeating: "v", count: size)
            for takesOwn in [false, true] {
                let client = try stage.inside()
                if takesOwn { try client.ask("CLIENT", "ID") }
                for _ in 0..<2 {
                    #expect(try client.ask("SET", "k", value) == "+OK\r\n")
                    _ = try client.ask("GET", "k")
                    for count in [1, 19, 40] where count * size < 64 << 20 {
                        client.send((0..<count).flatMap { _ in command("GET", "k") })
                        for _ in 0..<count { #expect(try client.nextReply().count > size) }
                    }
                }
                #expect(try client.ask("PING") == "+PONG\r\n")
            }
        }
    }

    @Test func t1OneConnectionTracksForItselfSoThatTheOthersMayGo() async throws {
        try await play { stage in
            let (client, outside) = (try stage.inside(), try stage.outside())
            func connections() throws -> [[String: String]] {
                try outside.ask("CLIENT", "LIST").split(separator: "\r\n")[1].split(separator: "\n").map { line in
                    let fields = line.split(separator: " ").compactMap { field -> (String, String)? in
                        let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                        return parts.count == 2 ? (String(parts[0]), String(parts[1])) : nil
                    }
                    return Dictionary(fields) { first, _ in first }
                }
            }
            try client.ask("SET", "k", "old")
            try outside.expectServedLocally(by: client, "GET", "k")
            let all = try connections()
            let feeds = all.filter { $0["flags"]?.contains("t") == true }
            #expect(feeds.count == 1)
            let feed = try #require(feeds.first)
            // B: of all keys, P: subscribed; and told to itself.
            #expect(feed["flags"]?.contains("B") == true && feed["flags"]?.contains("P") == true, "\(feed)")
            #expect(feed["redir"] == feed["id"])
            let own = try outside.integer("CLIENT", "ID")
            let others = all.compactMap { $0["id"] }.filter { $0 != feed["id"] && $0 != "\(own)" }
            #expect(!others.isEmpty)
            for id in others { #expect(try outside.ask("CLIENT", "KILL", "ID", id) == ":1\r\n") }
            try outside.ask("SET", "k", "new")
            try stage.expect("$3\r\nnew\r\n", from: try stage.inside(), "GET", "k")
            #expect(try connections().contains { $0["id"] == feed["id"] })
        }
    }

    @Test func c5AClientSeesAndEndsConnectionsThatAreClientsOwn() async throws {
        try await play { stage in
            let (client, other, outside) = (try stage.inside(), try stage.inside(), try stage.outside())
            try client.ask("CLIENT", "SETNAME", "me")
            let id = try client.integer("CLIENT", "ID")
            #expect(try client.integer("CLIENT", "ID") == id)
            #expect(try client.ask("CLIENT", "INFO").contains("id=\(id) "))
            let listed = try client.ask("CLIENT", "LIST", "ID", "\(id)")
            #expect(listed.contains("id=\(id) ") && listed.contains(" name=me ") && listed.contains("cmd=client|list"))
            // What is shared is not on anybody's name.
            try other.ask("PING")
            #expect(try outside.ask("CLIENT", "LIST").split(separator: " name=me ").count == 2)
            let another = try other.integer("CLIENT", "ID")
            #expect(another != id)
            #expect(try client.ask("CLIENT", "KILL", "ID", "\(another)") == ":1\r\n")
            #expect(throws: RawClient.Failure.self) { try other.ask("PING") }
            #expect(try client.ask("PING") == "+PONG\r\n")
            #expect(try outside.ask("CLIENT", "KILL", "ID", "\(id)") == ":1\r\n")
            #expect(throws: RawClient.Failure.self) { try client.ask("PING") }
            #expect(try stage.inside().ask("PING") == "+PONG\r\n")
        }
    }

    @Test func c7AProtocolIsSpokenOnceRedisHasAgreed() async throws {
        try await play { stage in
            let (client, outside) = (try stage.inside(), try stage.outside())
            for version in ["4", "0", "x", "33"] {
                let refusal = try client.ask("HELLO", version)
                #expect(try refusal.hasPrefix("-") && refusal == outside.ask("HELLO", version))
                #expect(try client.ask("GET", "no") == "$-1\r\n")
            }
            #expect(try client.ask("HELLO", "3").contains("$5\r\nproto\r\n:3\r\n"))
            #expect(try client.ask("HELLO", "4").hasPrefix("-NOPROTO"))
            #expect(try client.ask("GET", "no") == "_\r\n")
            // On the connections that RESP3 shares, and on one of its own.
            client.send(command("MULTI") + command("HGETALL", "no") + command("EXEC"))
            for _ in 0..<2 { _ = try client.nextReply() }
            #expect(String(decoding: try client.nextReply(), as: UTF8.self) == "*1\r\n%0\r\n")
            #expect(try client.ask("HELLO", "2").contains("$5\r\nproto\r\n:2\r\n"))
            #expect(try client.ask("GET", "no") == "$-1\r\n")
        }
    }

    @Test(arguments: [
        "PING\r\n", "  SET a \"x y\" \r\nGET a\r\n", "*0\r\n*-1\r\n\r\n", "*2\r\n$3\r\nGET\r\n$-1\r\n",
        "*1\r\n$-1\r\n", "*-2\r\n", "*1048577\r\n", "*99999999999999999999\r\n", "*1\r\n$536870913\r\n",
        "*1\r\n$99999999999999999999\r\n", "*1\r\n:1\r\n", "*1\r\n$x\r\n", "*x\r\n",
        "*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$2\r\nxyz\r\n",
        "QUIT\r\nSET late 1\r\n",
        "*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nquit\r\n*3\r\n$3\r\nSET\r\n$4\r\nlate\r\n$1\r\n1\r\n",
    ]) func c8OddBytesAreAnsweredAsRedisAnswersThem(_ text: String) async throws {
        let plain = try await LocalRedis.start()
        let port = plain.port
        try await play { stage in
            // In one go, and cut in the middle of whatever it is.
            for cuts in [[], [1], [text.utf8.count / 2]] {
                let answers = try [stage.proxy.port, port].map { port in
                    let client = try RawClient(port: port)
                    client.send(Array(text.utf8) + command("PING") + command("QUIT"), cutAt: cuts)
                    return readable(try client.readToEnd())
                }
                #expect(answers[0] == answers[1])
            }
            #expect(try stage.outside().ask("GET", "late") == "$-1\r\n")
            #expect(try stage.inside().ask("PING") == "+PONG\r\n")
        }
        await plain.stop()
    }

    @Test func p6AnErrorConcernsOnlyWhoCausedIt() async throws {
        try await play { stage in
            // More than there are shared connections.
            let clients = try (0..<6).map { _ in try stage.inside() }
            for turn in 0..<50 {
                for (number, client) in clients.enumerated() {
                    let key = "k\(number)"
                    client.send(
                        command("SET", key, "\(turn)-\(number)")
                            + (number % 2 == 0 ? command("INCR", key) : command("APPEND", key, "+"))
                            + (number % 3 == 0 ? command("LPUSH", key, "x") : command("STRLEN", key))
                            + command("ECHO", "\(turn)/\(number)") + command("GET", key))
                }
                for (number, client) in clients.enumerated() {
                    let replies = try (0..<5).map { _ in String(decoding: try client.nextReply(), as: UTF8.self) }
                    let (mark, value) = ("\(turn)/\(number)", "\(turn)-\(number)" + (number % 2 == 0 ? "" : "+"))
                    #expect(replies[0] == "+OK\r\n")
                    #expect(number % 2 != 0 || replies[1] == "-ERR value is not an integer or out of range\r\n")
                    #expect(number % 2 == 0 || replies[1] == ":\(value.utf8.count)\r\n")
                    #expect(number % 3 != 0 || replies[2].hasPrefix("-WRONGTYPE"))
                    #expect(number % 3 == 0 || replies[2] == ":\(value.utf8.count)\r\n")
                    #expect(replies[3] == "$\(mark.utf8.count)\r\n\(mark)\r\n")
                    #expect(replies[4] == "$\(value.utf8.count)\r\n\(value)\r\n")
                }
            }
        }
    }

    @Test func p7ASlowClientHoldsUpNobodyAndStillGetsItsReplies() async throws {
        try await play { stage in
            let (outside, count, size) = (try stage.outside(), 200, 1 << 20)
            try outside.ask("SET", "large", String(repeating: "x", count: size))
            // Those of one shared connection are among them.
            let (slow, others) = (try stage.inside(), try (0..<4).map { _ in try stage.inside() })
            try outside.expectServedLocally(by: others[0], "EXISTS", "large")
            let before = stage.proxy.residentBytes
            slow.send((0..<count).flatMap { command("GETRANGE", "large", "\($0)", "-1") })
            for value in 0..<200 {
                for client in others { #expect(try client.ask("ECHO", "\(value)").hasSuffix("\r\n\(value)\r\n")) }
            }
            #expect(stage.proxy.residentBytes - before < 64 << 20)
            for start in 0..<count {
                #expect(try slow.nextReply().starts(with: Array("$\(size - start)\r\n".utf8)))
            }
            #expect(try slow.ask("PING") == "+PONG\r\n")
        }
    }

    /// What a client asks for waits at Redis until it is read; what comes unasked does not, and has a bound there.
    @Test func p7ASubscriberThatDoesNotReadIsCutOff() async throws {
        try await play(redis: ["--client-output-buffer-limit", "pubsub 8mb 8mb 0"]) { stage in
            let (slow, other, outside) = (try stage.inside(), try stage.inside(), try stage.outside())
            try slow.ask("SUBSCRIBE", "news")
            let (message, before) = (String(repeating: "m", count: 1 << 20), stage.proxy.residentBytes)
            let deadline = Deadline.after(.seconds(120))
            var sent = 0
            repeat {
                sent += 1
                #expect(try other.ask("PING") == "+PONG\r\n")
            } while try outside.integer("PUBLISH", "news", message) == 1 && !deadline.hasPassed
            #expect(sent > 8, "it was cut off at once")
            #expect(stage.proxy.residentBytes - before < 32 << 20)
            #expect(try slow.readToEnd().count < sent << 20)
            #expect(try other.ask("PING") == "+PONG\r\n")
        }
    }
}
