import Metrics

extension PostgresCollector {
    /// Of a table, with the database that only names it.
    private static let tableLabels = [
        PostgresLabel("datname", "pg_catalog.current_database()"), PostgresLabel("schemaname", "nspname"),
        PostgresLabel("relname"),
    ]

    /// What `pg_stat_user_tables` and `pg_statio_user_tables` are made of, as one source: together the two views cost the
    /// server twice as much. Indexes are summed up once for all tables and not for each.
    private static let relations = PostgresSQL(
        stringLiteral: relations(kinds: "'r', 't', 'm'")
    ).but(since: 14, relations(kinds: "'r', 't', 'm', 'p'"))

    private static func relations(kinds: String) -> String {
        """
        pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN sums i ON i.indrelid = c.oid LEFT JOIN sums x ON x.indrelid = c.reltoastrelid \
        WHERE c.relkind IN (\(kinds)) AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
        AND n.nspname !~ '^pg_toast'
        """
    }

    /// By table, for all tables that the server did not come with.
    private static let indexSums = """
        WITH sums AS MATERIALIZED (SELECT indrelid, pg_catalog.sum(pg_catalog.pg_stat_get_numscans(indexrelid)) AS scans, \
        pg_catalog.sum(pg_catalog.pg_stat_get_tuples_fetched(indexrelid)) AS fetched, \
        pg_catalog.sum(pg_catalog.pg_stat_get_blocks_fetched(indexrelid)) AS blocks, pg_catalog.sum(pg_catalog.pg_stat_get_blocks_hit(indexrelid)) AS hits \
        FROM pg_catalog.pg_index WHERE indrelid >= 16384 GROUP BY indrelid)
        """

    private static let companions = PostgresCompanions(
        name: "relations", members: [("stat_user_tables", [tableSeries]), ("statio_user_tables", [ioSeries])])

    static let userTablesTable = PostgresTable(
        with: indexSums, from: relations, companions: companions, extras: ["c.relpages"], tableSeries)

    static let ioUserTables = PostgresCollector(
        "statio_user_tables", on: true, perDatabase: true, serves: ioUserTablesTable.serves
    ) { TableReader(name: "statio_user_tables", ioUserTablesTable, isRanked: true) }

    private static let ioUserTablesTable = PostgresTable(
        with: indexSums, from: relations, companions: companions, extras: ["c.relpages"], ioSeries)

    private static let tableSeries = PostgresSeries(
        tableLabels,
        [
            tables("seq_scan", .counter, "Number of sequential scans initiated on this table", "numscans"),
            tables("seq_tup_read", .counter, "Number of live rows fetched by sequential scans", "tuples_returned"),
            PostgresValue(
                .counter("pg_stat_user_tables_idx_scan", "Number of index scans initiated on this table"), "i.scans"),
            PostgresValue(
                .counter("pg_stat_user_tables_idx_tup_fetch", "Number of live rows fetched by index scans"),
                "i.fetched + pg_catalog.pg_stat_get_tuples_fetched(c.oid)"),
            tables("n_tup_ins", .counter, "Number of rows inserted", "tuples_inserted"),
            tables("n_tup_upd", .counter, "Number of rows updated", "tuples_updated"),
            tables("n_tup_del", .counter, "Number of rows deleted", "tuples_deleted"),
            tables(
                "n_tup_hot_upd", .counter,
                "Number of rows HOT updated (i.e., with no separate index update required)", "tuples_hot_updated"),
            tables("n_live_tup", .gauge, "Estimated number of live rows", "live_tuples"),
            tables("n_dead_tup", .gauge, "Estimated number of dead rows", "dead_tuples"),
            tables(
                "n_mod_since_analyze", .gauge, "Estimated number of rows changed since last analyze",
                "mod_since_analyze"),
            times(
                "last_vacuum", "Last time at which this table was manually vacuumed (not counting VACUUM FULL)"),
            times("last_autovacuum", "Last time at which this table was vacuumed by the autovacuum daemon"),
            times("last_analyze", "Last time at which this table was manually analyzed"),
            times("last_autoanalyze", "Last time at which this table was analyzed by the autovacuum daemon"),
            tables(
                "vacuum_count", .counter,
                "Number of times this table has been manually vacuumed (not counting VACUUM FULL)", "vacuum_count"),
            tables(
                "autovacuum_count", .counter,
                "Number of times this table has been vacuumed by the autovacuum daemon", "autovacuum_count"),
            tables(
                "analyze_count", .counter, "Number of times this table has been manually analyzed", "analyze_count"),
            tables(
                "autoanalyze_count", .counter,
                "Number of times this table has been analyzed by the autovacuum daemon", "autoanalyze_count"),
        ])

    private static func tables(
        _ column: String, _ kind: Metric.Kind, _ help: String, _ function: String
    ) -> PostgresValue {
        PostgresValue(
            Metric("pg_stat_user_tables_\(column)", kind, help),
            PostgresSQL(stringLiteral: "pg_catalog.pg_stat_get_\(function)(c.oid)"))
    }

    private static func times(_ column: String, _ help: String) -> PostgresValue {
        PostgresValue(
            .gauge("pg_stat_user_tables_\(column)", help),
            PostgresSQL(stringLiteral: "pg_catalog.date_part('epoch', pg_catalog.pg_stat_get_\(column)_time(c.oid))"),
            .wholeSeconds)
    }

    private static let ioSeries = PostgresSeries(
        tableLabels,
        [
            // A partitioned table has no blocks, and `pg_statio_user_tables` no row for it.
            PostgresValue(
                .counter("pg_statio_user_tables_heap_blocks_read", "Number of disk blocks read from this table"),
                "CASE WHEN c.relkind <> 'p' THEN pg_catalog.pg_stat_get_blocks_fetched(c.oid) - pg_catalog.pg_stat_get_blocks_hit(c.oid) END",
                whenNull: .dropsRow),
            blocks(
                "heap_blocks_hit", "Number of buffer hits in this table", "pg_catalog.pg_stat_get_blocks_hit(c.oid)"),
            blocks(
                "idx_blocks_read", "Number of disk blocks read from all indexes on this table", "i.blocks - i.hits"),
            blocks("idx_blocks_hit", "Number of buffer hits in all indexes on this table", "i.hits"),
            blocks(
                "toast_blocks_read", "Number of disk blocks read from this table's TOAST table (if any)",
                "pg_catalog.pg_stat_get_blocks_fetched(c.reltoastrelid) - pg_catalog.pg_stat_get_blocks_hit(c.reltoastrelid)"
            ),
            blocks(
                "toast_blocks_hit", "Number of buffer hits in this table's TOAST table (if any)",
                "pg_catalog.pg_stat_get_blocks_hit(c.reltoastrelid)"),
            blocks(
                "tidx_blocks_read", "Number of disk blocks read from this table's TOAST table indexes (if any)",
                "x.blocks - x.hits"),
            blocks(
                "tidx_blocks_hit", "Number of buffer hits in this table's TOAST table indexes (if any)", "x.hits"),
        ])

    private static func blocks(_ name: String, _ help: String, _ sql: PostgresSQL) -> PostgresValue {
        PostgresValue(.counter("pg_statio_user_tables_\(name)", help), sql)
    }

    /// Its origin names no database. Ours does when several are watched, because the same names occur in each.
    static let ioUserIndexes = PostgresCollector(
        "statio_user_indexes", on: false, perDatabase: true,
        PostgresTable(
            from: "pg_catalog.pg_statio_user_indexes",
            PostgresSeries(
                [
                    PostgresLabel("datname", "pg_catalog.current_database()", optional: true),
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
            from: "pg_catalog.pg_stat_activity WHERE query LIKE 'autovacuum:%'",
            PostgresSeries(
                [PostgresLabel("relname", "pg_catalog.split_part(query, '.', 2)", whenNull: "unknown")],
                [
                    PostgresValue(
                        .gauge(
                            "pg_stat_activity_autovacuum_timestamp_seconds",
                            "Start timestamp of the vacuum process in seconds"),
                        "pg_catalog.date_part('epoch', xact_start)")
                ])))
}
