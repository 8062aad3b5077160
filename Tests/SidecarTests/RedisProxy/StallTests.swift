import Glibc
import LocalServers
import RedisTesting
import Runtime
import Synchronization
import TestTools
import Testing

/// Whatever befalls Redis, a client of the proxy is answered or its connection closes, in time.
///
/// `TEST_STALL_SECONDS` sets how long clients are disturbed, `TEST_SEED` what they ask.
@Suite(.tags(.proof)) struct RedisProxyStallTests {
    /// Longer than the proxy waits for Redis, and for one that is stopped meanwhile.
    private static let patience = Duration.seconds(25)

    @Test(.timeLimit(.minutes(20)), arguments: ProxyVariant.all)
    func nobodyWaitsForEver(_ variant: ProxyVariant) async throws {
        let seconds = ProofSettings.count("TEST_STALL_SECONDS", default: 4)
        let seed = ProofSettings.seed
        let proxy = try await ProxyUnderTest.start(variant)
        let port = proxy.port
        let isOver = Atomic(false)
        let tally = Mutex((replies: 0, lives: 0, stalls: [String]()))
        async let clients: [Void] = OwnThread.run(16) { number in
            var random = Seeded(seed &+ UInt64(number) &* 7919)
            while !isOver.load(ordering: .relaxed) {
                let life = StalledClient(port: port, patience: Self.patience, &random)
                let outcome = life.live(&random)
                tally.withLock {
                    $0.replies += outcome.replies
                    $0.lives += 1
                    if let stall = outcome.stall { $0.stalls.append(stall) }
                }
            }
        }
        let deadline = Deadline.after(.seconds(seconds))
        repeat {
            try await Task.sleep(for: .milliseconds(Int.random(in: 20...200)))
            try await Self.disturb(proxy)
        } while !deadline.hasPassed && tally.withLock { $0.stalls.isEmpty }
        isOver.store(true, ordering: .relaxed)
        _ = try await clients
        let told = tally.withLock { $0 }
        #expect(told.stalls.isEmpty, "\(variant.name), TEST_SEED=\(seed)\n\(told.stalls.joined(separator: "\n"))")
        print("\(variant.name): \(told.replies) replies to \(told.lives) clients, seed \(seed)")
        await proxy.stop()
    }

    private static func disturb(_ proxy: ProxyUnderTest) async throws {
        let port = proxy.redis.port
        switch Int.random(in: 0..<6) {
        case 0: try await proxy.restartRedis()
        case 1:
            let process = proxy.redis.server.process
            process.signal(SIGSTOP)
            try await Task.sleep(for: .milliseconds(Int.random(in: 50...3500)))
            process.signal(SIGCONT)
        case 2:
            let process = proxy.redis.server.process
            process.signal(SIGKILL)
            _ = try await process.exited(within: .seconds(120))
            try await Task.sleep(for: .milliseconds(Int.random(in: 50...800)))
            try await proxy.restartRedis()
        case 3: await ask(port, "CLIENT", "KILL", "TYPE", "pubsub")
        case 4: await ask(port, "CLIENT", "KILL", "TYPE", "normal")
        default: await ask(port, "FLUSHALL")
        }
    }

    private static func ask(_ port: UInt16, _ words: String...) async {
        await OwnThread().run { _ = try? RawClient(port: port).ask(words.map { Array($0.utf8) }) }
    }
}

/// A client that does one of the things that make the proxy wait for something, and counts what it gets.
private struct StalledClient {
    private let socket: RawClient?

    init(port: UInt16, patience: Duration, _ random: inout Seeded) {
        socket = try? RawClient(port: port, patience: patience)
    }

    /// Returns how many replies came, and what was never answered.
    func live(_ random: inout Seeded) -> (replies: Int, stall: String?) {
        guard let socket else { return (0, nil) }
        var replies = 0
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let commands = pipeline(&random)
            socket.send(commands.flatMap { command($0.map { Array($0.utf8) }) })
            let finishes = random.chance(0.1)
            if finishes { socket.finishSending() }
            for words in commands {
                do {
                    _ = try socket.nextReply()
                    replies += 1
                } catch RawClient.Failure.silent {
                    let story = commands.map { $0.map { String($0.prefix(30)) }.joined(separator: " ") }
                    return (replies, "\(words[0]) in \(story)\(finishes ? ", finished" : "") is not answered")
                } catch { return (replies, nil) }
            }
            if finishes { break }
        }
        return (replies, nil)
    }

    private func pipeline(_ random: inout Seeded) -> [[String]] {
        (0..<(random.chance(0.4) ? Int.random(in: 2...30, using: &random) : 1)).flatMap { _ in one(&random) }
    }

    private func one(_ random: inout Seeded) -> [[String]] {
        let key = random.pick(["a", "b", "c"])
        switch Int.random(in: 0..<16, using: &random) {
        case 0..<5: return [["GET", key]]
        case 5: return [["MGET", "a", "b", "c"]]
        case 6: return [["HGETALL", "h"]]
        case 7: return [["SET", key, String(repeating: "v", count: random.pick([1, 100, 70_000, 600_000]))]]
        case 8: return [["EVAL", "return redis.call('SET', 'c', ARGV[1])", "0", "lua"]]
        case 9: return [["MULTI"], ["SET", key, "tx"], ["GET", key], ["EXEC"]]
        case 10: return [["WATCH", key], ["GET", key], ["UNWATCH"]]
        case 11: return [["BLPOP", "queue", "0.05"]]
        case 12: return [["SELECT", random.pick(["0", "1"])]]
        case 13: return [["HELLO", random.pick(["2", "3"])]]
        case 14 where random.chance(0.2): return [["CLIENT", "ID"], ["EVAL", "return 1", "0"], ["GET", key]]
        case 15 where random.chance(0.2): return [["SUBSCRIBE", "news"]]
        default: return [["KEYS", "*"]]
        }
    }
}
