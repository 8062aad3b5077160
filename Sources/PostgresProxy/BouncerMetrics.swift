import Metrics

/// The pools under the names of <https://github.com/prometheus-community/pgbouncer_exporter>, so that dashboards and alerts
/// made for PgBouncer work.
enum BouncerMetrics {
    private struct PoolRow: Sendable {
        let metric: Metric
        let value: @Sendable (PoolSnapshot.Pool) -> Double

        init(_ name: String, _ help: String, _ value: @escaping @Sendable (PoolSnapshot.Pool) -> Double) {
            metric = .gauge("pgbouncer_pools_" + name, help)
            self.value = value
        }
    }

    private static let pools = [
        PoolRow(
            "client_active_connections",
            "Client connections linked to server connection and able to process queries, shown as connection"
        ) { Double($0.clientsActive) },
        PoolRow(
            "client_waiting_connections", "Client connections waiting on a server connection, shown as connection"
        ) { Double($0.clientsWaiting) },
        PoolRow("server_active_connections", "Server connections linked to a client connection, shown as connection") {
            Double($0.serversActive)
        },
        PoolRow("server_idle_connections", "Server connections idle and ready for a client query, shown as connection")
        {
            Double($0.serversIdle)
        },
        PoolRow(
            "server_testing_connections",
            "Server connections currently running either server_reset_query or server_check_query, shown as connection"
        ) { Double($0.serversTested) },
        PoolRow(
            "server_login_connections", "Server connections currently in the process of logging in, shown as connection"
        ) {
            Double($0.serversLogin)
        },
        PoolRow("client_maxwait_seconds", "Age of oldest unserved client connection, shown as second") {
            Double($0.longestWaitMicroseconds / 1_000_000)
        },
    ]

    private struct StatisticsRow: Sendable {
        let metric: Metric
        let value: @Sendable (PoolSnapshot.Statistics) -> Double

        init(_ name: String, _ help: String, _ value: @escaping @Sendable (PoolSnapshot.Statistics) -> Double) {
            metric = .counter("pgbouncer_stats_totals_" + name, help)
            self.value = value
        }
    }

    private static let statistics = [
        StatisticsRow("queries_pooled_total", "Total number of SQL queries pooled") { Double($0.queries) },
        StatisticsRow(
            "queries_duration_seconds_total",
            "Total number of seconds spent by pgbouncer when actively connected to PostgreSQL, executing queries"
        ) { Double($0.queryMicroseconds) * 1e-6 },
        StatisticsRow(
            "received_bytes_total", "Total volume in bytes of network traffic received by pgbouncer, shown as bytes"
        ) { Double($0.receivedBytes) },
        StatisticsRow("sent_bytes_total", "Total volume in bytes of network traffic sent by pgbouncer, shown as bytes")
        {
            Double($0.sentBytes)
        },
        StatisticsRow("client_wait_seconds_total", "Time spent by clients waiting for a server in seconds") {
            Double($0.waitMicroseconds) * 1e-6
        },
        StatisticsRow("sql_transactions_pooled_total", "Total number of SQL transactions pooled") {
            Double($0.transactions)
        },
        StatisticsRow(
            "server_in_transaction_seconds_total",
            "Total number of seconds spent by pgbouncer when connected to PostgreSQL in a transaction, either idle in transaction or executing queries"
        ) { Double($0.transactionMicroseconds) * 1e-6 },
        StatisticsRow("client_parses_total", "Total number of prepared statement Parse messages received from clients")
        {
            Double($0.clientParses)
        },
        StatisticsRow(
            "server_parses_total",
            "Total number of prepared statement Parse messages sent by pgbouncer to PostgreSQL"
        ) { Double($0.serverParses) },
        StatisticsRow("binds_total", "Total number of prepared statements readied for execution with a Bind message") {
            Double($0.binds)
        },
    ]

    static func families(_ snapshot: PoolSnapshot) -> [Family] {
        let byPool = Dictionary(grouping: snapshot.pools) { Labels(["database": $0.database, "user": $0.user]) }
            .sorted { $0.key.rendered.lexicographicallyPrecedes($1.key.rendered) }
        let byDatabase = Dictionary(grouping: snapshot.statistics, by: \.database).sorted { $0.key < $1.key }
        return pools.map { row in
            var family = Family(row.metric)
            for (labels, members) in byPool {
                family.samples.append(Sample(labels, members.reduce(0) { $0 + row.value($1) }))
            }
            return family
        }
            + statistics.map { row in
                var family = Family(row.metric)
                for (database, members) in byDatabase {
                    family.samples.append(
                        Sample(Labels(["database": database]), members.reduce(0) { $0 + row.value($1) }))
                }
                return family
            }
    }
}
