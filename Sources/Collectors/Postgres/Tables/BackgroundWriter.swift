import Metrics

extension PostgresCollector {
    /// Seven of these left `pg_stat_bgwriter` with version 17. They are still served: what the checkpointer did is in
    /// `pg_stat_checkpointer`, and what backends wrote themselves is in `pg_stat_io`.
    static let backgroundWriter = PostgresCollector(
        "stat_bgwriter", on: true,
        PostgresTable(
            from: PostgresSQL("pg_catalog.pg_stat_bgwriter b").but(
                since: 17,
                "pg_catalog.pg_stat_bgwriter b, pg_catalog.pg_stat_checkpointer c, \(ownWrites("coalesce(writes, 0) + coalesce(extends, 0)")) w"
            ).but(
                since: 18,
                "pg_catalog.pg_stat_bgwriter b, pg_catalog.pg_stat_checkpointer c, "
                    + ownWrites(
                        "(coalesce(write_bytes, 0) + coalesce(extend_bytes, 0)) / pg_catalog.current_setting('block_size')::bigint"
                    ) + " w"),
            PostgresSeries([
                counter(
                    "checkpoints_timed", "Number of scheduled checkpoints that have been performed",
                    PostgresSQL("b.checkpoints_timed").but(since: 17, "c.num_timed")),
                counter(
                    "checkpoints_req", "Number of requested checkpoints that have been performed",
                    PostgresSQL("b.checkpoints_req").but(since: 17, "c.num_requested")),
                counter(
                    "checkpoint_write_time",
                    "Total amount of time that has been spent in the portion of checkpoint processing where files are "
                        + "written to disk, in milliseconds",
                    PostgresSQL("b.checkpoint_write_time").but(since: 17, "c.write_time")),
                counter(
                    "checkpoint_sync_time",
                    "Total amount of time that has been spent in the portion of checkpoint processing where files are "
                        + "synchronized to disk, in milliseconds",
                    PostgresSQL("b.checkpoint_sync_time").but(since: 17, "c.sync_time")),
                counter(
                    "buffers_checkpoint", "Number of buffers written during checkpoints",
                    PostgresSQL("b.buffers_checkpoint").but(since: 17, "c.buffers_written")),
                counter("buffers_clean", "Number of buffers written by the background writer", "b.buffers_clean"),
                counter(
                    "maxwritten_clean",
                    "Number of times the background writer stopped a cleaning scan because it had written too many buffers",
                    "b.maxwritten_clean"),
                counter(
                    "buffers_backend", "Number of buffers written directly by a backend",
                    PostgresSQL("b.buffers_backend").but(since: 17, "w.buffers")),
                counter(
                    "buffers_backend_fsync",
                    "Number of times a backend had to execute its own fsync call (normally the background writer "
                        + "handles those even when the backend does its own write)",
                    PostgresSQL("b.buffers_backend_fsync").but(since: 17, "w.fsyncs")),
                counter("buffers_alloc", "Number of buffers allocated", "b.buffers_alloc"),
                counter(
                    "stats_reset", "Time at which these statistics were last reset",
                    "pg_catalog.date_part('epoch', b.stats_reset)", .wholeSeconds),
            ])))

    private static func counter(
        _ name: String, _ help: String, _ sql: PostgresSQL, _ reading: PostgresValue.Reading = .plain
    ) -> PostgresValue {
        PostgresValue(.counter("pg_stat_bgwriter_\(name)_total", help), sql, reading)
    }

    /// Buffers written and files synced by everybody but the two processes whose work it is.
    private static func ownWrites(_ buffers: String) -> String {
        """
        (SELECT pg_catalog.sum(\(buffers)) AS buffers, pg_catalog.sum(fsyncs) AS fsyncs FROM pg_catalog.pg_stat_io \
        WHERE object = 'relation' AND backend_type NOT IN ('checkpointer', 'background writer'))
        """
    }

    static let checkpointer = PostgresCollector(
        "stat_checkpointer", on: false, since: 17,
        PostgresTable(
            from: "pg_catalog.pg_stat_checkpointer",
            PostgresSeries([
                checkpoints("num_timed", "Number of scheduled checkpoints due to timeout"),
                checkpoints("num_requested", "Number of requested checkpoints that have been performed"),
                checkpoints(
                    "restartpoints_timed",
                    "Number of scheduled restartpoints due to timeout or after a failed attempt to perform it"),
                checkpoints("restartpoints_req", "Number of requested restartpoints"),
                checkpoints("restartpoints_done", "Number of restartpoints that have been performed"),
                checkpoints(
                    "write_time",
                    "Total amount of time that has been spent in the portion of processing checkpoints and "
                        + "restartpoints where files are written to disk, in milliseconds"),
                checkpoints(
                    "sync_time",
                    "Total amount of time that has been spent in the portion of processing checkpoints and "
                        + "restartpoints where files are synchronized to disk, in milliseconds"),
                checkpoints("buffers_written", "Number of buffers written during checkpoints and restartpoints"),
                PostgresValue(
                    .counter(
                        "pg_stat_checkpointer_stats_reset_total", "Time at which these statistics were last reset"),
                    "pg_catalog.date_part('epoch', stats_reset)", .wholeSeconds),
            ])))

    private static func checkpoints(_ column: String, _ help: String) -> PostgresValue {
        PostgresValue(.counter("pg_stat_checkpointer_\(column)_total", help), PostgresSQL(stringLiteral: column))
    }
}
