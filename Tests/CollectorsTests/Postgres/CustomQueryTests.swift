import Collectors
import LocalServers
import Metrics
import Testing

@Suite struct CustomQueryTests {
    @Test func columnsBecomeLabelsNumbersTimesAndHistograms() async throws {
        let server = try await LocalPostgres.start()
        var configuration = PostgresTarget.Configuration(name: "test", connection: server.url())
        configuration.collectors = []
        configuration.customQueries = [
            try CustomQuery(
                "shop",
                sql: """
                    SELECT 'a' AS kind, 3 AS orders, 2.5 AS weight, true AS is_open, NULL::int AS nothing,
                        '2026-11-21 12:00:00.9+01'::timestamptz AS opened_at, 'word' AS word;
                    """,
                columns: [
                    .init("kind", .label), .init("orders", .counter, help: "Orders."), .init("weight", .gauge),
                    .init("is_open", .gauge), .init("nothing", .gauge), .init("opened_at", .gauge),
                    .init("word", .gauge),
                ]),
            try CustomQuery(
                "wait",
                sql: """
                    SELECT 'x' AS queue, ARRAY[1, 2.5] AS seconds, ARRAY[3, 4] AS seconds_bucket, 7.5 AS seconds_sum,
                        6 AS seconds_count
                    """, columns: [.init("queue", .label), .init("seconds", .histogram, help: "Waits.")]),
        ]
        let page = try await scrape(try PostgresTarget(configuration))
        #expect(page.value(#"shop_orders{kind="a"}"#) == 3)
        #expect(page.types["shop_orders"] == "counter")
        #expect(page.value(#"shop_weight{kind="a"}"#) == 2.5)
        #expect(page.value(#"shop_is_open{kind="a"}"#) == 1)
        #expect(page.value(#"shop_opened_at{kind="a"}"#) == 1_795_258_800)
        #expect(page.series("shop_nothing") == [] && page.series("shop_word") == [])
        #expect(page.value(#"wait_seconds_bucket{le="1",queue="x"}"#) == 3)
        #expect(page.value(#"wait_seconds_bucket{le="2.5",queue="x"}"#) == 4)
        #expect(page.value(#"wait_seconds_bucket{le="+Inf",queue="x"}"#) == 6)
        #expect(page.value(#"wait_seconds_sum{queue="x"}"#) == 7.5)
        #expect(page.value(#"wait_seconds_count{queue="x"}"#) == 6)
        #expect(page.value(#"pg_scrape_collector_success{collector="shop"}"#) == 1)
        await server.stop()
    }

    @Test func aQueryMayBeAskedInEveryDatabaseAndFailAlone() async throws {
        let server = try await LocalPostgres.start()
        for name in ["one", "two"] { try await server.sql("CREATE DATABASE \(name)") }
        try await server.sql("CREATE TABLE job (id int); INSERT INTO job VALUES (1), (2)", database: "two")
        var configuration = PostgresTarget.Configuration(name: "test", connection: server.url())
        configuration.collectors = ["replication", "statio_user_indexes"]
        configuration.includeDatabases = ["one", "t?o"]
        configuration.customQueries = [
            try CustomQuery(
                "jobs", sql: "SELECT count(*) AS waiting FROM public.job", columns: [.init("waiting", .gauge)],
                perDatabase: true),
            try CustomQuery("once", sql: "SELECT 1 AS number", columns: [.init("number", .gauge)]),
            try CustomQuery("each", sql: "SELECT 1 AS number", columns: [.init("number", .gauge)], perDatabase: true),
        ]
        let target = try PostgresTarget(configuration)
        for _ in 0..<2 {
            let page = try await scrape(target)
            #expect(page.series("jobs_waiting") == [#"jobs_waiting{datname="two"}"#])
            #expect(page.value(#"jobs_waiting{datname="two"}"#) == 2)
            #expect(page.series("once_number") == ["once_number"])
            #expect(page.series("each_number") == [#"each_number{datname="one"}"#, #"each_number{datname="two"}"#])
            #expect(page.value(#"pg_scrape_collector_success{collector="jobs"}"#) == 0)
            #expect(page.value(#"outrigger_collector_last_error{class="missing",collector="jobs"}"#) == 1)
            #expect(page.value("pg_replication_is_replica") == 0)
        }
        // Asked once in the database that has no such table.
        #expect(server.server.log.split(separator: "\n").count { $0.contains("\"public.job\" does not exist") } == 1)
        await server.stop()
    }

    @Test func anAnswerMayBeServedAgain() async throws {
        let server = try await LocalPostgres.start()
        try await server.sql("CREATE SEQUENCE ticket")
        var configuration = PostgresTarget.Configuration(name: "test", connection: server.url())
        configuration.customQueries = [
            try CustomQuery(
                "cached", sql: "SELECT nextval('public.ticket') AS number", columns: [.init("number", .gauge)],
                cache: .seconds(60)),
            try CustomQuery(
                "fresh", sql: "SELECT nextval('ticket') AS number", columns: [.init("number", .gauge)],
                searchPath: "\"$user\", public"),
        ]
        let target = try PostgresTarget(configuration)
        let first = try await scrape(target)
        let second = try await scrape(target)
        #expect(first.value("cached_number") == second.value("cached_number"))
        #expect(second.value("fresh_number") == (first.value("fresh_number") ?? 0) + 1)
        await server.stop()
    }

    @Test func aQueryThatCannotBeUsedIsRefused() {
        #expect(throws: CustomQuery.Mistake.name("2x")) {
            try CustomQuery("2x", sql: "", columns: [.init("a", .gauge)])
        }
        #expect(throws: CustomQuery.Mistake.noValue(query: "x")) {
            try CustomQuery("x", sql: "", columns: [.init("a", .label)])
        }
        #expect(throws: CustomQuery.Mistake.duplicateColumn(query: "x", column: "a")) {
            try CustomQuery("x", sql: "", columns: [.init("a", .label), .init("a", .gauge)])
        }
    }
}
