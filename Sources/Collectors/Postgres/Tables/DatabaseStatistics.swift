import Metrics

extension PostgresTable {
    /// `pg_stat_database`, and `pg_stat_database_conflicts`, whose rows the same statement reads.
    ///
    /// With the old names on, the row of shared objects (`datid="0"`) and the columns that postgres_exporter 0.11 served
    /// untyped are there too.
    static let statDatabase = PostgresTable(
        from: "pg_catalog.pg_stat_database",
        PostgresSeries(
            [PostgresLabel("datid", needed: true), PostgresLabel("datname", needed: true)],
            [
                PostgresValue(
                    .gauge(
                        "pg_stat_database_numbackends",
                        "Number of backends currently connected to this database. This is the only column in this "
                            + "view that returns a value reflecting current state; all other columns return the "
                            + "accumulated values since the last reset."),
                    "numbackends", whenNull: .dropsRowOrNaN),
                column("xact_commit", "Number of transactions in this database that have been committed"),
                column("xact_rollback", "Number of transactions in this database that have been rolled back"),
                column("blks_read", "Number of disk blocks read in this database"),
                column(
                    "blks_hit",
                    "Number of times disk blocks were found already in the buffer cache, so that a read was not "
                        + "necessary (this only includes hits in the PostgreSQL buffer cache, not the operating "
                        + "system's file system cache)"),
                column("tup_returned", "Number of rows returned by queries in this database"),
                column("tup_fetched", "Number of rows fetched by queries in this database"),
                column("tup_inserted", "Number of rows inserted by queries in this database"),
                column("tup_updated", "Number of rows updated by queries in this database"),
                column("tup_deleted", "Number of rows deleted by queries in this database"),
                column(
                    "conflicts",
                    "Number of queries canceled due to conflicts with recovery in this database. (Conflicts occur "
                        + "only on standby servers; see pg_stat_database_conflicts for details.)"),
                column(
                    "temp_files",
                    "Number of temporary files created by queries in this database. All temporary files are "
                        + "counted, regardless of why the temporary file was created (e.g., sorting or hashing), "
                        + "and regardless of the log_temp_files setting."),
                column(
                    "temp_bytes",
                    "Total amount of data written to temporary files by queries in this database. All temporary "
                        + "files are counted, regardless of why the temporary file was created, and regardless of "
                        + "the log_temp_files setting."),
                column("deadlocks", "Number of deadlocks detected in this database"),
                column(
                    "blk_read_time",
                    "Time spent reading data file blocks by backends in this database, in milliseconds"),
                column(
                    "blk_write_time",
                    "Time spent writing data file blocks by backends in this database, in milliseconds"),
                PostgresValue(
                    .counter("pg_stat_database_stats_reset", "Time at which these statistics were last reset"),
                    "pg_catalog.date_part('epoch', stats_reset)", whenNull: .zeroOrNaN, .wholeSeconds),
                PostgresValue(
                    .counter(
                        "pg_stat_database_active_time_seconds_total",
                        "Time spent executing SQL statements in this database, in seconds"),
                    PostgresSQL("active_time").since(14), whenNull: .dropsRowOrNaN, .milliseconds),
                untyped("active_time", since: 14),
                untyped("session_time", since: 14),
                untyped("idle_in_transaction_time", since: 14),
                untyped("sessions", since: 14),
                untyped("sessions_abandoned", since: 14),
                untyped("sessions_fatal", since: 14),
                untyped("sessions_killed", since: 14),
                untyped("checksum_failures"),
                untyped("checksum_last_failure", "pg_catalog.date_part('epoch', checksum_last_failure)", .wholeSeconds),
                untyped("parallel_workers_to_launch", since: 18),
                untyped("parallel_workers_launched", since: 18),
            ]),
        PostgresSeries(
            [PostgresLabel("datid", needed: true), PostgresLabel("datname", needed: true)], hasServerLabel: true,
            [
                conflict("tablespace", "dropped tablespaces"),
                conflict("lock", "lock timeouts"),
                conflict("snapshot", "old snapshots"),
                conflict("bufferpin", "pinned buffers"),
                PostgresValue(
                    .counter(
                        "pg_stat_database_conflicts_confl_deadlock",
                        "Number of queries in this database that have been canceled due to deadlocks"),
                    "CASE WHEN datname IS NOT NULL THEN pg_catalog.pg_stat_get_db_conflict_startup_deadlock(datid) END",
                    whenNull: .absent),
            ]))

    private static func column(_ name: String, _ help: String) -> PostgresValue {
        PostgresValue(
            .counter("pg_stat_database_\(name)", help), PostgresSQL(stringLiteral: name), whenNull: .dropsRowOrNaN)
    }

    private static func untyped(
        _ name: String, _ sql: String? = nil, since: Int = 13, _ reading: PostgresValue.Reading = .plain
    ) -> PostgresValue {
        PostgresValue(
            Metric("pg_stat_database_\(name)", .untyped, "Unknown metric from pg_stat_database"),
            PostgresSQL(stringLiteral: sql ?? name).since(since), whenNull: .omitted, reading, onlyAlias: true)
    }

    private static func conflict(_ name: String, _ reason: String) -> PostgresValue {
        PostgresValue(
            .counter(
                "pg_stat_database_conflicts_confl_\(name)",
                "Number of queries in this database that have been canceled due to \(reason)"),
            PostgresSQL(
                stringLiteral:
                    "CASE WHEN datname IS NOT NULL THEN pg_catalog.pg_stat_get_db_conflict_\(name)(datid) END"),
            whenNull: .absent)
    }
}

extension PostgresCollector {
    static let statDatabase = PostgresCollector("stat_database", on: true, PostgresTable.statDatabase)

    static let databaseWraparound = PostgresCollector(
        "database_wraparound", on: false,
        PostgresTable(
            from: "pg_catalog.pg_database WHERE datallowconn",
            PostgresSeries(
                [PostgresLabel("datname", whenNull: "unknown")],
                [
                    PostgresValue(
                        .gauge(
                            "pg_database_wraparound_age_datfrozenxid_seconds",
                            "Age of the oldest transaction ID that has not been frozen."),
                        "pg_catalog.age(datfrozenxid)"),
                    PostgresValue(
                        .gauge(
                            "pg_database_wraparound_age_datminmxid_seconds",
                            "Age of the oldest multi-transaction ID that has been replaced with a transaction ID."),
                        "pg_catalog.mxid_age(datminmxid)"),
                ])))

    static let roles = PostgresCollector(
        "roles", on: true,
        PostgresTable(
            from: "pg_catalog.pg_roles",
            PostgresSeries(
                [PostgresLabel("rolname")],
                [
                    PostgresValue(
                        .gauge("pg_roles_connection_limit", "Connection limit set for the role"), "rolconnlimit")
                ])))
}
