import Collectors
import LocalServers
import Metrics
import PostgresProxy
import Runtime
import Testing

/// The console, asked by those who ask PgBouncer's.
struct AdminConsoleTests {
    private static let console = AdminConsole(AdminConsole.Rights(admins: ["pgbouncer"], readers: ["stats"]))

    private static func ask(
        _ bench: ProxyBench, _ statement: String, as user: String = "pgbouncer", database: String = "pgbouncer",
        shape: [String] = ["-A", "-t"]
    ) async throws -> String {
        try await bench.run(
            "psql",
            ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database] + shape + ["-c", statement])
    }

    private static let tables = [
        "POOLS", "STATS", "STATS_TOTALS", "STATS_AVERAGES", "TOTALS", "CLIENTS", "SERVERS", "SOCKETS", "ACTIVE_SOCKETS",
        "DATABASES", "USERS", "LISTS", "CONFIG", "MEM", "STATE", "VERSION", "DNS_HOSTS",
    ]

    @Test func everyTableIsShownToPsqlAndCountsWhatHappened() async throws {
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, console: Self.console)
        for _ in 0..<3 { #expect(try await bench.psql("SELECT 1") == "1\n") }

        for table in Self.tables {
            let said = try await Self.ask(bench, "SHOW \(table);", as: "stats", shape: ["-A"])
            #expect(said.contains("("), "\(table): \(said)")
        }
        let totals = try await Self.ask(bench, "show stats_totals", database: "outrigger", shape: ["-A", "-x"])
        #expect(totals.contains("database|postgres"), Comment(rawValue: totals))
        #expect(totals.contains("total_query_count|3"), Comment(rawValue: totals))
        let pools = try await Self.ask(bench, "SHOW POOLS", shape: ["-A", "-x"])
        #expect(pools.contains("sv_idle|1") && pools.contains("pool_mode|transaction"), Comment(rawValue: pools))
        await bench.proxy.stop()
        await postgres.stop()
    }

    /// What PgBouncer 1.18 of Debian shows is shown here under the same names.
    @Test func noColumnOfPgBouncerIsMissing() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        let bench = try ProxyBench.start(postgres, console: Self.console)
        // 1.18 has columns that later releases have dropped.
        let dropped: Set<String> = ["reserve_pool", "ptr", "sv_used"]
        for table in [
            "POOLS", "STATS", "CLIENTS", "SERVERS", "DATABASES", "USERS", "LISTS", "CONFIG", "TOTALS",
        ] {
            let shape = ["-A", "-P", "footer=off"]
            let theirs = try await bench.run(
                "psql", ["-X", "-q", "-d", pgbouncer.url()] + shape + ["-c", "SHOW \(table)"])
            let ours = try await Self.ask(bench, "SHOW \(table)", shape: shape)
            func columns(_ text: String) -> Set<String> {
                Set(text.prefix { $0 != "\n" }.split(separator: "|").map(String.init))
            }
            let missing = columns(theirs).subtracting(columns(ours)).subtracting(dropped)
            #expect(missing.isEmpty, "\(table): \(missing)")
        }
        await bench.proxy.stop()
        await pgbouncer.stop()
        await postgres.stop()
    }

    @Test func ourCollectorAndTheExportersQueriesReadIt() async throws {
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, console: Self.console)
        _ = try await bench.psql("SELECT 1")
        let target = try PgBouncerTarget(
            connection: bench.url(database: "pgbouncer", user: "stats"))
        let round = CollectionRound(deadline: .after(.seconds(60)), selection: .all)
        let families = await target.collect(round).flatMap(\.families)
        func value(_ name: String) -> Double? {
            families.first { $0.metric.name == name }?.samples.first?.value
        }
        #expect(value("pgbouncer_up") == 1)
        #expect(value("pgbouncer_stats_queries_pooled_total") == 1)
        #expect(families.contains { $0.metric.name == "pgbouncer_pools_server_idle_connections" })
        #expect(families.contains { $0.metric.name == "pgbouncer_databases_pool_size" })
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test func whoMayOnlyReadChangesNothingAndStrangersStayOutside() async throws {
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, console: Self.console)
        for statement in ["PAUSE", "KILL", "SHUTDOWN", "RECONNECT", "DISABLE postgres", "KILL_CLIENT 1", "SHOW FDS"] {
            await #expect(throws: (any Error).self) { try await Self.ask(bench, statement, as: "stats") }
        }
        await #expect(throws: (any Error).self) { try await Self.ask(bench, "SHOW POOLS", as: "postgres") }
        #expect(try await bench.psql("SELECT 1") == "1\n")
        for statement in [
            "SHOW NONSENSE", "KILL_CLIENT x", "KILL_CLIENT 99999999999", "PAUSE nowhere", "DISABLE", "FLY",
        ] {
            await #expect(throws: (any Error).self, Comment(rawValue: statement)) {
                try await Self.ask(bench, statement)
            }
        }
        await bench.proxy.stop()
        await postgres.stop()
    }

    @Test func aDisabledDatabaseLetsNobodyInUntilItIsEnabled() async throws {
        let postgres = try await LocalPostgres.start()
        let bench = try ProxyBench.start(postgres, console: Self.console)
        _ = try await bench.psql("SELECT 1")
        _ = try await Self.ask(bench, "DISABLE postgres")
        await #expect(throws: (any Error).self) { try await bench.psql("SELECT 1") }
        _ = try await Self.ask(bench, "ENABLE postgres")
        _ = try await Self.ask(bench, "RECONNECT")
        #expect(try await bench.psql("SELECT 1") == "1\n")
        _ = try await Self.ask(bench, "PAUSE postgres")
        _ = try await Self.ask(bench, "RESUME postgres")
        #expect(try await bench.psql("SELECT 1") == "1\n")
        await bench.proxy.stop()
        await postgres.stop()
    }
}
