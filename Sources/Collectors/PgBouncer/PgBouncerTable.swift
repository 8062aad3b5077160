import Databases
import Metrics

/// A `SHOW` command that answers a row for each database or pool: which columns are labels and which become metrics.
struct PgBouncerTable: Sendable {
    struct Column: Sendable {
        let name: String
        /// What newer versions call it.
        let newName: String?
        let metric: Metric
        /// What its numbers are multiplied by: PgBouncer counts time in microseconds.
        let factor: Double
    }

    /// The word after SHOW.
    let command: String
    /// The name by which it is selected and counted.
    let collector: String
    let labels: [String]
    let columns: [Column]

    private init(_ command: String, labels: [String], _ columns: [Column]) {
        self.command = command
        collector = "pgbouncer_" + command.lowercased()
        self.labels = labels
        self.columns = columns
    }

    static let catalogue = [databases, pools, stats, statsTotals]

    static let databases = PgBouncerTable(
        "DATABASES", labels: ["name", "host", "port", "database", "force_user", "pool_mode"],
        [
            gauge("pool_size", "databases_pool_size", "Maximum number of server connections"),
            gauge(
                "reserve_pool", "databases_reserve_pool", "Maximum number of additional connections for this database",
                newName: "reserve_pool_size"),
            gauge(
                "max_connections", "databases_max_connections",
                "Maximum number of allowed connections for this database"),
            gauge(
                "current_connections", "databases_current_connections",
                "Current number of connections for this database"),
            gauge("paused", "databases_paused", "1 if this database is currently paused, else 0"),
            gauge("disabled", "databases_disabled", "1 if this database is currently disabled, else 0"),
        ])

    static let pools = PgBouncerTable(
        "POOLS", labels: ["database", "user"],
        [
            gauge(
                "cl_active", "pools_client_active_connections",
                "Client connections linked to server connection and able to process queries, shown as connection"),
            gauge(
                "cl_active_cancel_req", "pools_client_active_cancel_connections",
                "Client connections that have forwarded query cancellations to the server and are waiting for the server response"
            ),
            gauge(
                "cl_waiting", "pools_client_waiting_connections",
                "Client connections waiting on a server connection, shown as connection"),
            gauge(
                "cl_waiting_cancel_req", "pools_client_waiting_cancel_connections",
                "Client connections that have not forwarded query cancellations to the server yet"),
            gauge(
                "sv_active", "pools_server_active_connections",
                "Server connections linked to a client connection, shown as connection"),
            gauge(
                "sv_active_cancel", "pools_server_active_cancel_connections",
                "Server connections that are currently forwarding a cancel request."),
            gauge(
                "sv_being_canceled", "pools_server_being_canceled_connections",
                "Servers that normally could become idle but are waiting to do so until all in-flight cancel requests have completed that were sent to cancel a query on this server."
            ),
            gauge(
                "sv_idle", "pools_server_idle_connections",
                "Server connections idle and ready for a client query, shown as connection"),
            gauge(
                "sv_used", "pools_server_used_connections",
                "Server connections idle more than server_check_delay, needing server_check_query, shown as connection"),
            gauge(
                "sv_tested", "pools_server_testing_connections",
                "Server connections currently running either server_reset_query or server_check_query, shown as connection"
            ),
            gauge(
                "sv_login", "pools_server_login_connections",
                "Server connections currently in the process of logging in, shown as connection"),
            gauge(
                "maxwait", "pools_client_maxwait_seconds",
                "Age of oldest unserved client connection, shown as second"),
        ])

    /// What dashboards made for pgbouncer_exporter up to 0.6 ask for; SHOW STATS has averages besides.
    static let stats = PgBouncerTable(
        "STATS", labels: ["database"],
        counters(prefix: "stats_", columnPrefix: "total_", received: "received", sent: "sent"))

    /// The same numbers under the names that pgbouncer_exporter has now.
    static let statsTotals = PgBouncerTable(
        "STATS_TOTALS", labels: ["database"],
        counters(prefix: "stats_totals_", columnPrefix: "", received: "bytes_received", sent: "bytes_sent"))

    private static func counters(
        prefix: String, columnPrefix: String, received: String, sent: String
    ) -> [Column] {
        let microsecond = 1e-6
        let columns: [(column: String, metric: String, factor: Double, help: String)] = [
            ("query_count", "queries_pooled_total", 1, "Total number of SQL queries pooled"),
            (
                "query_time", "queries_duration_seconds_total", microsecond,
                "Total number of seconds spent by pgbouncer when actively connected to PostgreSQL, executing queries"
            ),
            (
                received, "received_bytes_total", 1,
                "Total volume in bytes of network traffic received by pgbouncer, shown as bytes"
            ),
            ("requests", "queries_total", 1, "Total number of SQL requests pooled by pgbouncer, shown as requests"),
            (
                sent, "sent_bytes_total", 1,
                "Total volume in bytes of network traffic sent by pgbouncer, shown as bytes"
            ),
            (
                "wait_time", "client_wait_seconds_total", microsecond,
                "Time spent by clients waiting for a server in seconds"
            ),
            ("xact_count", "sql_transactions_pooled_total", 1, "Total number of SQL transactions pooled"),
            (
                "xact_time", "server_in_transaction_seconds_total", microsecond,
                "Total number of seconds spent by pgbouncer when connected to PostgreSQL in a transaction, either idle in transaction or executing queries"
            ),
            (
                "client_parse_count", "client_parses_total", 1,
                "Total number of prepared statement Parse messages received from clients"
            ),
            (
                "server_parse_count", "server_parses_total", 1,
                "Total number of prepared statement Parse messages sent by pgbouncer to PostgreSQL"
            ),
            (
                "bind_count", "binds_total", 1,
                "Total number of prepared statements readied for execution with a Bind message"
            ),
        ]
        return columns.map { column, metric, factor, help in
            Column(
                name: columnPrefix + column, newName: nil, metric: .counter("pgbouncer_" + prefix + metric, help),
                factor: factor)
        }
    }

    private static func gauge(
        _ column: String, _ metric: String, _ help: String, newName: String? = nil
    ) -> Column {
        Column(name: column, newName: newName, metric: .gauge("pgbouncer_" + metric, help), factor: 1)
    }

    /// A column that this version does not have is left out, and so is a null.
    func families(_ rows: PostgresRows, _ base: Labels) -> [Family] {
        let labelColumns = labels.compactMap { label in rows.column(label).map { (label, $0) } }
        let rowLabels = (0..<rows.count).map { row in
            base.adding(labelColumns.map { Label($0.0, rows.text(row, $0.1) ?? "") })
        }
        return columns.compactMap { column in
            guard let index = rows.column(column.name) ?? column.newName.flatMap({ rows.column($0) }) else {
                return nil
            }
            var family = Family(column.metric)
            for row in 0..<rows.count {
                guard let number = rows.number(row, index) else { continue }
                family.samples.append(Sample(rowLabels[row], number * column.factor))
            }
            return family
        }
    }
}

/// A `SHOW` command that answers a row for each name: which names become metrics.
struct PgBouncerList: Sendable {
    let command: String
    let collector: String
    let metrics: [String: Metric]

    private init(_ command: String, _ rows: [(name: String, metric: String, help: String)]) {
        self.command = command
        collector = "pgbouncer_" + command.lowercased()
        metrics = Dictionary(
            uniqueKeysWithValues: rows.map { ($0.name, Metric.gauge("pgbouncer_" + $0.metric, $0.help)) })
    }

    static let catalogue = [lists, config]

    static let lists = PgBouncerList(
        "LISTS",
        [
            ("databases", "databases", "Count of databases"), ("users", "users", "Count of users"),
            ("pools", "pools", "Count of pools"), ("free_clients", "free_clients", "Count of free clients"),
            ("used_clients", "used_clients", "Count of used clients"),
            ("login_clients", "login_clients", "Count of clients in login state"),
            ("free_servers", "free_servers", "Count of free servers"),
            ("used_servers", "used_servers", "Count of used servers"),
            ("dns_names", "cached_dns_names", "Count of DNS names in the cache"),
            ("dns_zones", "cached_dns_zones", "Count of DNS zones in the cache"),
            ("dns_queries", "in_flight_dns_queries", "Count of in-flight DNS queries"),
        ])

    static let config = PgBouncerList(
        "CONFIG",
        [
            ("max_client_conn", "config_max_client_connections", "Config maximum number of client connections"),
            (
                "max_user_connections", "config_max_user_connections",
                "Config maximum number of server connections per user"
            ),
        ])

    /// The first column names, the second one tells.
    func families(_ rows: PostgresRows, _ base: Labels) -> [Family] {
        guard rows.columnCount >= 2 else { return [] }
        return (0..<rows.count).compactMap { row in
            guard let metric = metrics[rows.text(row, 0) ?? ""], let number = rows.number(row, 1) else { return nil }
            return Family(metric, number, base)
        }
    }
}
