import LocalServers
import Runtime
import Testing

@testable import Databases

// One at a time: each of these blocks a thread of Swift's small pool while it waits.
@Suite(.serialized) struct RedisConnectionTests {
    private static func open(_ url: String, within patience: Duration = .seconds(5)) throws -> RedisConnection {
        try RedisConnection(
            to: try RedisAddress(parsing: url), clientName: "tests", limitReplyBytes: 1 << 20, by: .after(patience))
    }

    @Test func manyCommandsAreAnsweredInOrder() async throws {
        let redis = try await LocalRedis.start()
        let connection = try Self.open(redis.url)

        let replies = try connection.pipeline(
            [
                RedisCommand("PING"), RedisCommand("SET", "a", "1"), RedisCommand("INCRBY", "a", "41"),
                RedisCommand("GET", "a"), RedisCommand("GET", "nothing"), RedisCommand("LPUSH", "a", "x"),
                RedisCommand("MGET", "a", "nothing"), RedisCommand("CLIENT", "GETNAME"),
            ], by: .after(.seconds(5)))

        #expect(replies[0].text == "PONG")
        #expect(replies[2] == .integer(42))
        #expect(replies[3].text == "42")
        #expect(replies[4] == .null)
        #expect(replies[5].errorText?.hasPrefix("WRONGTYPE") == true)
        #expect(replies[6].elements?.map(\.text) == ["42", nil])
        #expect(replies[7].text == "tests")
        await redis.stop()
    }

    @Test func moreThanTheSocketsHoldIsSentAndReceived() async throws {
        let redis = try await LocalRedis.start()
        let connection = try RedisConnection(
            to: try RedisAddress(parsing: redis.url), clientName: nil, by: .after(.seconds(5)))
        let value = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 20)
        let echo = RedisCommand([Array("ECHO".utf8), value], name: "ECHO")

        let replies = try connection.pipeline(Array(repeating: echo, count: 20), by: .after(.seconds(20)))

        #expect(replies.allSatisfy { $0.bytes?.count == value.count })
        await redis.stop()
    }

    @Test func aUserAndADatabaseAreUsed() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("ACL", "SETUSER", "reader", "on", ">s@fe", "~*", "+@all")
        let connection = try Self.open("redis://reader:s%40fe@127.0.0.1:\(redis.port)/3")

        let replies = try connection.pipeline(
            [RedisCommand("ACL", "WHOAMI"), RedisCommand("CLIENT", "INFO")], by: .after(.seconds(5)))

        #expect(replies[0].text == "reader")
        #expect(replies[1].text?.contains(" db=3 ") == true)
        await redis.stop()
    }

    @Test func aUnixSocketIsAsGood() async throws {
        let folder = try TemporaryFolder("outrigger-socket")
        let redis = try await LocalRedis.start(["--unixsocket", folder.path + "/r.sock"])
        let connection = try Self.open("unix://\(folder.path)/r.sock?db=2")

        let replies = try connection.pipeline([RedisCommand("CLIENT", "INFO")], by: .after(.seconds(5)))

        #expect(replies[0].text?.contains(" db=2 ") == true)
        await redis.stop()
    }

    @Test func aWrongPasswordIsRefusedAndNeverRepeated() async throws {
        let redis = try await LocalRedis.start(["--requirepass", "right"])

        #expect {
            _ = try Self.open("redis://:hunter2@127.0.0.1:\(redis.port)")
        } throws: { error in
            guard case .loginRefused(let reason)? = error as? RedisError else { return false }
            return reason.hasPrefix("WRONGPASS") && !"\(error)".contains("hunter2")
        }
        #expect {
            _ = try Self.open("redis://127.0.0.1:\(redis.port)")
        } throws: { error in
            guard case .loginRefused(let reason)? = error as? RedisError else { return false }
            return reason.hasPrefix("NOAUTH")
        }
        await redis.stop()
    }

    /// Redis repeats the arguments of a command that it does not know, and AUTH's is the password.
    @Test func aServerWithoutAuthDoesNotGiveThePasswordAway() async throws {
        let redis = try await LocalRedis.start(["--rename-command", "AUTH", ""])

        #expect {
            _ = try Self.open("redis://:hunter2@127.0.0.1:\(redis.port)")
        } throws: { error in
            "\(error)".contains("unknown command") && !"\(error)".contains("hunter2")
        }
        await redis.stop()
    }

    @Test func aServerWithoutTLSIsSaidToBeNone() async throws {
        // Not a server of TLS, whatever it is.
        let server = try await LocalRedis.start()
        #expect(throws: RedisError.self) { try Self.open("rediss://127.0.0.1:\(server.port)") }
        await server.stop()
    }

    @Test func nobodyThereIsSaidAtOnce() throws {
        let port = FreePort.next()
        let began = ContinuousClock.now
        #expect {
            _ = try Self.open("redis://127.0.0.1:\(port)", within: .seconds(60))
        } throws: { error in
            if case .cannotConnect? = error as? RedisError { true } else { false }
        }
        #expect(throws: RedisError.self) { try Self.open("unix:///nowhere/at/all.sock") }
        #expect(throws: RedisError.self) { try Self.open("redis://no-such-host.invalid", within: .milliseconds(500)) }
        #expect(ContinuousClock.now - began < .seconds(30))
    }

    @Test func aServerThatIsFullSaysSo() async throws {
        let redis = try await LocalRedis.start(["--maxclients", "1"])
        // The connection that found the port open may still count.
        let deadline = Deadline.after(.seconds(120))
        var first = try? Self.open(redis.url)
        while first == nil, !deadline.hasPassed { first = try? Self.open(redis.url) }

        #expect {
            _ = try Self.open(redis.url)
        } throws: { error in
            "\(error)".contains("max number of clients")
        }
        #expect(first?.isOpen == true)
        await redis.stop()
    }

    @Test func aSilentServerIsGivenUpAtTheDeadline() throws {
        let server = try ScriptedRedis { $0[0] == "CLIENT" ? .status("OK") : .silence }
        let connection = try Self.open(server.url)
        let began = ContinuousClock.now

        #expect(throws: RedisError.timedOut(step: "GET")) {
            try connection.pipeline([RedisCommand("GET", "a")], by: .after(.milliseconds(150)))
        }
        #expect(ContinuousClock.now - began < .seconds(30))
        #expect(!connection.isOpen)
        #expect(throws: RedisError.closed(step: "send")) {
            try connection.pipeline([RedisCommand("PING")], by: .after(.seconds(1)))
        }
    }

    @Test(arguments: [
        "!not a type\r\n", "$5\r\nabc\r\n*x\r\n", "*1000000000\r\n", "$900000000\r\n", "*-5\r\n", ":12a\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    ])
    func garbageIsAnErrorAndNothingElse(reply: String) throws {
        let server = try ScriptedRedis { $0[0] == "CLIENT" ? .status("OK") : .bytes(Array(reply.utf8)) }
        let connection = try Self.open(server.url)

        #expect(throws: RedisError.self) {
            try connection.pipeline([RedisCommand("GET", "a")], by: .after(.milliseconds(300)))
        }
        #expect(!connection.isOpen)
    }

    @Test func aReplyThatIsTooLongIsCutOff() throws {
        let server = try ScriptedRedis { words in
            words[0] == "CLIENT" ? .status("OK") : .bulk([UInt8](repeating: 1, count: 2 << 20))
        }
        let connection = try Self.open(server.url)

        #expect(throws: RedisError.replyTooLong(limitBytes: 1 << 20)) {
            try connection.pipeline([RedisCommand("GET", "a")], by: .after(.seconds(5)))
        }
    }

    @Test func aReplyNobodyAskedForBreaksTheProtocol() throws {
        let server = try ScriptedRedis { words in
            words[0] == "CLIENT" ? .status("OK") : .bytes(Array("+one\r\n+two\r\n".utf8))
        }
        let connection = try Self.open(server.url)
        #expect(throws: RedisError.protocolBroken("more replies than commands")) {
            try connection.pipeline([RedisCommand("PING")], by: .after(.seconds(5)))
        }
    }
}

@Suite struct RESP3ReplyReaderTests {
    private func replies(_ text: String, cutAt cut: Int? = nil) throws -> [RedisReply] {
        let reader = RESP3ReplyReader(limitBytes: 1 << 16)
        let bytes = Array(text.utf8)
        for part in [bytes[..<(cut ?? bytes.count)], bytes[(cut ?? bytes.count)...]] {
            try part.withUnsafeBytes { _ = try reader.feed($0) }
        }
        return reader.take()
    }

    @Test func whatIsNewIsToldAsRESP2WouldHave() throws {
        let text =
            "%2\r\n$1\r\na\r\n:1\r\n+b\r\n~1\r\n#t\r\n>2\r\n+message\r\n+x\r\n|1\r\n+k\r\n+v\r\n,1.5\r\n_\r\n"
            + "=7\r\ntxt:abc\r\n!5\r\nERR x\r\n(12345678901234567890\r\n*0\r\n$-1\r\n*2\r\n|0\r\n#f\r\n-ERR y\r\n"
        let expected: [RedisReply] = [
            .array([.bulk(Array("a".utf8)[...]), .integer(1), .status(Array("b".utf8)[...]), .array([.integer(1)])]),
            .bulk(Array("1.5".utf8)[...]), .null, .bulk(Array("abc".utf8)[...]), .error("ERR x"),
            .bulk(Array("12345678901234567890".utf8)[...]), .array([]), .null, .array([.integer(0), .error("ERR y")]),
        ]
        for cut in 0...text.utf8.count { #expect(try replies(text, cutAt: cut) == expected) }
    }

    @Test(arguments: [
        "*99999999999999999999\r\n", "*30000\r\n", "$-2\r\n", "$9999999\r\n", ":x\r\n", "?\r\n", "\r\n",
        "$1\r\nabc\r\n",
        String(repeating: "*1\r\n", count: 40),
    ])
    func whatIsNotBelievedEndsTheConnection(text: String) {
        #expect(throws: RedisError.self) { try replies(text) }
    }
}

@Suite struct RedisReplyReaderTests {
    private static let example = Array(
        "+OK\r\n:-7\r\n$5\r\nhello\r\n$-1\r\n*-1\r\n*0\r\n*3\r\n:1\r\n*2\r\n$0\r\n\r\n+x\r\n$-1\r\n-ERR no\r\n".utf8)

    private static let expected: [RedisReply] = [
        .status(ArraySlice("OK".utf8)), .integer(-7), .bulk(ArraySlice("hello".utf8)), .null, .null, .array([]),
        .array([.integer(1), .array([.bulk([]), .status(ArraySlice("x".utf8))]), .null]), .error("ERR no"),
    ]

    @Test func repliesCutAtAnyByteAreReadTheSame() throws {
        for cut in 0...Self.example.count {
            let reader = RedisReplyReader(limitBytes: 1 << 20)
            _ = try Self.example[..<cut].withUnsafeBytes { bytes throws(RedisError) in try reader.feed(bytes) }
            let count = try Self.example[cut...].withUnsafeBytes { bytes throws(RedisError) in try reader.feed(bytes) }
            #expect(count == Self.expected.count)
            #expect(reader.take() == Self.expected)
        }
    }

    @Test func noBytesCrashTheReader() {
        var random = SystemRandomNumberGenerator()
        let alphabet = Array("+-:$*0123456789\r\nab".utf8)
        for _ in 0..<2000 {
            let reader = RedisReplyReader(limitBytes: 4096)
            let bytes = (0..<200).map { _ in alphabet.randomElement(using: &random)! }
            // Either is fine: replies or an error.
            _ = try? bytes.withUnsafeBytes { bytes throws(RedisError) in try reader.feed(bytes) }
            _ = reader.take()
        }
    }
}
