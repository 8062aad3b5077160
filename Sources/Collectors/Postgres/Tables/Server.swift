import Metrics

// Collectors that serve one row for the whole server.

extension PostgresCollector {
    static let bufferCacheSummary = PostgresCollector(
        "buffercache_summary", on: false, since: 16,
        PostgresTable(
            from: "pg_buffercache_summary()", fromExtension: "pg_buffercache",
            PostgresSeries([
                .init(.gauge("pg_buffercache_summary_buffers_used", "Number of used shared buffers"), "buffers_used"),
                .init(
                    .gauge("pg_buffercache_summary_buffers_unused", "Number of unused shared buffers"), "buffers_unused"
                ),
                .init(
                    .gauge("pg_buffercache_summary_buffers_dirty", "Number of dirty shared buffers"), "buffers_dirty"),
                .init(
                    .gauge("pg_buffercache_summary_buffers_pinned", "Number of pinned shared buffers"), "buffers_pinned"
                ),
                .init(
                    .gauge("pg_buffercache_summary_usagecount_avg", "Average usage count of used shared buffers"),
                    "usagecount_avg"),
            ])))

    /// Names say `timestamp`; the value is an age, as it is at its origin.
    static let longRunningTransactions = PostgresCollector(
        "long_running_transactions", on: false,
        PostgresTable(
            from: """
                pg_catalog.pg_stat_activity WHERE state IS DISTINCT FROM 'idle' AND query NOT LIKE 'autovacuum:%' \
                AND xact_start IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()
                """,
            PostgresSeries([
                .init(
                    .gauge("pg_long_running_transactions", "Current number of long running transactions"),
                    "pg_catalog.count(*)"),
                .init(
                    .gauge(
                        "pg_long_running_transactions_oldest_timestamp_seconds",
                        "The current maximum transaction age in seconds"),
                    "pg_catalog.max(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - xact_start))"),
            ])))

    static let postmaster = PostgresCollector(
        "postmaster", on: false,
        PostgresTable(
            from: "pg_catalog.pg_postmaster_start_time() AS started",
            PostgresSeries([
                .init(
                    .gauge("pg_postmaster_start_time_seconds", "Time at which postmaster started"),
                    "pg_catalog.date_part('epoch', started)")
            ])))

    static let replication = PostgresCollector(
        "replication", on: true,
        PostgresTable(
            from: "pg_catalog.pg_is_in_recovery() AS replica",
            PostgresSeries([
                .init(
                    .gauge("pg_replication_lag_seconds", "Replication lag behind master in seconds"),
                    """
                    CASE WHEN NOT replica OR pg_catalog.pg_last_wal_receive_lsn() = pg_catalog.pg_last_wal_replay_lsn() THEN 0 \
                    ELSE greatest(0, pg_catalog.date_part('epoch', pg_catalog.now() - pg_catalog.pg_last_xact_replay_timestamp())) END
                    """),
                .init(.gauge("pg_replication_is_replica", "Indicates if the server is a replica"), "replica"),
                .init(
                    .gauge("pg_replication_last_replay_seconds", "Age of last replay in seconds"),
                    "greatest(0, pg_catalog.date_part('epoch', pg_catalog.now() - pg_catalog.pg_last_xact_replay_timestamp()))"
                ),
            ])))

    static let archiver = PostgresCollector(
        "stat_archiver", on: true,
        PostgresTable(
            from: "pg_catalog.pg_stat_archiver",
            PostgresSeries([
                .init(
                    .counter(
                        "pg_stat_archiver_archived_count", "Number of WAL files that have been successfully archived"),
                    "archived_count", whenNull: .omitted),
                .init(
                    .counter("pg_stat_archiver_failed_count", "Number of failed attempts for archiving WAL files"),
                    "failed_count", whenNull: .omitted),
                .init(
                    .gauge(
                        "pg_stat_archiver_last_archive_age",
                        "Time in seconds since last WAL segment was successfully archived"),
                    "pg_catalog.date_part('epoch', pg_catalog.now() - last_archived_time)", whenNull: .omitted),
            ])))

    /// Needs `pg_monitor`.
    static let wal = PostgresCollector(
        "wal", on: true,
        PostgresTable(
            from: "pg_catalog.pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'",
            PostgresSeries([
                .init(.gauge("pg_wal_segments", "Number of WAL segments"), "pg_catalog.count(*)"),
                .init(.gauge("pg_wal_size_bytes", "Total size of WAL segments"), "pg_catalog.sum(size)"),
            ])))

    /// Only servers older than 10 have locations; it is here so that its name stays known.
    static let xlogLocation = PostgresCollector(
        "xlog_location", on: false,
        PostgresTable(
            from: PostgresSQL.never,
            PostgresSeries([
                .init(
                    .gauge(
                        "pg_xlog_location_bytes",
                        "Postgres LSN (log sequence number) being generated on primary or replayed on replica "
                            + "(truncated to low 52 bits)"),
                    PostgresSQL.never)
            ])))
}
