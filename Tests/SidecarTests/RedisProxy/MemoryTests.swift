import LocalServers
import RedisTesting
import Runtime
import Synchronization
import Testing

/// That the process takes no more than the manual says, under a mix of loads. `TEST_SOAK_ROUNDS` for a longer one.
@Suite(.timeLimit(.minutes(60))) struct RedisProxyMemoryTests {
    /// Code, the collectors' tables, and what the allocator keeps between uses: the manual names it. A debug build has more
    /// code, and checks.
    private static let restBytes = 64 << 20

    @Test func theProcessTakesNoMoreThanItsBoundsAndAStatedRest() async throws {
        let (cache, clients) = (16 << 20, 16 << 20)
        let proxy = try await ProxyUnderTest.start(
            ProxyVariant(
                name: "soak",
                flags: ["--cache.max-bytes=16MiB", "--redis-proxy.client-bytes=16MiB", "--collect.min-age=0s"]))
        let (port, rounds) = (proxy.port, ProofSettings.count("TEST_SOAK_ROUNDS", default: 3))
        let peaks = Peaks()
        _ = try await OwnThread.run(4) { number in
            var dice = SystemRandomNumberGenerator()
            for round in 0..<rounds {
                let client = try RawClient(port: port)
                for size in [100, 5000, 200_000, 900_000] {
                    let value = String(repeating: "v", count: size)
                    for _ in 0..<min(200, 20_000_000 / size / 4) {
                        let key = "k\(Int.random(in: 0..<500, using: &dice)):\(size)"
                        try client.ask("SET", key, value)
                        _ = try client.ask("GET", key)
                        try client.ask("RPUSH", "l\(number)", "item")
                        _ = try client.ask("LRANGE", "l\(number)", "0", "-1")
                    }
                    peaks.note(proxy.residentBytes)
                }
                // Half a command each, far more than may be held together.
                let halves = try (0..<3).map { _ in try RawClient(port: port) }
                for half in halves {
                    half.send(Array("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$50000000\r\n".utf8))
                    half.send([UInt8](repeating: 120, count: 5_000_000))
                    peaks.note(proxy.residentBytes)
                }
                // Replies that nobody reads.
                let mute = try RawClient(port: port)
                try client.ask("SET", "large", String(repeating: "v", count: 900_000))
                for _ in 0..<20 { mute.send(command("GET", "large")) }
                peaks.note(proxy.residentBytes)
                try client.ask("DEL", "l\(number)")
                if round % 2 == 1 { halves[0].hangUp(abruptly: true) }
            }
        }
        peaks.note(proxy.residentBytes)
        #expect(peaks.highest < cache + clients + Self.restBytes, "\(peaks.highest >> 20) MiB")
        #expect(try await proxy.metric("redis_proxy_clients_shed_total") > 0)
        #expect(try await proxy.metric("redis_proxy_client_buffer_bytes") <= clients)
        print("memory: peak \(peaks.highest >> 20) MiB with bounds of \((cache + clients) >> 20) MiB")
        await proxy.stop()
    }

    private final class Peaks: Sendable {
        private let bytes = Atomic<Int>(0)
        func note(_ now: Int) { bytes.max(now, ordering: .relaxed) }
        var highest: Int { bytes.load(ordering: .relaxed) }
    }

    @Test func oneThatSendsHalfACommandCostsTheOthersNothing() async throws {
        for (flags, hasRedis) in [
            (["--redis-proxy.client-bytes=8MiB"], true), (["--redis-proxy.client-bytes=8MiB"], false),
        ] {
            let port = FreePort.next()
            let redis = hasRedis ? try await LocalRedis.start() : nil
            let outrigger = try await RunningOutrigger.start(
                ["--redis-proxy.listen-address=127.0.0.1:\(port)"] + flags,
                environment: redis.map { ["REDIS_URL": $0.url] } ?? [:])
            try await ProxyUnderTest.untilOpen(port)
            try await OwnThread().run {
                let (client, small, greedy) = (
                    try RawClient(port: port), try RawClient(port: port), try RawClient(port: port)
                )
                try client.ask("SET", "k", "v")
                small.send(
                    Array("*3\r\n$3\r\nSET\r\n$1\r\ns\r\n$1000000\r\n".utf8) + [UInt8](repeating: 120, count: 999_000))
                greedy.send(
                    Array("*3\r\n$3\r\nSET\r\n$1\r\ng\r\n$100000000\r\n".utf8)
                        + [UInt8](repeating: 120, count: 20_000_000))
                #expect(try greedy.readToEnd().isEmpty, "closed")
                small.send([UInt8](repeating: 120, count: 1000) + Array("\r\n".utf8))
                #expect(try small.nextReply() == Array("+OK\r\n".utf8))
                #expect(try client.ask("GET", "k") == "$1\r\nv\r\n" && client.ask("STRLEN", "s") == ":1000000\r\n")
            }
            await outrigger.stop()
            await redis?.stop()
        }
    }
}
