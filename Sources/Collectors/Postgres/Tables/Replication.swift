import Metrics

extension PostgresCollector {
    private static let walPosition =
        "CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_wal_receive_lsn() ELSE pg_catalog.pg_current_wal_lsn() END"

    static let replicationSlots = PostgresCollector(
        "replication_slots", on: true,
        PostgresTable(
            from: PostgresSQL(
                stringLiteral: "pg_catalog.pg_replication_slots, (SELECT \(walPosition) AS lsn OFFSET 0) AS position"),
            PostgresSeries(
                [PostgresLabel("slot_name"), PostgresLabel("database")],
                [
                    PostgresValue(
                        .gauge("pg_replication_slots_active", "Flag indicating if the slot is active"), "active",
                        whenNull: .omitted),
                    PostgresValue(
                        .gauge("pg_replication_slots_pg_wal_lsn_diff", "Replication lag in bytes"),
                        "pg_catalog.pg_wal_lsn_diff(lsn, restart_lsn)", whenNull: .omitted),
                    PostgresValue(
                        Metric(
                            "pg_replication_slots_pg_xlog_location_diff", .untyped,
                            "Unknown metric from pg_replication_slots"), PostgresSQL.never),
                ]),
            PostgresSeries(
                [PostgresLabel("slot_name", whenNull: "unknown"), PostgresLabel("slot_type", whenNull: "unknown")],
                [
                    PostgresValue(
                        .gauge("pg_replication_slots_slot_current_wal_lsn", "current wal lsn value"), "lsn - '0/0'",
                        whenNull: .absent),
                    PostgresValue(
                        .gauge(
                            "pg_replication_slots_slot_confirmed_flush_lsn",
                            "last lsn confirmed flushed to the replication slot"),
                        "CASE WHEN active THEN coalesce(confirmed_flush_lsn, '0/0') - '0/0' END", whenNull: .absent),
                    PostgresValue(
                        .gauge(
                            "pg_replication_slots_slot_is_active", "whether the replication slot is active or not"),
                        "active", whenNull: .absent),
                    PostgresValue(
                        .gauge(
                            "pg_replication_slots_safe_wal_size_bytes",
                            "number of bytes that can be written to WAL such that this slot is not in danger of "
                                + "getting in state lost"), "safe_wal_size", whenNull: .absent),
                ]),
            PostgresSeries(
                [
                    PostgresLabel("slot_name", whenNull: "unknown"), PostgresLabel("slot_type", whenNull: "unknown"),
                    PostgresLabel("wal_status"),
                ],
                [
                    PostgresValue(
                        .gauge(
                            "pg_replication_slots_wal_status", "availability of WAL files claimed by this slot"),
                        "CASE WHEN wal_status IS NOT NULL THEN 1 END", whenNull: .absent)
                ])))

    static let statReplication = PostgresCollector(
        "stat_replication", on: true,
        PostgresTable(
            from: PostgresSQL(
                stringLiteral: """
                    pg_catalog.pg_stat_replication r LEFT JOIN pg_catalog.pg_replication_slots s ON s.active_pid = r.pid \
                    CROSS JOIN (SELECT \(walPosition) AS lsn OFFSET 0) AS position
                    """),
            PostgresSeries(
                clientLabels + [PostgresLabel("slot_name"), PostgresLabel("pid", "r.pid")],
                [
                    walBytes, walDifference,
                    PostgresValue(
                        .gauge(
                            "pg_stat_replication_pg_xlog_location_diff", "Lag in bytes between master and slave"),
                        PostgresSQL.never),
                ]),
            // postgres_exporter 0.11 looked for a column `slot_name`, found none, and took the first one: the pid.
            PostgresSeries(
                clientLabels + [PostgresLabel("slot_name", "r.pid")], onlyAlias: true,
                [
                    walBytes, walDifference,
                    PostgresValue(
                        Metric(
                            "pg_stat_replication_reply_time", .untyped, "Unknown metric from pg_stat_replication"),
                        "pg_catalog.date_part('epoch', reply_time)", whenNull: .omitted, .wholeSeconds),
                ])))

    private static let clientLabels = [
        PostgresLabel("application_name"), PostgresLabel("client_addr", "pg_catalog.host(client_addr)"),
        PostgresLabel("state"),
    ]

    private static let walBytes = PostgresValue(
        .gauge("pg_stat_replication_pg_current_wal_lsn_bytes", "WAL position in bytes"), "lsn - '0/0'",
        whenNull: .omitted)

    private static let walDifference = PostgresValue(
        .gauge("pg_stat_replication_pg_wal_lsn_diff", "Lag in bytes between master and slave"),
        "pg_catalog.pg_wal_lsn_diff(lsn, replay_lsn)", whenNull: .omitted)

    static let walReceiver = PostgresCollector(
        "stat_wal_receiver", on: false,
        PostgresTable(
            from: """
                (SELECT *, trim(both '''' from substring(conninfo from 'host=([^ ]*)')) AS upstream_host \
                FROM pg_catalog.pg_stat_wal_receiver) AS receiver WHERE upstream_host IS NOT NULL AND slot_name IS NOT NULL
                """,
            PostgresSeries(
                [PostgresLabel("upstream_host"), PostgresLabel("slot_name"), PostgresLabel("status")],
                [
                    receiver(
                        "receive_start_lsn", .counter,
                        "First write-ahead log location used when WAL receiver is started represented as a decimal",
                        low52Bits("receive_start_lsn")),
                    receiver(
                        "receive_start_tli", .gauge, "First timeline number used when WAL receiver is started",
                        "receive_start_tli"),
                    receiver(
                        "flushed_lsn", .counter,
                        "Last write-ahead log location already received and flushed to disk, the initial value of "
                            + "this field being the first log location used when WAL receiver is started represented "
                            + "as a decimal", low52Bits("flushed_lsn")),
                    receiver(
                        "received_tli", .gauge,
                        "Timeline number of last write-ahead log location received and flushed to disk", "received_tli"),
                    receiver(
                        "last_msg_send_time", .counter, "Send time of last message received from origin WAL sender",
                        "pg_catalog.date_part('epoch', last_msg_send_time)"),
                    receiver(
                        "last_msg_receipt_time", .counter,
                        "Send time of last message received from origin WAL sender",
                        "pg_catalog.date_part('epoch', last_msg_receipt_time)"),
                    receiver(
                        "latest_end_lsn", .counter,
                        "Last write-ahead log location reported to origin WAL sender as integer",
                        low52Bits("latest_end_lsn")),
                    receiver(
                        "latest_end_time", .counter,
                        "Time of last write-ahead log location reported to origin WAL sender",
                        "pg_catalog.date_part('epoch', latest_end_time)"),
                    receiver(
                        "upstream_node", .gauge, "Node ID of the upstream node",
                        "substring(slot_name from 'repmgr_slot_([0-9]*)')"),
                ])))

    private static func receiver(_ name: String, _ kind: Metric.Kind, _ help: String, _ sql: String) -> PostgresValue {
        PostgresValue(Metric("pg_stat_wal_receiver_\(name)", kind, help), PostgresSQL(stringLiteral: sql))
    }

    private static func low52Bits(_ column: String) -> String { "(\(column) - '0/0') % (2 ^ 52)::bigint" }
}
