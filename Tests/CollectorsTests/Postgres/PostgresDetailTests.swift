import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

@Suite struct PostgresDetailTests {
    @Test(arguments: [
        ("shop", "shop", true), ("shop", "s*p", true), ("shop", "s?p", false), ("shop", "*", true), ("", "*", true),
        ("shop_test", "*_test", true), ("shop_testing", "*_test", false), ("aXbXc", "a*X*c", true), ("shop", "", false),
    ])
    func patternsStandForWholeNames(name: String, pattern: String, matches: Bool) {
        #expect(NamePattern.matches(name, pattern) == matches)
    }

    @Test func parametersAreServedInBaseUnits() throws {
        let memory = try #require(ServerParameter("shared_buffers", setting: "4096", unit: "8kB", kind: "integer"))
        #expect(memory.metricName == "pg_settings_shared_buffers_bytes" && memory.value == 33_554_432)
        #expect(memory.help == "Server Parameter: shared_buffers [Units converted to bytes.]")
        let off = try #require(
            ServerParameter("log_min_duration_statement", setting: "-1", unit: "ms", kind: "integer"))
        #expect(off.metricName == "pg_settings_log_min_duration_statement_seconds" && off.value == -1)
        let naptime = try #require(ServerParameter("autovacuum_naptime", setting: "1", unit: "min", kind: "integer"))
        #expect(naptime.value == 60)
        let vendor = try #require(ServerParameter("rds.a-b", setting: "on", unit: "", kind: "bool"))
        #expect(vendor.metricName == "pg_settings_rds_a_b" && vendor.value == 1)
        let aurora = try #require(ServerParameter("aurora", setting: "7MB", unit: "MB", kind: "integer"))
        #expect(aurora.value == 7_340_032)
        #expect(ServerParameter("odd", setting: "1", unit: "furlong", kind: "integer") == nil)
    }

    @Test func parametersAreReadAgainAfterAReload() async throws {
        let server = try await LocalPostgres.start()
        let target = try PostgresTarget(.init(name: "test", connection: server.url()))
        #expect(try await scrape(target).value("pg_settings_work_mem_bytes") == 4_194_304)
        try await server.sql("ALTER SYSTEM SET work_mem = '8MB'")
        try await server.sql("SELECT pg_reload_conf()")
        let deadline = Deadline.after(.seconds(120))
        while try await scrape(target).value("pg_settings_work_mem_bytes") != 8_388_608, !deadline.hasPassed {}
        let page = try await scrape(target)
        #expect(page.value("pg_settings_work_mem_bytes") == 8_388_608)
        // What our own session sets is not shown.
        #expect(page.value("pg_settings_lock_timeout_seconds") == 0)
        #expect(page.value("pg_settings_jit") == 1)
        await server.stop()
    }

    @Test func aVacuumIsSeenInItsPhase() async throws {
        let server = try await LocalPostgres.start()
        try await server.sql(
            "CREATE TABLE big AS SELECT n FROM generate_series(1, 300000) AS n; DELETE FROM big WHERE n % 2 = 0")
        let vacuum = try ChildProcess(
            server.programs + "/psql",
            [
                "-X", "-q", "-d", server.url(), "-c", "SET vacuum_cost_delay = 50", "-c", "SET vacuum_cost_limit = 100",
                "-c", "VACUUM big",
            ])
        let target = try PostgresTarget(.init(name: "test", connection: server.url()))
        let deadline = Deadline.after(.seconds(120))
        var page = try await scrape(target)
        while page.series("pg_stat_progress_vacuum_heap_blks{").isEmpty, !deadline.hasPassed {
            page = try await scrape(target)
        }
        let labels = #"{datname="postgres",relname="big"}"#
        #expect(page.value("pg_stat_progress_vacuum_heap_blks" + labels) ?? 0 > 1000)
        let phases = page.series("pg_stat_progress_vacuum_phase")
        #expect(phases.count == 7 && phases.reduce(0) { $0 + (page.value($1) ?? 0) } == 1)
        await vacuum.stop()
        await server.stop()
    }

    @Test func aScrapeIsFourteenStatements() async throws {
        let server = try await LocalPostgres.start(settings: ["shared_preload_libraries = 'pg_stat_statements'"])
        try await server.sql("CREATE EXTENSION pg_stat_statements")
        let target = try PostgresTarget(.init(name: "test", connection: server.url()))
        _ = try await scrape(target)
        try await server.sql("SELECT pg_stat_statements_reset()")
        for _ in 0..<10 { _ = try await scrape(target) }
        let calls = try await server.sql(
            "SELECT sum(calls) FROM pg_stat_statements WHERE query NOT LIKE '%statements_reset%'")
        #expect(calls == "140\n")
        await server.stop()
    }

    @Test func onlyWhatIsSelectedIsAsked() async throws {
        let server = try await LocalPostgres.start()
        let target = try PostgresTarget(.init(name: "test", connection: server.url()))
        let page = try await scrape(target, CollectorSelection(collect: ["locks"], exclude: []))
        #expect(page.series("pg_scrape_collector_success") == [#"pg_scrape_collector_success{collector="locks"}"#])
        #expect(page.series("pg_settings") == [])
        #expect(page.value("pg_up") == 1)
        await server.stop()
    }

    @Test func aLateTargetIsDown() throws {
        var configuration = PostgresTarget.Configuration(name: "test", connection: "host=127.0.0.1")
        configuration.labels = [Label("target", "shop")]
        let target = try PostgresTarget(configuration)
        let page = page(of: target.collectedWhenLate(CollectionRound(deadline: .after(.zero))))
        #expect(page.value(#"pg_up{target="shop"}"#) == 0)
        #expect(page.value(#"pg_scrape_collector_success{collector="locks",target="shop"}"#) == 0)
    }
}
