import Glibc
import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

/// What no client should send. The proxy answers as Redis does or closes, lives on, serves others meanwhile, and stays small.
@Suite(.tags(.proof)) struct RedisProxyProtocolAbuseTests {
    /// Runs `body` against a proxy; others have to be served and memory has to stay bounded afterwards.
    private func abuse(
        _ variant: ProxyVariant, growsAtMost limit: Int = 64 << 20,
        _ body: @escaping @Sendable (_ proxy: ProxyUnderTest, _ plain: LocalRedis) throws -> Void
    ) async throws {
        let proxy = try await ProxyUnderTest.start(variant)
        let plain = try await LocalRedis.start()
        try await OwnThread().run {
            try RawClient(port: proxy.port).ask("SET", "witness", "1")
            let before = proxy.residentBytes
            try body(proxy, plain)
            let after = proxy.residentBytes
            #expect(after - before < limit, "grew from \(before >> 20) to \(after >> 20) MiB")
            #expect(try RawClient(port: proxy.port).ask("GET", "witness").hasPrefix("$"))
        }
        await proxy.stop()
        await plain.stop()
    }

    /// All that comes, after which the client is done sending.
    private static func answer(of port: UInt16, to bytes: [UInt8], cutAt cuts: [Int] = []) throws -> [UInt8] {
        let client = try RawClient(port: port)
        client.send(bytes, cutAt: cuts)
        return try client.readToEnd()
    }

    private static let examples: [[UInt8]] = [
        command("SET", "a", "1") + command("GET", "a"),
        command("MSET", "a", "x\r\ny", "", "") + command("MGET", "a", "", "n"),
        command("MULTI") + command("SET", "i", "1") + command("EXEC"),
        Array("SET inline \"a b\\x41\"\r\nGET inline\r\n".utf8),
        command("HELLO", "3") + command("HSET", "h", "f", "v") + command("HGETALL", "h") + command("DEL", "h"),
        Array("*0\r\n\r\n*-1\r\n".utf8) + command("PING"), command("EVAL", "return {1,{2,false}}", "0"),
        command("GET") + command("NOSUCH", "x") + command("ECHO", "ü"),
        command("SELECT", "3") + command("SET", "a", "3"),
        command("SUBSCRIBE", "c") + command("PING") + command("UNSUBSCRIBE", "c"), Array("PING\nECHO x\n".utf8),
    ]

    @Test(arguments: ProxyVariant.all) func examplesCutAtAnyByteAreAnsweredTheSame(_ variant: ProxyVariant) async throws
    {
        try await abuse(variant) { proxy, plain in
            for example in Self.examples {
                let bytes = example + command("QUIT")
                let wanted = try Self.answer(of: plain.port, to: bytes)
                for cut in 0..<bytes.count {
                    let got = try Self.answer(of: proxy.port, to: bytes, cutAt: [cut])
                    guard Self.isSame(got, wanted) else {
                        Issue.record("\(readable(bytes)) at \(cut): \(readable(got)), but Redis \(readable(wanted))")
                        break
                    }
                }
                let everywhere = try Self.answer(of: proxy.port, to: bytes, cutAt: Array(1..<bytes.count))
                #expect(Self.isSame(everywhere, wanted), "\(readable(bytes)) in bytes: \(readable(everywhere))")
                try RawClient(port: proxy.port).ask("FLUSHALL")
                try RawClient(port: plain.port).ask("FLUSHALL")
            }
        }
    }

    /// `HELLO` tells the connection's number.
    private static func isSame(_ ours: [UInt8], _ theirs: [UInt8]) -> Bool {
        if ours == theirs { return true }
        func withoutNumber(_ bytes: [UInt8]) -> String {
            String(decoding: bytes, as: UTF8.self).replacing(/\$2\r\nid\r\n:\d+\r\n/, with: "")
        }
        return withoutNumber(ours) == withoutNumber(theirs)
    }

    @Test(arguments: ProxyVariant.all) func absurdLengthsAndNestingAreRefusedAsRedisRefusesThem(_ variant: ProxyVariant)
        async throws
    {
        let numbers = [
            "-1", "-2", "0", "1", "2147483647", "2147483648", "-2147483648", "4294967296", "536870913", "1048577",
            "9223372036854775807", "9223372036854775808", "-9223372036854775808", "99999999999999999999999", "+1", " 1",
            "1 ", "01", "1.5", "x", "", "0x10", "1e3",
        ]
        var texts = numbers.flatMap { ["*\($0)\r\n", "*1\r\n$\($0)\r\n", "*2\r\n$3\r\nGET\r\n$\($0)\r\n"] }
        texts += [
            "*1\r\n*1\r\n$4\r\nPING\r\n", "*1\r\n:1\r\n", "*1\r\n+PING\r\n", "$4\r\nPING\r\n", ":1\r\n", "+OK\r\n",
            "-ERR\r\n",
            "%1\r\n$1\r\na\r\n$1\r\nb\r\n", "*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", "*1\r\n$4\nPING\n",
            "*1\n$4\r\nPING\r\n",
            "\r\r\n", "\0\r\n", "ECHO a\0b\r\n", "GET \"a\"b\r\n", "GET 'a\\'\r\n", "\"\" \r\n",
            "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n", String(repeating: "*1\r\n", count: 2000),
            String(repeating: "x", count: 70_000),
            "*1\r\n$" + String(repeating: "1", count: 70_000), "*" + String(repeating: "0", count: 70_000),
        ]
        let all = texts
        try await abuse(variant) { proxy, plain in
            for text in all {
                let bytes = Array(text.utf8)
                var answers: [String] = []
                // Who is silent for so long may wait for more, or the machine be slow.
                for patience in [Duration.milliseconds(60), .seconds(3)] {
                    answers = try [proxy.port, plain.port].map { port in
                        let client = try RawClient(port: port, patience: patience)
                        client.send(bytes)
                        do { return readable(try client.readToEnd()) + " and closes" } catch RawClient.Failure.silent {
                            return "stays open"
                        }
                    }
                    if answers[0] == answers[1] { break }
                }
                #expect(answers[0] == answers[1], "\(readable(bytes, most: 80))")
            }
        }
    }

    @Test(arguments: ProxyVariant.all) func tenThousandCommandsAtOnceAreAnsweredInOrder(_ variant: ProxyVariant)
        async throws
    {
        try await abuse(variant) { proxy, _ in
            for greeting in [["PING"], ["SELECT", "0"]] {
                let client = try RawClient(port: proxy.port)
                _ = try client.ask(greeting.map { Array($0.utf8) })
                client.send((0..<10_000).flatMap { command("ECHO", "\($0)") })
                for number in 0..<10_000 {
                    let reply = try client.nextReply()
                    guard Reply(reply).text == "\(number)" else {
                        Issue.record("\(number): \(readable(reply))")
                        return
                    }
                }
            }
        }
    }

    /// Asks for far more than it ever reads, on a shared connection and on one of its own.
    @Test(arguments: ProxyVariant.all) func whoNeverReadsCostsLittleAndDelaysNobody(_ variant: ProxyVariant)
        async throws
    {
        try await abuse(variant) { proxy, _ in
            let value = String(repeating: "v", count: 256 << 10)
            try RawClient(port: proxy.port).ask("SET", "large", value)
            let hogs = try (0..<6).map { number in
                let hog = try RawClient(port: proxy.port)
                if number % 2 == 1 { try hog.ask("SELECT", "0") }
                hog.wait(atMost: .milliseconds(200))
                // 1 GB is asked for by each.
                for _ in 0..<40 where hog.send((0..<100).flatMap { _ in command("GET", "large") }) == 0 { break }
                return hog
            }
            let other = try RawClient(port: proxy.port, patience: .seconds(10))
            for number in 0..<500 { #expect(try other.ask("ECHO", "\(number)").hasSuffix("\(number)\r\n")) }
            hogs.forEach { $0.hangUp(abruptly: true) }
        }
    }

    /// Half a command each, for as long as it lasts, and bytes that come one at a time.
    @Test(arguments: ProxyVariant.all) func manyWhoNeverFinishACommandDelayNobody(_ variant: ProxyVariant) async throws
    {
        try await abuse(variant) { proxy, _ in
            let bytes = command("SET", "slow", String(repeating: "s", count: 100))
            let slow = try (0..<400).map { _ in try RawClient(port: proxy.port) }
            let other = try RawClient(port: proxy.port)
            for place in 0..<bytes.count {
                for client in slow { client.send(bytes[place..<place + 1]) }
                if place % 8 == 0 { #expect(try other.ask("ECHO", "\(place)").hasSuffix("\(place)\r\n")) }
            }
            for client in slow { #expect(try client.nextReply() == Array("+OK\r\n".utf8)) }
        }
    }

    /// A length is promised again and again, and never kept.
    @Test(arguments: ProxyVariant.all) func promisedLengthsCostNothing(_ variant: ProxyVariant) async throws {
        try await abuse(variant) { proxy, _ in
            let clients = try (0..<200).map { _ in
                let client = try RawClient(port: proxy.port)
                client.send(Array("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$536870912\r\nabc".utf8))
                return client
            }
            #expect(try RawClient(port: proxy.port).ask("PING") == "+PONG\r\n")
            clients.forEach { $0.hangUp() }
        }
    }
}
