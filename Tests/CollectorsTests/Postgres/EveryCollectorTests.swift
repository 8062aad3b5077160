import LocalServers
import Metrics
import Runtime
import Testing

@testable import Collectors

/// Every collector against real servers where something happens.
@Suite struct EveryCollectorTests {
    private static func everything(_ address: String) -> PostgresTarget.Configuration {
        var configuration = PostgresTarget.Configuration(name: "test", connection: address)
        configuration.collectors = PostgresTarget.Configuration.knownCollectors
        configuration.statements.includeQuery = true
        return configuration
    }

    /// Metrics that need what these servers never do, or versions that nobody runs any more.
    private static let neverSeen: Set<String> = [
        "pg_replication_slots_pg_xlog_location_diff", "pg_stat_replication_pg_xlog_location_diff",
        "pg_xlog_location_bytes",
        // Only seen in the moments in which autovacuum works.
        "pg_stat_activity_autovacuum_timestamp_seconds",
        // Vacuums are seen in ProgressVacuumTests.
        "pg_stat_progress_vacuum_phase", "pg_stat_progress_vacuum_heap_blks",
        "pg_stat_progress_vacuum_heap_blks_scanned", "pg_stat_progress_vacuum_heap_blks_vacuumed",
        "pg_stat_progress_vacuum_index_vacuums", "pg_stat_progress_vacuum_max_dead_tuples",
        "pg_stat_progress_vacuum_num_dead_tuples",
    ]

    @Test func everyMetricIsSeenOnTheInstalledVersion() async throws {
        try await expectEverything(programs: nil, extensions: true)
    }

    @Test(
        .enabled(if: !OtherVersions.programs.isEmpty, "needs \(OtherVersions.variables.joined(separator: " or "))"),
        arguments: OtherVersions.programs)
    func everyMetricIsSeenOnOtherVersions(programs: String) async throws {
        try await expectEverything(
            programs: programs, extensions: Files.exists(programs + "/../lib/pg_stat_statements.so"))
    }

    private func expectEverything(programs: String?, extensions: Bool) async throws {
        let busy = try await BusyPostgres.start(programs: programs, extensions: extensions)
        let app = try await page(of: busy.primary.url(database: "app"))
        let primary = try await page(of: busy.primary.url())
        let replica = try await page(of: busy.replica.url())
        let major = Int(try await busy.primary.sql("SHOW server_version_num").dropLast()).map { $0 / 10_000 } ?? 0
        let seen = Set([app, primary, replica].flatMap { $0.types.keys })
        var missing: [String] = []
        for collector in PostgresCatalogue.all where collector.since <= major {
            if !extensions && ["stat_statements", "buffercache_summary"].contains(collector.name) { continue }
            missing += collector.serves.map(\.metric.name).filter { !Self.neverSeen.contains($0) && !seen.contains($0) }
        }
        #expect(missing == (major < 14 ? ["pg_stat_database_active_time_seconds_total"] : []), "version \(major)")
        #expect(primary.value("pg_replication_is_replica") == 0)
        #expect(replica.value("pg_replication_is_replica") == 1)
        #expect(primary.value(#"pg_locks_count{datname="app",mode="accessexclusivelock"}"#) ?? 0 >= 1)
        #expect(app.value(#"pg_stat_user_tables_n_tup_upd{datname="app",relname="item",schemaname="public"}"#) == 99)
        #expect(primary.value("pg_stat_archiver_archived_count") ?? 0 > 0)
        #expect(
            primary.value(#"pg_replication_slots_slot_is_active{slot_name="replica_slot",slot_type="physical"}"#) == 1)
        #expect(primary.value(#"pg_replication_slots_active{slot_name="idle_slot"}"#) == 0)
        #expect(replica.series("pg_stat_wal_receiver_flushed_lsn").count == 1)
        #expect(primary.value("pg_settings_statement_timeout_seconds") == 0)
        #expect(replica.value("pg_settings_in_hot_standby") == 1)
        try await expectViews(busy.primary, try await page(of: busy.primary.url(database: "app")), "app")
        await busy.stop()
    }

    private func page(of address: String) async throws -> Page {
        let target = try PostgresTarget(Self.everything(address))
        let page = try await scrape(target)
        for failed in page.values where failed.key.hasPrefix("pg_scrape_collector_success") && failed.value == 0 {
            // What is not installed costs only its own collector.
            #expect(failed.key.contains("stat_statements") || failed.key.contains("buffercache_summary"))
        }
        #expect(page.duplicates == 0)
        await target.close()
        return page
    }

    /// Tables are read without the views; what is served must be what the views say.
    private func expectViews(_ server: LocalPostgres, _ page: Page, _ database: String) async throws {
        let tables = [
            (
                "pg_stat_user_tables",
                "seq_scan seq_tup_read idx_scan idx_tup_fetch n_tup_ins n_tup_upd n_tup_del "
                    + "n_tup_hot_upd n_live_tup n_dead_tup n_mod_since_analyze vacuum_count analyze_count"
            ),
            (
                "pg_statio_user_tables",
                "heap_blks_read heap_blks_hit idx_blks_read idx_blks_hit toast_blks_read "
                    + "toast_blks_hit tidx_blks_read tidx_blks_hit"
            ),
        ]
        for (view, columns) in tables {
            for column in columns.split(separator: " ") {
                let rows = try await server.sql(
                    "SELECT schemaname, relname, coalesce(\(column), 0) FROM \(view)", database: database)
                for row in rows.split(separator: "\n") {
                    let cells = row.split(separator: "|")
                    let name =
                        "\(view)_\(column.replacing("_blks_", with: view.contains("statio") ? "_blocks_" : "_blks_"))"
                    let series = #"\#(name){datname="\#(database)",relname="\#(cells[1])",schemaname="\#(cells[0])"}"#
                    #expect(page.value(series) == Double(cells[2]), "\(series)")
                }
                #expect(page.series("\(view)_").count > 0)
            }
        }
    }
}
