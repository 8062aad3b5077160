import Metrics

/// Names that postgres_exporter gave up, served beside their successors when `compat.aliases` is on.
///
/// All series of statements then carry `server="host:port"` too, as those of 0.11 did: a label more breaks neither the
/// selectors of today's dashboards nor their sums, whereas the same series with and without it would count twice.
enum PostgresAliases {
    private static let names: KeyValuePairs<String, String> = [
        "pg_replication_lag": "pg_replication_lag_seconds",
        "pg_database_size": "pg_database_size_bytes",
        "pg_stat_bgwriter_checkpoints_timed": "pg_stat_bgwriter_checkpoints_timed_total",
        "pg_stat_bgwriter_checkpoints_req": "pg_stat_bgwriter_checkpoints_req_total",
        "pg_stat_bgwriter_checkpoint_write_time": "pg_stat_bgwriter_checkpoint_write_time_total",
        "pg_stat_bgwriter_checkpoint_sync_time": "pg_stat_bgwriter_checkpoint_sync_time_total",
        "pg_stat_bgwriter_buffers_checkpoint": "pg_stat_bgwriter_buffers_checkpoint_total",
        "pg_stat_bgwriter_buffers_backend": "pg_stat_bgwriter_buffers_backend_total",
        "pg_stat_bgwriter_buffers_backend_fsync": "pg_stat_bgwriter_buffers_backend_fsync_total",
        "pg_stat_bgwriter_buffers_clean": "pg_stat_bgwriter_buffers_clean_total",
        "pg_stat_bgwriter_maxwritten_clean": "pg_stat_bgwriter_maxwritten_clean_total",
        "pg_stat_bgwriter_buffers_alloc": "pg_stat_bgwriter_buffers_alloc_total",
        "pg_stat_bgwriter_stats_reset": "pg_stat_bgwriter_stats_reset_total",
        "pg_statio_user_tables_heap_blks_read": "pg_statio_user_tables_heap_blocks_read",
        "pg_statio_user_tables_heap_blks_hit": "pg_statio_user_tables_heap_blocks_hit",
        "pg_statio_user_tables_idx_blks_read": "pg_statio_user_tables_idx_blocks_read",
        "pg_statio_user_tables_idx_blks_hit": "pg_statio_user_tables_idx_blocks_hit",
        "pg_statio_user_tables_toast_blks_read": "pg_statio_user_tables_toast_blocks_read",
        "pg_statio_user_tables_toast_blks_hit": "pg_statio_user_tables_toast_blocks_hit",
        "pg_statio_user_tables_tidx_blks_read": "pg_statio_user_tables_tidx_blocks_read",
        "pg_statio_user_tables_tidx_blks_hit": "pg_statio_user_tables_tidx_blocks_hit",
        "pg_replication_slot_slot_current_wal_lsn": "pg_replication_slots_slot_current_wal_lsn",
        "pg_replication_slot_slot_confirmed_flush_lsn": "pg_replication_slots_slot_confirmed_flush_lsn",
        "pg_replication_slot_slot_is_active": "pg_replication_slots_slot_is_active",
        "pg_replication_slot_safe_wal_size_bytes": "pg_replication_slots_safe_wal_size_bytes",
        "pg_replication_slot_wal_status": "pg_replication_slots_wal_status",
    ]

    /// Collectors that had another name in `pg_scrape_collector_success`.
    static let collectors = ["stat_bgwriter": "bgwriter"]

    /// The old metric for each that has one.
    private static let metrics: [ObjectIdentifier: Metric] = {
        let wanted = Dictionary(uniqueKeysWithValues: names.map { ($0.value, $0.key) })
        var metrics: [ObjectIdentifier: Metric] = [:]
        for served in PostgresCatalogue.all.flatMap(\.serves) {
            guard let old = wanted[served.metric.name] else { continue }
            metrics[ObjectIdentifier(served.metric)] = Metric(old, served.metric.kind, served.metric.help)
        }
        return metrics
    }()

    /// The families under their old names, of those that have one.
    static func families(of families: [Family]) -> [Family] {
        families.compactMap { family in
            metrics[ObjectIdentifier(family.metric)].map { Family($0, family.samples) }
        }
    }
}
