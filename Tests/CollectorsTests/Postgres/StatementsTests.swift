import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

@Suite struct StatementsTests {
    private func ranked(_ pairs: (String, Double)...) -> [(key: [UInt8], seconds: Double)] {
        pairs.map { (Array($0.0.utf8), $0.1) }
    }

    private func names(_ selection: StatementSelection) -> Set<String> {
        Set(selection.members.map { String(decoding: $0, as: UTF8.self) })
    }

    @Test func whoLeadsByLittleDoesNotPushOut() {
        var selection = StatementSelection(limit: 2)
        let now = ContinuousClock.now
        selection.choose(from: ranked(("a", 10), ("b", 9), ("c", 8)), at: now)
        #expect(names(selection) == ["a", "b"])
        selection.choose(from: ranked(("a", 10), ("c", 9.5), ("b", 9)), at: now)
        #expect(names(selection) == ["a", "b"])
        selection.choose(from: ranked(("c", 20), ("a", 10), ("b", 9)), at: now)
        #expect(names(selection) == ["a", "c"])
    }

    @Test func onlySoManyChangeInAWhile() {
        var selection = StatementSelection(limit: 2)
        let now = ContinuousClock.now
        selection.choose(from: ranked(("a", 2), ("b", 1)), at: now)
        selection.choose(from: ranked(("c", 20), ("d", 20), ("a", 2), ("b", 1)), at: now)
        #expect(names(selection) == ["c", "d"])
        selection.choose(from: ranked(("e", 200), ("f", 200), ("c", 20), ("d", 20)), at: now)
        #expect(names(selection) == ["c", "d"])
        selection.choose(from: ranked(("e", 200), ("f", 200), ("c", 20), ("d", 20)), at: now + .seconds(300))
        #expect(names(selection) == ["e", "f"])
    }

    @Test func whoIsForgottenMakesRoom() {
        var selection = StatementSelection(limit: 1)
        let now = ContinuousClock.now
        selection.choose(from: ranked(("a", 2), ("b", 1)), at: now)
        selection.choose(from: ranked(("b", 1)), at: now)
        #expect(names(selection) == ["b"])
    }

    @Test func theMostExpensiveAreServedAndTheRestIsOther() async throws {
        let server = try await LocalPostgres.start(settings: ["shared_preload_libraries = 'pg_stat_statements'"])
        try await server.sql("CREATE EXTENSION pg_stat_statements")
        var configuration = PostgresTarget.Configuration(name: "test", connection: server.url())
        configuration.collectors = ["stat_statements"]
        configuration.statements.limit = 1
        let target = try PostgresTarget(configuration)
        try await server.sql("SELECT pg_sleep(0.3)")
        let first = try await scrape(target)
        let seconds = "pg_stat_statements_seconds_total"
        #expect(first.series(seconds).count == 2)
        let other = #"pg_stat_statements_calls_total{datname="other",queryid="other",user="other"}"#
        let slow = try #require(first.series(seconds).first { !$0.contains("other") })
        #expect(first.value(slow) ?? 0 >= 0.3)
        #expect(first.series("pg_stat_statements_query_id") == [])
        for _ in 0..<3 { try await server.sql("SELECT 1 + 1") }
        let second = try await scrape(target)
        // Our own question of the first scrape is one of the others.
        #expect((second.value(other) ?? 0) - (first.value(other) ?? 0) >= 3)
        #expect(second.series(seconds) == first.series(seconds))
        try await server.sql("SELECT pg_stat_statements_reset()")
        let third = try await scrape(target)
        #expect(third.value(other) ?? 0 >= second.value(other) ?? 0)
        await server.stop()
    }

    @Test func textsAreShownWhenAskedFor() async throws {
        let server = try await LocalPostgres.start(settings: ["shared_preload_libraries = 'pg_stat_statements'"])
        try await server.sql("CREATE EXTENSION pg_stat_statements")
        try await server.sql("SELECT 12345 AS a_number_that_nobody_else_asks_for")
        var configuration = PostgresTarget.Configuration(name: "test", connection: server.url())
        configuration.collectors = ["stat_statements"]
        configuration.statements.includeQuery = true
        configuration.statements.queryLength = 30
        configuration.aliases = true
        let page = try await scrape(try PostgresTarget(configuration))
        #expect(
            page.series("pg_stat_statements_query_id").contains {
                $0.contains(#"query="SELECT $1 AS a_number_that_nob""#)
            })
        #expect(page.series("pg_stat_statements_mean_time_seconds{").allSatisfy { $0.contains("rolname=") })
        #expect(page.series("pg_stat_statements_total_time_seconds{").count > 1)
        await server.stop()
    }
}
