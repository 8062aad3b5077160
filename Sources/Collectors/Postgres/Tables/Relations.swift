import Metrics

extension PostgresCollector {
    /// Of a table, with the database that only names it.
    private static let tableLabels = [
        PostgresLabel("datname", "current_database()"), PostgresLabel("schemaname"), PostgresLabel("relname"),
    ]

    static let userTablesTable = PostgresTable(
        from: "pg_stat_user_tables",
        PostgresSeries(
            tableLabels,
            [
                tables("seq_scan", .counter, "Number of sequential scans initiated on this table"),
                tables("seq_tup_read", .counter, "Number of live rows fetched by sequential scans"),
                tables("idx_scan", .counter, "Number of index scans initiated on this table"),
                tables("idx_tup_fetch", .counter, "Number of live rows fetched by index scans"),
                tables("n_tup_ins", .counter, "Number of rows inserted"),
                tables("n_tup_upd", .counter, "Number of rows updated"),
                tables("n_tup_del", .counter, "Number of rows deleted"),
                tables(
                    "n_tup_hot_upd", .counter,
                    "Number of rows HOT updated (i.e., with no separate index update required)"),
                tables("n_live_tup", .gauge, "Estimated number of live rows"),
                tables("n_dead_tup", .gauge, "Estimated number of dead rows"),
                tables("n_mod_since_analyze", .gauge, "Estimated number of rows changed since last analyze"),
                times(
                    "last_vacuum",
                    "Last time at which this table was manually vacuumed (not counting VACUUM FULL)"),
                times("last_autovacuum", "Last time at which this table was vacuumed by the autovacuum daemon"),
                times("last_analyze", "Last time at which this table was manually analyzed"),
                times("last_autoanalyze", "Last time at which this table was analyzed by the autovacuum daemon"),
                tables(
                    "vacuum_count", .counter,
                    "Number of times this table has been manually vacuumed (not counting VACUUM FULL)"),
                tables(
                    "autovacuum_count", .counter,
                    "Number of times this table has been vacuumed by the autovacuum daemon"),
                tables("analyze_count", .counter, "Number of times this table has been manually analyzed"),
                tables(
                    "autoanalyze_count", .counter,
                    "Number of times this table has been analyzed by the autovacuum daemon"),
            ]))

    private static func tables(_ column: String, _ kind: Metric.Kind, _ help: String) -> PostgresValue {
        PostgresValue(Metric("pg_stat_user_tables_\(column)", kind, help), PostgresSQL(stringLiteral: column))
    }

    private static func times(_ column: String, _ help: String) -> PostgresValue {
        PostgresValue(
            .gauge("pg_stat_user_tables_\(column)", help), PostgresSQL(stringLiteral: "date_part('epoch', \(column))"),
            .wholeSeconds)
    }

    static let ioUserTables = PostgresCollector(
        "statio_user_tables", on: true, perDatabase: true,
        PostgresTable(
            from: "pg_statio_user_tables",
            PostgresSeries(
                tableLabels,
                [
                    blocks("heap_blocks_read", "heap_blks_read", "Number of disk blocks read from this table"),
                    blocks("heap_blocks_hit", "heap_blks_hit", "Number of buffer hits in this table"),
                    blocks(
                        "idx_blocks_read", "idx_blks_read",
                        "Number of disk blocks read from all indexes on this table"),
                    blocks("idx_blocks_hit", "idx_blks_hit", "Number of buffer hits in all indexes on this table"),
                    blocks(
                        "toast_blocks_read", "toast_blks_read",
                        "Number of disk blocks read from this table's TOAST table (if any)"),
                    blocks(
                        "toast_blocks_hit", "toast_blks_hit",
                        "Number of buffer hits in this table's TOAST table (if any)"),
                    blocks(
                        "tidx_blocks_read", "tidx_blks_read",
                        "Number of disk blocks read from this table's TOAST table indexes (if any)"),
                    blocks(
                        "tidx_blocks_hit", "tidx_blks_hit",
                        "Number of buffer hits in this table's TOAST table indexes (if any)"),
                ])))

    private static func blocks(_ name: String, _ column: String, _ help: String) -> PostgresValue {
        PostgresValue(.counter("pg_statio_user_tables_\(name)", help), PostgresSQL(stringLiteral: column))
    }

    /// Its origin names no database. Ours does when several are watched, because the same names occur in each.
    static let ioUserIndexes = PostgresCollector(
        "statio_user_indexes", on: false, perDatabase: true,
        PostgresTable(
            from: "pg_statio_user_indexes",
            PostgresSeries(
                [
                    PostgresLabel("datname", "current_database()", optional: true),
                    PostgresLabel("schemaname", whenNull: "unknown"), PostgresLabel("relname", whenNull: "unknown"),
                    PostgresLabel("indexrelname", whenNull: "unknown"),
                ],
                [
                    PostgresValue(
                        .counter(
                            "pg_statio_user_indexes_idx_blks_read_total",
                            "Number of disk blocks read from this index"), "idx_blks_read"),
                    PostgresValue(
                        .counter(
                            "pg_statio_user_indexes_idx_blks_hit_total", "Number of buffer hits in this index"),
                        "idx_blks_hit"),
                ])))

    static let autovacuum = PostgresCollector(
        "stat_activity_autovacuum", on: false,
        PostgresTable(
            from: "pg_stat_activity WHERE query LIKE 'autovacuum:%'",
            PostgresSeries(
                [PostgresLabel("relname", "split_part(query, '.', 2)", whenNull: "unknown")],
                [
                    PostgresValue(
                        .gauge(
                            "pg_stat_activity_autovacuum_timestamp_seconds",
                            "Start timestamp of the vacuum process in seconds"), "date_part('epoch', xact_start)")
                ])))
}
