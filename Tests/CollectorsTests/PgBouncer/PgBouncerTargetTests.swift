import Databases
import Foundation
import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

extension PgBouncerTarget {
    func page(within patience: Duration = .seconds(10), _ selection: CollectorSelection = .all) async -> ExporterPage {
        ExporterPage(await collect(CollectionRound(deadline: .after(patience), selection: selection)))
    }
}

@Suite struct PgBouncerTargetTests {
    @Test func clientsAreCountedByWhoseTheyAre() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        let sleepers = try (0..<2).map { _ in
            try ChildProcess(
                postgres.programs + "/psql",
                [
                    "-X", "-q", "-d", pgbouncer.url(database: "postgres") + "&application_name=shop", "-c",
                    "SELECT pg_sleep(600)",
                ])
        }
        let target = try PgBouncerTarget(connection: pgbouncer.url())
        let series =
            #"pgbouncer_client_connections{application_name="shop",database="postgres",state="active",user="postgres"}"#
        let deadline = Deadline.after(.seconds(30))
        var page = CollectorsTests.page(of: await target.collect(CollectionRound(deadline: .after(.seconds(10)))))
        while page.value(series) != 2, !deadline.hasPassed {
            page = CollectorsTests.page(of: await target.collect(CollectionRound(deadline: .after(.seconds(10)))))
        }
        #expect(page.value(series) == 2)
        for sleeper in sleepers { await sleeper.stop() }
        await pgbouncer.stop()
        await postgres.stop()
    }

    @Test func everyTableOfTheConsoleIsTold() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres, settings: ["max_user_connections = 17"])
        try await postgres.query("SELECT 1", through: pgbouncer)
        let target = try PgBouncerTarget(connection: pgbouncer.url())

        let page = await target.page()

        #expect(page["pgbouncer_up"] == "1")
        #expect(page.number("pgbouncer_config_max_client_connections") == 100)
        #expect(page.number("pgbouncer_config_max_user_connections") == 17)
        #expect(page.number("pgbouncer_databases") == 2)
        #expect(page.number("pgbouncer_stats_queries_pooled_total{database=\"postgres\"}") == 1)
        #expect(page.number("pgbouncer_stats_totals_queries_pooled_total{database=\"postgres\"}") == 1)
        #expect(
            page.number("pgbouncer_pools_client_active_connections{database=\"pgbouncer\",user=\"pgbouncer\"}") == 1)
        let database = "database=\"postgres\",host=\"127.0.0.1\",name=\"postgres\",port=\"\(postgres.port)\""
        #expect(page.number("pgbouncer_databases_pool_size{\(database)}") == 20)
        #expect(page.values.keys.contains { $0.hasPrefix("pgbouncer_version_info{version=\"PgBouncer ") })
        for collector in PgBouncerTarget.collectors {
            #expect(page["outrigger_collector_success{collector=\"\(collector)\"}"] == "1", "\(collector)")
        }
        #expect(page.duplicates.isEmpty)
        await pgbouncer.stop()
        await postgres.stop()
    }

    @Test func aRestartedConsoleIsFoundAgainInTheSameScrape() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        let target = try PgBouncerTarget(name: "front", connection: pgbouncer.url())
        #expect(await target.page()["pgbouncer_up{target=\"front\"}"] == "1")

        await pgbouncer.stop()
        let down = await target.page()
        #expect(down["pgbouncer_up{target=\"front\"}"] == "0")
        #expect(
            down["outrigger_collector_last_error{class=\"connection\",collector=\"pgbouncer\",target=\"front\"}"] == "1"
        )

        let again = try await pgbouncer.restarted()
        #expect(await target.page()["pgbouncer_up{target=\"front\"}"] == "1")
        await again.stop()
        #expect(await target.page()["pgbouncer_up{target=\"front\"}"] == "0")
        let third = try await pgbouncer.restarted()
        #expect(await target.page()["pgbouncer_up{target=\"front\"}"] == "1")
        await third.stop()
        await postgres.stop()
    }

    @Test func aStoppedConsoleIsGivenUpInTime() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        let target = try PgBouncerTarget(connection: pgbouncer.url())
        #expect(await target.page()["pgbouncer_up"] == "1")

        pgbouncer.server.process.signal(SIGSTOP)
        let page = await target.page(within: .milliseconds(600))
        #expect(try #require(page.number("outrigger_collector_duration_seconds{collector=\"pgbouncer\"}")) < 2)
        #expect(page["pgbouncer_up"] == "0")
        #expect(page["outrigger_collector_last_error{class=\"timeout\",collector=\"pgbouncer\"}"] == "1")

        pgbouncer.server.process.signal(SIGCONT)
        #expect(await target.page()["pgbouncer_up"] == "1")
        await pgbouncer.stop()
        await postgres.stop()
    }

    @Test func aUserWhoIsNoAdminIsToldAsRefused() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        let target = try PgBouncerTarget(connection: pgbouncer.url(user: "somebody"))

        let page = await target.page()

        #expect(page["pgbouncer_up"] == "0")
        #expect(page["outrigger_collector_last_error{class=\"permission\",collector=\"pgbouncer\"}"] == "1")
        await pgbouncer.stop()
        await postgres.stop()
    }

    @Test func onlyWhatIsAskedForIsTold() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        let target = try PgBouncerTarget(connection: pgbouncer.url())

        let page = await target.page(CollectorSelection(collect: ["pgbouncer_lists"], exclude: []))

        #expect(page["pgbouncer_up"] == "1")
        #expect(page.types["pgbouncer_used_clients"] == "gauge")
        #expect(page.types["pgbouncer_pools_client_active_connections"] == nil)
        await pgbouncer.stop()
        await postgres.stop()
    }

    /// Debian's prometheus-pgbouncer-exporter 1.7 ends with `KeyError: 'total_requests'` on any PgBouncer since 1.8, so
    /// psql is the other pair of eyes.
    @Test func everyNumberIsTheOneThatPsqlSees() async throws {
        let postgres = try await LocalPostgres.start()
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        for _ in 1...3 { try await postgres.query("SELECT pg_sleep(0.01)", through: pgbouncer) }
        let target = try PgBouncerTarget(connection: pgbouncer.url())
        _ = await target.page()

        let page = await target.page()

        var compared = 0
        for table in PgBouncerTable.catalogue {
            let text = try await LocalServer.run(
                postgres.programs + "/psql", ["-X", "-A", "-d", pgbouncer.url(), "-c", "SHOW \(table.command)"],
                folder: postgres.server.folder)
            let lines = text.split(separator: "\n").dropLast()
                .map { $0.split(separator: "|", omittingEmptySubsequences: false).map(String.init) }
            let header = try #require(lines.first)
            // The console's own connections come and go with every look.
            for row in lines.dropFirst() where !row.contains("pgbouncer") {
                let labels = table.labels.compactMap { label in
                    header.firstIndex(of: label).flatMap { row[$0].isEmpty ? nil : "\(label)=\"\(row[$0])\"" }
                }
                for column in table.columns {
                    guard let index = header.firstIndex(of: column.name), let value = Double(row[index]) else {
                        continue
                    }
                    let series = column.metric.name + "{" + labels.sorted().joined(separator: ",") + "}"
                    #expect(page.number(series) == value * column.factor, "\(series)")
                    compared += 1
                }
            }
        }
        #expect(compared > 30)
        await pgbouncer.stop()
        await postgres.stop()
    }
}

extension LocalPostgres {
    /// Runs a script with `psql` through the pooler.
    fileprivate func query(_ script: String, through pgbouncer: LocalPgBouncer) async throws {
        try await LocalServer.run(
            programs + "/psql", ["-X", "-q", "-d", pgbouncer.url(database: "postgres"), "-c", script],
            folder: server.folder)
    }
}
