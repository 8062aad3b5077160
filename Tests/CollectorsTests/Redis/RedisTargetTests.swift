import Databases
import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

extension RedisTarget {
    /// One scrape with ten seconds to spare.
    func page(_ selection: CollectorSelection = .all, within patience: Duration = .seconds(10)) async -> ExporterPage {
        ExporterPage(await collect(CollectionRound(deadline: .after(patience), selection: selection)))
    }
}

@Suite struct RedisTargetTests {
    @Test func aPlainServerIsScrapedInOneRoundTrip() async throws {
        let redis = try await LocalRedis.start()
        try await redis.command("SET", "greeting", "hello")
        let target = RedisTarget(address: try RedisAddress(parsing: redis.url))

        let page = await target.page()

        #expect(page["redis_up"] == "1")
        #expect(page["redis_exporter_last_scrape_error"] == "0")
        #expect(page["redis_db_keys{db=\"db0\"}"] == "1")
        #expect(page["redis_db_keys{db=\"db15\"}"] == "0")
        #expect(page["redis_commands_total{cmd=\"set\"}"] == "1")
        #expect(page["outrigger_collector_success{collector=\"redis\"}"] == "1")
        #expect(page.duplicates.isEmpty)
        await redis.stop()
    }
}
