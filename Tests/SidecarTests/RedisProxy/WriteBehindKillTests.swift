import Glibc
import LocalServers
import RedisTesting
import Runtime
import Synchronization
import TestTools
import Testing

/// `kill -9` of the sidecar and of Redis at random moments, while clients write: every acknowledged write is there at the
/// end, and everybody reads it in between.
///
/// `TEST_KILLS` sets how many, `TEST_SEED` which.
@Suite(.tags(.proof)) struct WriteBehindKillTests {
    private static let writers = 4

    /// What Redis has acknowledged survives it.
    private static let durable = ["--appendonly", "yes", "--appendfsync", "always"]

    @Test(.timeLimit(.minutes(60))) func everyAcknowledgedWriteIsThereAtTheEnd() async throws {
        let kills = ProofSettings.count("TEST_KILLS", default: 6)
        let seed = ProofSettings.seed
        var random = Seeded(seed)
        let (folder, port) = (try TemporaryFolder("outrigger-behind"), FreePort.next())
        var redis = try await LocalRedis.start(Self.durable)
        let url = redis.url
        func start() async throws -> RunningOutrigger {
            try await RunningOutrigger.start(
                [
                    "--redis-proxy.listen-address=127.0.0.1:\(port)", "--cache.write=behind",
                    "--state.dir=\(folder.path)/state", "--redis-proxy.write-behind.flush-interval=20ms",
                ], environment: ["REDIS_URL": url])
        }
        var outrigger = try await start()
        let log = PersistentWriter.Log()
        async let written: [Void] = OwnThread.run(Self.writers) { number in
            PersistentWriter(number, port: port, seed: seed, log).run()
        }
        var done: [String: Int] = [:]
        for _ in 0..<kills where log.complaints.withLock({ $0.isEmpty }) {
            try await Task.sleep(for: .milliseconds(Int.random(in: 20...400, using: &random)))
            let victim = random.pick(["sidecar", "redis", "both"])
            done[victim, default: 0] += 1
            if victim != "sidecar" { try await kill(redis.server.process) }
            if victim != "redis" {
                try await kill(outrigger.process)
                outrigger = try await start()
            }
            guard victim != "sidecar" else { continue }
            try await Task.sleep(for: .milliseconds(Int.random(in: 0...300, using: &random)))
            redis = try await redis.restarted()
        }
        log.isOver.store(true, ordering: .relaxed)
        _ = try await written
        let behind = redis.port
        try await OwnThread().run {
            let flushed = Deadline.after(.seconds(120))
            while try !RawClient(port: port).ask("DBSIZE").hasPrefix(":"), !flushed.hasPassed {
                BlockingWait.milliseconds(20)
            }
            for side in [port, behind] { log.judgeAll(try RawClient(port: side)) }
        }
        let (complaints, acknowledged) = (log.complaints.withLock { $0 }, log.acknowledged.load(ordering: .relaxed))
        #expect(complaints.isEmpty, "TEST_SEED=\(seed)\n\(complaints.prefix(20).joined(separator: "\n"))")
        #expect(acknowledged > 0)
        print("write behind: \(acknowledged) writes acknowledged, killed \(done), seed \(seed)")
        await outrigger.stop()
        await redis.stop()
    }

    private func kill(_ process: ChildProcess) async throws {
        process.signal(SIGKILL)
        _ = try await process.exited(within: .seconds(120))
    }
}

/// Writes rising numbers under keys that nobody else writes, and reads them.
private final class PersistentWriter {
    /// What is known of a key: the last number that was acknowledged, and the last that was sent.
    struct Known {
        var acknowledged = 0
        var sent = 0
    }

    final class Log: Sendable {
        let isOver = Atomic(false)
        let acknowledged = Atomic(0)
        let complaints = Mutex<[String]>([])
        fileprivate let known = Mutex<[String: Known]>([:])

        func judgeAll(_ client: RawClient) {
            for (key, known) in known.withLock({ $0 }) {
                guard let reply = try? client.ask(["GET", key].map { Array($0.utf8) }) else {
                    return complain("\(key) cannot be read")
                }
                judge(key, known, reply, "at the end")
            }
        }

        fileprivate func judge(_ key: String, _ known: Known, _ reply: [UInt8], _ moment: String) {
            let number = Int(Reply(reply).text) ?? 0
            guard !(known.acknowledged...known.sent).contains(number) else { return }
            complain(
                "\(key) \(moment): \(readable(reply)), but \(known.acknowledged) was acknowledged, \(known.sent) sent")
        }

        private func complain(_ complaint: String) { complaints.withLock { $0.append(complaint) } }
    }

    private let number: Int
    private let port: UInt16
    private let log: Log
    private var random: Seeded
    private var known: [String: Known] = [:]

    init(_ number: Int, port: UInt16, seed: UInt64, _ log: Log) {
        self.number = number
        self.port = port
        self.log = log
        random = Seeded(seed &+ UInt64(number + 1) &* 7919)
    }

    private enum Step {
        case write([String], number: Int)
        case read(String)
    }

    func run() {
        var client: RawClient?
        while !log.isOver.load(ordering: .relaxed) {
            guard let open = client ?? (try? RawClient(port: port, patience: .seconds(15))) else {
                BlockingWait.milliseconds(5)
                continue
            }
            client = perform(plan(), open) ? open : nil
        }
        log.known.withLock { $0.merge(known) { $1 } }
    }

    private func plan() -> [(step: Step, words: [String])] {
        (0..<Int.random(in: 1...12, using: &random)).map { _ in
            let key = "w\(number):\(Int.random(in: 0..<10, using: &random))"
            guard random.chance(0.8) else { return (.read(key), ["GET", key]) }
            let next = (known[key]?.sent ?? 0) + 1
            known[key, default: Known()].sent = next
            let text = "\(next)"
            switch Int.random(in: 0..<20, using: &random) {
            case 0: return (.write([key], number: next), ["GETSET", key, text])
            case 1:
                return (.write([key], number: next), ["EVAL", "redis.call('SET', KEYS[1], ARGV[1])", "1", key, text])
            case 2: return (.write([key], number: next), ["SETEX", key, "1000", text])
            case 3: return (.write([key], number: next), ["SET", key, text, "PX", "1000000"])
            case 4: return (.write([key], number: next), ["MSET", key, text, "other:" + key, text])
            default: return (.write([key], number: next), ["SET", key, text])
            }
        }
    }

    /// - Returns: whether the connection is there still.
    private func perform(_ plan: [(step: Step, words: [String])], _ client: RawClient) -> Bool {
        // A read is owed at least what had been acknowledged before, and the writes in front of it in the pipeline.
        client.send(plan.flatMap { command($0.words.map { Array($0.utf8) }) })
        for (step, _) in plan {
            guard let reply = try? client.nextReply() else { return false }
            let isError = reply.first == UInt8(ascii: "-")
            switch step {
            case .write(let keys, let number) where !isError:
                for key in keys { known[key]?.acknowledged = number }
                log.acknowledged.add(1, ordering: .relaxed)
            case .write: continue
            case .read(let key):
                if !isError { log.judge(key, known[key] ?? Known(), reply, "in between") }
            }
        }
        return true
    }
}
