import Glibc
import LocalServers
import RedisTesting
import Runtime
import Testing

/// SIGTERM ends it within `shutdown.grace`, and what was carried out by then is answered.
@Suite struct EndingTests {
    private func carried(
        _ redis: LocalRedis, _ arguments: [String] = []
    ) async throws -> (outrigger: RunningOutrigger, port: UInt16) {
        let port = FreePort.next()
        let outrigger = try await RunningOutrigger.start(
            ["--redis-proxy.listen-address=127.0.0.1:\(port)"] + arguments,
            environment: ["REDIS_URL": "redis://127.0.0.1:\(redis.port)"])
        return (outrigger, port)
    }

    @Test func whatRedisHasCarriedOutIsAnswered() async throws {
        let redis = try await LocalRedis.start()
        let (outrigger, port) = try await carried(redis)
        let client = try RawClient(port: port)
        #expect(try client.ask("SET", "n", "0") == "+OK\r\n")
        _ = try await redis.command("client", "pause", "700", "ALL")
        _ = client.send(command("INCR", "n") + command("INCR", "n") + command("INCR", "n"))
        _ = try await outrigger.get("/-/healthy")
        outrigger.process.signal(SIGTERM)
        let replies = try client.readToEnd().filter { $0 == UInt8(ascii: ":") }.count
        #expect(try await outrigger.process.exited(within: .seconds(60)) == 0)
        #expect(try await redis.command("get", "n").filter(\.isNumber) == "\(replies)")
        await redis.stop()
    }

    @Test func aRedisThatNeverAnswersIsNotWaitedForBeyondTheGracePeriod() async throws {
        let redis = try await LocalRedis.start()
        let (outrigger, port) = try await carried(redis, ["--shutdown.grace=1s"])
        let client = try RawClient(port: port)
        #expect(try client.ask("SET", "n", "0") == "+OK\r\n")
        redis.server.process.signal(SIGSTOP)
        _ = client.send(command("INCR", "n"))
        outrigger.process.signal(SIGTERM)
        #expect(try await outrigger.process.exited(within: .seconds(60)) == 0)
        redis.server.process.signal(SIGCONT)
        await redis.stop()
    }

    @Test func twentyThousandReloadsDoNotHoldItUp() async throws {
        let outrigger = try await RunningOutrigger.start(yaml: "{}\n")
        for _ in 0..<20_000 { outrigger.process.signal(SIGHUP) }
        outrigger.process.signal(SIGTERM)
        #expect(try await outrigger.process.exited(within: .seconds(60)) == 0)
        #expect(outrigger.log.split(separator: "\n").count { $0.contains("configuration reloaded") } < 1000)
    }

    @Test func aFullPipeBehindStandardErrorDoesNotHoldItUp() async throws {
        let folder = try TemporaryFolder("outrigger-full-pipe")
        let full =
            "mkfifo \(folder.path)/pipe && exec 2<>\(folder.path)/pipe && head -c 65536 /dev/zero >&2; exec \"$0\" \"$@\""
        let outrigger = try await RunningOutrigger.start(yaml: "{}\n", wrapper: ["sh", "-c", full])
        for _ in 0..<10 { #expect(try await outrigger.get("/-/reload", ["-X", "POST"]).status == 200) }
        outrigger.process.signal(SIGTERM)
        #expect(try await outrigger.process.exited(within: .seconds(60)) == 0)
    }
}
