import Metrics
import Runtime
import Testing

/// The service's own metrics beside those that Outrigger serves.
@Suite struct NameOwnersTests {
    /// Brings what it is told to.
    private final class Source: MetricSource {
        private let part: Collected
        private let isSilent: Counter

        init(_ part: Collected, silentWhenAbove isSilent: Counter = Counter()) {
            self.part = part
            self.isSilent = isSilent
        }

        func collect(_ round: CollectionRound) async -> [Collected] { isSilent.count > 0 ? [] : [part] }
        func collectedWhenLate(_ round: CollectionRound) -> [Collected] { [] }
    }

    private func names(_ registry: Registry) async -> [String] {
        await registry.gather(by: .after(.seconds(5))).families.map(\.metric.name).sorted()
    }

    @Test func aNameThatAnotherSourceServesIsNotTheServicesToGive() async {
        let registry = Registry(minAge: .zero, seriesLimit: 100)
        registry.add(
            Source(
                Collected(
                    "operations",
                    [
                        Family(.gauge("redis_up", "Mine."), 7), Family(.counter("orders_total", "Mine."), 1),
                        Family(.gauge("latency_bucket", "Mine."), 1), Family(.gauge("commands", "Mine."), 1),
                    ], yields: true)))
        #expect(await names(registry) == ["commands", "latency_bucket", "orders_total", "redis_up"])

        let isDown = Counter()
        let latency = Metric("latency", .histogram, "Theirs.")
        registry.add(
            Source(
                Collected(
                    "redis",
                    [
                        Family(.gauge("redis_up", "Theirs."), 1), Family(latency),
                        Family(.counter("commands_total", "Theirs."), 1),
                    ]), silentWhenAbove: isDown))
        let both = await registry.gather(by: .after(.seconds(5)))
        #expect(
            both.families.map(\.metric.name).sorted() == ["commands_total", "latency", "orders_total", "redis_up"])
        #expect(both.families.first { $0.metric.name == "redis_up" }?.samples.first?.value == 1)
        #expect(registry.namesRefused.with([]).count == 3)

        // The name does not change its meaning while the other is away.
        isDown.add()
        #expect(await names(registry) == ["orders_total"])
    }

    @Test func aReloadForgetsWhoHadWhichName() async {
        let registry = Registry(minAge: .zero, seriesLimit: 100)
        let mine = Source(Collected("operations", [Family(.gauge("redis_up", "Mine."), 7)], yields: true))
        registry.replaceSources([mine, Source(Collected("redis", [Family(.gauge("redis_up", "Theirs."), 1)]))])
        #expect(await names(registry) == ["redis_up"])
        registry.replaceSources([mine])
        #expect(await registry.gather(by: .after(.seconds(5))).families.first?.samples.first?.value == 7)
    }
}
