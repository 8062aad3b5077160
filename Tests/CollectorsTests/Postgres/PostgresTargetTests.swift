import Collectors
import Databases
import LocalServers
import Metrics
import Runtime
import Testing

@Suite struct PostgresTargetTests {
    @Test func aServerIsServedAsText() async throws {
        let server = try await LocalPostgres.start()
        let target = try PostgresTarget(.init(name: "test", connection: server.url()))
        let page = try await scrape(target)
        #expect(page.value("pg_up") == 1)
        #expect(page.value(#"pg_locks_count{datname="postgres",mode="sireadlock"}"#) == 0)
        #expect(page.value("pg_replication_is_replica") == 0)
        #expect(page.value("pg_settings_max_connections") == 100)
    }
}
