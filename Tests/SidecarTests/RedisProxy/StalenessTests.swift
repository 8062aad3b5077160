import Glibc
import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

/// Clients inside and outside of the proxy read and write the same keys while connections and servers die; every answer
/// has to be one that the promise allows.
///
/// `TEST_STALENESS_OPERATIONS` sets how many, `TEST_STALENESS_GRACE_MS` how long a foreign write may take to be seen,
/// `TEST_EXPIRY_SKEW_MS` how long after its end a value may be told.
@Suite(.tags(.proof)) struct RedisProxyStalenessTests {
    private static let grace = Duration.milliseconds(ProofSettings.count("TEST_STALENESS_GRACE_MS", default: 250))
    private static let skew = Duration.milliseconds(ProofSettings.count("TEST_EXPIRY_SKEW_MS", default: 5))

    private static func keys(_ lateness: Lateness) -> [VersionedKey] {
        VersionedKey.Kind.allCases.flatMap { kind in
            (0..<(kind == .string ? 8 : 2)).map {
                VersionedKey(name: "\(kind)\($0)", kind: kind, history: KeyHistory(skew: skew) { lateness.worstNs })
            }
        }
    }

    @Test(.timeLimit(.minutes(60)), arguments: ProxyVariant.allAndBehind)
    func noAnswerIsOlderThanPromised(_ variant: ProxyVariant) async throws {
        let operations = ProofSettings.count("TEST_STALENESS_OPERATIONS", default: 20_000)
        let seed = ProofSettings.seed
        let proxy = try await ProxyUnderTest.start(variant)
        let lateness = Lateness()
        defer { lateness.end() }
        let (keys, log) = (Self.keys(lateness), StalenessClient.Log())
        let (inside, outside) = (proxy.port, proxy.redis.port)
        async let clients: [Void] = OwnThread.run(8) { number in
            let side: KeyHistory.Side = number < 5 || variant.isBehind ? .inside : .outside
            StalenessClient(
                number, port: side == .inside ? inside : outside, side: side, keys, grace: Self.grace, seed: seed, log
            ).run()
        }
        let chaos = StalenessChaos(proxy, keys, grace: Self.grace, swapGrace: variant.swapGrace)
        var done: [String: Int] = [:]
        repeat {
            // Of a foreign swap Redis tells nobody: it comes first, so that others make all be forgotten before the end.
            let all = StalenessChaos.Disturbance.all(variant)
            let others = all.filter { $0 != .swapOutside }.shuffled()
            for disturbance in all.filter({ $0 == .swapOutside }) + others {
                try await Task.sleep(for: .milliseconds(Int.random(in: 20...200)))
                try await chaos.disturb(by: disturbance)
                done[disturbance.rawValue, default: 0] += 1
            }
        } while log.told.withLock { $0.operations < operations && $0.violations.isEmpty }
        log.isOver.store(true, ordering: .relaxed)
        _ = try await clients

        let told = log.told.withLock { $0 }
        #expect(
            told.violations.isEmpty,
            "\(variant.name), TEST_SEED=\(seed)\n\(told.violations.joined(separator: "\n"))")
        try await OwnThread().run { try Self.expectConvergence(keys, inside: inside, outside: outside) }
        print(
            "\(variant.name): \(told.operations) operations, \(told.reads) reads judged, \(told.lost) connections lost, \(done)"
        )
        await proxy.stop()
    }

    /// When nobody writes any more, both sides tell the same, by every way of reading.
    private static func expectConvergence(_ keys: [VersionedKey], inside: UInt16, outside: UInt16) throws {
        BlockingWait.milliseconds(grace.milliseconds)
        let (proxy, redis) = (try RawClient(port: inside), try RawClient(port: outside))
        // What is pending is flushed before this is answered.
        try proxy.ask("DBSIZE")
        for key in keys {
            for read in key.reads where read.commands.count == 1 {
                let words = read.commands[0].map { Array($0.utf8) }
                let comparison = ReplyComparison.of(words)
                var (ours, theirs) = (try proxy.ask(words), try redis.ask(words))
                // A key may just have expired, after the proxy was asked.
                let deadline = Deadline.after(.seconds(1))
                while !comparison.accepts(ours, theirs), !deadline.hasPassed {
                    (ours, theirs) = (try proxy.ask(words), try redis.ask(words))
                }
                #expect(
                    comparison.accepts(ours, theirs),
                    "\(read.commands[0]): \(readable(ours)), but Redis \(readable(theirs))")
            }
        }
    }
}
