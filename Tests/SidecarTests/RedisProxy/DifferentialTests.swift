import LocalServers
import RedisTesting
import Runtime
import TestTools
import Testing

/// Random commands of several clients to the proxy and to a plain Redis get the same replies, to the byte.
///
/// `TEST_DIFFERENTIAL_OPERATIONS` sets how many, `TEST_SEED` which.
@Suite(.tags(.proof)) struct RedisProxyDifferentialTests {
    private static let clients = 5

    /// Redis notices that a blocked client has waited long enough when its timer ticks.
    private static let quickTimer = ["--hz", "500"]

    @Test(.timeLimit(.minutes(60)), arguments: ProxyVariant.allAndBehind)
    func aClientCannotTellTheProxyFromRedis(_ variant: ProxyVariant) async throws {
        let operations = ProofSettings.count("TEST_DIFFERENTIAL_OPERATIONS", default: 20_000)
        let seed = ProofSettings.seed
        let proxy = try await ProxyUnderTest.start(variant, redis: Self.quickTimer)
        let plain = try await LocalRedis.start(Self.quickTimer)
        let ports = Differential.Ports(proxy: proxy.port, behind: proxy.redis.port, plain: plain.port)
        let replies = try await OwnThread().run { try Self.compare(operations, seed, ports, variant) }
        print("\(variant.name): \(replies) replies compared, seed \(seed)")
        await proxy.stop()
        await plain.stop()
    }

    private static func compare(_ operations: Int, _ seed: UInt64, _ ports: Differential.Ports, _ variant: ProxyVariant)
        throws -> Int
    {
        var source = DifferentialSteps(seed: seed, clients: clients)
        let differential = try Differential(ports, clients: clients)
        var steps: [DifferentialStep] = []
        while differential.replies < operations {
            steps.append(source.next())
            let difference: Differential.Difference?
            do { difference = try differential.perform(steps[steps.count - 1]) } catch {
                difference = .init(command: "\(error)", ours: "no reply of use", theirs: "or none from Redis")
            }
            guard let difference else { continue }
            let shortest = shrink(steps, ports)
            let story = (shortest ?? steps.suffix(20)).map(\.description).joined(separator: "\n  ")
            Issue.record(
                """
                \(variant.name), TEST_SEED=\(seed), step \(steps.count): \(difference)
                \(shortest == nil ? "It does not come again alone; the last steps" : "Shortest way there"):
                  \(story)
                """)
            break
        }
        return differential.replies
    }

    /// The steps that are needed to see a difference at the last one. Nil where repeating them all does not.
    private static func shrink(_ steps: [DifferentialStep], _ ports: Differential.Ports) -> [DifferentialStep]? {
        let deadline = Deadline.after(.seconds(60))
        func differs(_ steps: [DifferentialStep]) -> Bool {
            guard let again = try? Differential(ports, clients: clients, patience: .seconds(2)) else { return false }
            for (place, step) in steps.enumerated() {
                guard let difference = try? again.perform(step) else { continue }
                return place == steps.count - 1 && !difference.command.isEmpty
            }
            return false
        }
        var length = 1
        while length < steps.count, !differs(steps.suffix(length)), !deadline.hasPassed { length *= 2 }
        var kept = Array(steps.suffix(length))
        guard differs(kept) else { return nil }
        let single = kept.flatMap(\.oneByOne)
        if differs(single) { kept = single }
        // Leaves out ever smaller pieces as long as the difference stays.
        var piece = kept.count / 2
        while piece > 0, !deadline.hasPassed {
            var start = 0
            while start + piece < kept.count, !deadline.hasPassed {
                let without = Array(kept[..<start] + kept[(start + piece)...])
                if differs(without) { kept = without } else { start += piece }
            }
            piece /= 2
        }
        return kept
    }
}
