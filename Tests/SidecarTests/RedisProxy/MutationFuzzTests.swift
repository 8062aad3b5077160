import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

/// Valid commands with some bytes changed are answered as a plain Redis answers them, up to the error that closes.
///
/// `TEST_ABUSE_ROUNDS` sets how many streams, `TEST_SEED` which.
@Suite(.tags(.proof)) struct RedisProxyMutationFuzzTests {
    private static let commands: [[UInt8]] = [
        command("SET", "a", "some value"), command("GET", "a"), command("MGET", "a", "b", "c"),
        command("MSET", "a", "1", "b", "2"),
        command("ECHO", "one\r\ntwo"), command("PING"), command("HSET", "h", "f", "v", "g", "w"),
        command("HGET", "h", "f"),
        command("RPUSH", "l", "x", ""), command("LRANGE", "l", "0", "3"), command("ZADD", "z", "1.5", "m"),
        command("ZRANGE", "z", "0", "-1", "WITHSCORES"), command("INCR", "n"), command("STRLEN", "a"),
        command("DEL", "l"),
        command("EXISTS", "a", "a"), command("TYPE", "z"), command("MULTI"), command("EXEC"), command("SELECT", "1"),
        command("EVAL", "return {ARGV[1], 2}", "0", "x"), Array("GET a\r\n".utf8), Array("set b \"q\\x41\" \r\n".utf8),
        Array("*0\r\n".utf8), Array("\r\n".utf8),
    ]

    @Test(.timeLimit(.minutes(60)), arguments: ProxyVariant.all)
    func damagedStreamsAreAnsweredAsRedisAnswersThem(_ variant: ProxyVariant) async throws {
        let rounds = ProofSettings.count("TEST_ABUSE_ROUNDS", default: 1500)
        let seed = ProofSettings.seed
        let proxy = try await ProxyUnderTest.start(variant)
        let plain = try await LocalRedis.start()
        let (ours, theirs) = (proxy.port, plain.port)
        let before = proxy.residentBytes
        try await OwnThread().run {
            var random = Seeded(seed)
            for round in 0..<rounds {
                let stream = Self.damaged(&random)
                let cuts = (0..<Int.random(in: 0...3, using: &random)).map { _ in
                    Int.random(in: 0...stream.count, using: &random)
                }
                let judge = try RawClient(port: theirs)
                judge.send(stream)
                judge.finishSending()
                let wanted = try judge.readToEnd()
                let got = try Self.read(
                    wanted.count, from: ours, stream, cutAt: cuts.sorted(), isLast: Self.closes(wanted))
                guard got == wanted else {
                    Issue.record(
                        """
                        \(variant.name), TEST_SEED=\(seed), round \(round): \(readable(stream, most: 2000)) cut at \(cuts)
                          proxy: \(readable(got)), Redis: \(readable(wanted))
                        """)
                    break
                }
            }
        }
        #expect(proxy.residentBytes - before < 32 << 20)
        await proxy.stop()
        await plain.stop()
    }

    private static func damaged(_ random: inout Seeded) -> [UInt8] {
        var bytes = (0..<Int.random(in: 1...12, using: &random)).flatMap { _ in random.pick(commands) }
        for _ in 0..<random.pick([0, 1, 1, 1, 2, 3, 8]) {
            let place = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[place] = random.protocolByte()
            case 1: bytes.insert(random.protocolByte(), at: place)
            case 2 where bytes.count > 1: bytes.remove(at: place)
            case 3: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            default: bytes.insert(contentsOf: bytes[place...].prefix(20), at: place)
            }
        }
        return bytes
    }

    private static func closes(_ replies: [UInt8]) -> Bool {
        String(decoding: replies, as: UTF8.self).contains("-ERR Protocol error")
    }

    /// As many bytes as are expected, or all until the end where that has to come.
    private static func read(
        _ count: Int, from port: UInt16, _ stream: [UInt8], cutAt cuts: [Int], isLast: Bool
    ) throws -> [UInt8] {
        let client = try RawClient(port: port, patience: .seconds(5))
        client.send(stream, cutAt: cuts)
        if isLast { return try client.readToEnd() }
        var got: [UInt8] = []
        while got.count < count {
            do {
                guard let more = try client.readSome() else { break }
                got += more
            } catch RawClient.Failure.silent { break }
        }
        return got
    }
}
