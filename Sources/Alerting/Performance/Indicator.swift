import Runtime

/// One thing a level is judged by: a question in PromQL, and what its answers mean.
public struct Indicator: Sendable {
    public let component: PerformanceComponent
    public let name: String
    /// Answers with at most one sample; the largest of several counts. None means that there is nothing to judge.
    public let expression: String
    public let unit: String
    public let scale: Scale
    public let role: Role
    /// Whether no setting makes it critical: a container that only waits for the CPU gains nothing by being restarted.
    public var isNeverCritical = false
    /// The next thing to do when this decides a level.
    public let advice: String

    public enum Role: Sendable {
        /// Says how well the component does: without one such answer its level is unknown.
        case evidence
        /// Can only make a level worse.
        case objection
        /// Like `objection`, and without waiting for a second look.
        case outage
        /// Evidence whose value is the used share of something that can be full.
        case saturation
    }

    /// `postgres.connections`: the name in settings.
    public var key: String { "\(component.rawValue).\(name)" }
}

extension Indicator {
    /// Every indicator. A new one is a row.
    static func table(_ settings: PerformanceSettings) -> [Indicator] {
        (service(settings) + postgres + redis(settings) + pgbouncer + cache(settings) + host + sidecar
            + PerformanceComponent.allCases.flatMap(alerts))
            .map { $0.adjusted(settings) }
    }

    // MARK: Rows

    private static func service(_ settings: PerformanceSettings) -> [Indicator] {
        let long = window(settings.window * 6)
        let short = window(settings.window)
        return [
            Indicator(
                component: .service, name: "apdex",
                expression: ownOperations(settings) {
                    "\(apdex(in: short, of: $0, settings)) or \(apdex(in: long, of: $0, settings))"
                }, unit: "ratio",
                scale: Scale([0.94, 0.85, 0.7, 0.5], isRising: false, margin: 0.03), role: .evidence,
                advice: "See which operation is slow or fails (/performance/stats), then what it waits for."),
            Indicator(
                component: .service, name: "error_budget_burn_fast",
                expression: ownOperations(settings) {
                    burn(in: short, and: window(settings.window * 12), of: $0, settings)
                },
                unit: "times", scale: Scale([0.5, 1, 6, 14.4]), role: .objection,
                advice: "Errors use up the budget within hours: undo the last change, then look for its cause."),
            Indicator(
                component: .service, name: "error_budget_burn_slow",
                expression: ownOperations(settings) {
                    burn(in: long, and: window(settings.window * 72), of: $0, settings)
                }, unit: "times", scale: Scale([0.5, 1, 6, nil]),
                role: .objection, advice: "Find the operation with the most errors and mend it this week."),
        ]
    }

    /// A question about the operations that the service reports; about those that a proxy carries for it only while it
    /// reports none, for a thousand quick commands would hide the slow request that sent them.
    ///
    /// - Parameter question: with the matchers that choose operations.
    private static func ownOperations(_ settings: PerformanceSettings, _ question: (String) -> String) -> String {
        guard !settings.proxiedOperations.isEmpty else { return question("") }
        let own = "{operation!~\"\(settings.proxiedOperations.joined(separator: "|"))\"}"
        let reported = "sum(increase(outrigger_operations_total\(own)[\(window(settings.window * 6))])) > 0"
        return "(\(question(own))) or ((\(question(""))) unless on () (\(reported)))"
    }

    private static func apdex(in window: String, of chosen: String, _ settings: PerformanceSettings) -> String {
        let durations = "sum by (le) (rate(outrigger_operation_duration_seconds_bucket\(chosen)[\(window)]))"
        let satisfied = "histogram_fraction(0, \(settings.apdexTarget), \(durations))"
        let tolerated = "histogram_fraction(0, \(4 * settings.apdexTarget), \(durations))"
        return """
            ((\(satisfied) + \(tolerated)) / 2 \
            * (1 - (sum(rate(outrigger_operation_errors_total\(chosen)[\(window)])) or vector(0)) \
            / sum(rate(outrigger_operations_total\(chosen)[\(window)]))) \
            and sum(increase(outrigger_operations_total\(chosen)[\(window)])) >= \(settings.leastOperations))
            """
    }

    /// The smaller of two windows' burns: both must say so.
    private static func burn(
        in short: String, and long: String, of chosen: String, _ settings: PerformanceSettings
    ) -> String {
        func ratio(_ window: String) -> String {
            """
            sum(rate(outrigger_operation_errors_total\(chosen)[\(window)])) \
            / (sum(rate(outrigger_operations_total\(chosen)[\(window)])) > 0) \
            / \(1 - settings.objective) \
            and sum(increase(outrigger_operations_total\(chosen)[\(window)])) >= \(settings.leastOperations)
            """
        }
        let both = "(\(ratio(short))) or label_replace(\(ratio(long)), \"window\", \"long\", \"\", \"\")"
        return "min(\(both)) and on () (\(ratio(short)))"
    }

    private static let postgres = [
        Indicator(
            component: .postgres, name: "availability", expression: "min(pg_up)", unit: "up",
            scale: Scale([nil, nil, nil, 1], isRising: false, margin: 0), role: .outage,
            advice:
                "See whether the server runs and accepts connections; the log of Outrigger says why it could not connect."
        ),
        Indicator(
            component: .postgres, name: "connections",
            expression:
                "max(sum by (job, instance, target) (pg_stat_activity_count) / on (job, instance, target) pg_settings_max_connections)",
            unit: "ratio", scale: saturated, role: .saturation,
            advice:
                "Find who holds connections (pg_stat_activity by application_name and state); put a pooler in between."),
        Indicator(
            component: .postgres, name: "lock_waits",
            expression:
                "sum(pg_stat_activity_count{wait_event_type=\"Lock\"}) or 0 * sum(pg_stat_activity_count)",
            unit: "sessions", scale: Scale([1, 3, 10, 30]), role: .evidence,
            advice: "Find the session that blocks the others (pg_blocking_pids) and end it if its client is gone."),
        Indicator(
            component: .postgres, name: "longest_transaction",
            expression: "max(pg_stat_activity_max_tx_duration{state=~\"active|idle in transaction.*\"})",
            unit: "seconds", scale: Scale([60, 300, 1800, 7200]), role: .evidence,
            advice: "Find it in pg_stat_activity by xact_start; set idle_in_transaction_session_timeout."),
        Indicator(
            component: .postgres, name: "replication_lag",
            expression: "max(pg_replication_lag_seconds and on (job, instance, target) pg_replication_is_replica == 1)",
            unit: "seconds", scale: Scale([1, 5, 30, 300]), role: .objection,
            advice:
                "Compare network and disk of the replica with the rate of writes; a long query may hold replay back."),
        Indicator(
            component: .postgres, name: "transaction_ids",
            expression: "max(pg_database_wraparound_age_datfrozenxid_seconds) / 2.1e9", unit: "ratio",
            scale: Scale([0.2, 0.5, 0.75, 0.9]), role: .saturation,
            advice:
                "VACUUM FREEZE the oldest tables, and end what holds vacuum back: old transactions, slots, prepared ones."
        ),
    ]

    private static func redis(_ settings: PerformanceSettings) -> [Indicator] {
        [
            Indicator(
                component: .redis, name: "availability", expression: "min(redis_up)", unit: "up",
                scale: Scale([nil, nil, nil, 1], isRising: false, margin: 0), role: .outage,
                advice: "See whether the server runs, still loads its dump, or refuses the password."),
            Indicator(
                component: .redis, name: "memory",
                expression: "max(redis_memory_used_bytes / (redis_memory_max_bytes > 0))", unit: "ratio",
                scale: saturated, role: .saturation,
                advice: "Give keys a time to live, find the largest (redis-cli --bigkeys), or raise maxmemory."),
            Indicator(
                component: .redis, name: "clients",
                expression: "max(redis_connected_clients / (redis_max_clients > 0))", unit: "ratio", scale: saturated,
                role: .saturation, advice: "Look for clients that do not close their connections (CLIENT LIST)."),
            Indicator(
                component: .redis, name: "rejected_connections",
                expression: "sum(increase(redis_rejected_connections_total[\(window(settings.window))]))",
                unit: "connections", scale: Scale([nil, nil, 1, nil]), role: .objection,
                advice: "maxclients is reached: find who opens so many connections, share them there, or raise it."),
            Indicator(
                component: .redis, name: "replication_link", expression: "min(redis_master_link_up)", unit: "up",
                scale: Scale([nil, nil, 1, nil], isRising: false, margin: 0), role: .objection,
                advice: "The replica has lost its master: check the network, the master, and the backlog's size."),
        ]
    }

    private static let pgbouncer = [
        Indicator(
            component: .pgbouncer, name: "availability", expression: "min(pgbouncer_up)", unit: "up",
            scale: Scale([nil, nil, nil, 1], isRising: false, margin: 0), role: .outage,
            advice: "See whether PgBouncer runs and lets the stats user in."),
        Indicator(
            component: .pgbouncer, name: "longest_wait",
            expression: "max(pgbouncer_pools_client_maxwait_seconds)", unit: "seconds",
            scale: Scale([0.1, 0.5, 2, 8]), role: .evidence,
            advice: "Clients wait for a server connection: look for long transactions, then raise pool_size."),
    ]

    private static func cache(_ settings: PerformanceSettings) -> [Indicator] {
        let window = window(settings.window)
        let hits =
            "(sum(rate(outrigger_cache_hits_total[\(window)])) + sum(rate(outrigger_cache_absent_hits_total[\(window)])))"
        let misses = "sum(rate(outrigger_cache_misses_total[\(window)]))"
        let evictions = "sum(rate(outrigger_cache_evictions_total{cause!=\"requested\"}[\(window)]))"
        return [
            Indicator(
                component: .cache, name: "breaker",
                expression: "max(outrigger_circuit_breaker_open{breaker=\"redis_proxy\"})", unit: "breakers",
                scale: Scale([nil, nil, nil, 1], margin: 0), role: .outage,
                advice: "Redis failed repeatedly and is left alone for a while: see whether it runs and can be reached."
            ),
            Indicator(
                component: .cache, name: "tracking", expression: "min(outrigger_redis_proxy_tracking_up)", unit: "up",
                scale: Scale([nil, nil, 1, nil], isRising: false, margin: 0), role: .evidence,
                advice:
                    "Nothing is answered locally: see whether Redis (6 or newer) lets the proxy use CLIENT TRACKING and SUBSCRIBE."
            ),
            // A full cache is a healthy one. One that takes more than its bound is not, nor one that the machine has no room for.
            Indicator(
                component: .cache, name: "memory",
                expression: "sum(outrigger_cache_resident_bytes) / (sum(outrigger_cache_limit_bytes) > 0)",
                unit: "ratio", scale: Scale([1.1, 1.25, 1.5, nil], margin: 0.02), role: .evidence,
                advice:
                    "The cache takes more than cache.max_bytes: lower it, and free memory (POST /performance/cleanup)."
            ),
            Indicator(
                component: .cache, name: "memory_frees",
                expression: "sum(increase(outrigger_cache_memory_frees_total{trigger!=\"bound\"}[\(window)]))",
                unit: "times", scale: Scale([1, 3, 10, nil]), role: .objection,
                advice: "The machine is short of memory: find what else takes it, or lower cache.max_bytes."),
            // Whether keys repeat is the service's affair, so a low ratio is told, and is never worse than fair.
            Indicator(
                component: .cache, name: "hit_ratio",
                expression: "\(hits) / (\(hits) + \(misses) > \(leastLookups))", unit: "ratio",
                scale: Scale([0.8, 0.5, nil, nil], isRising: false), role: .objection,
                advice: "See whether lifetimes are too short or the cache is too small (/health/cache)."),
            Indicator(
                component: .cache, name: "evicted_unused",
                expression:
                    "sum(rate(outrigger_cache_evicted_unused_total[\(window)])) / (\(evictions) > \(leastLookups))",
                unit: "ratio", scale: Scale([0.8, 0.95, nil, nil]), role: .objection,
                advice:
                    "What is stored is evicted before anybody asks for it: give the class more memory or second_sight."
            ),
            Indicator(
                component: .cache, name: "upstream_timeouts",
                expression: "sum(increase(outrigger_redis_proxy_upstream_timeouts_total[\(window)]))",
                unit: "connections", scale: Scale([nil, 1, 10, nil]), role: .objection,
                advice: "Redis took too long to answer: look for slow commands (/v1/slow) and at its load."),
            Indicator(
                component: .cache, name: "write_behind_age",
                expression: "max(outrigger_redis_proxy_write_behind_oldest_seconds)", unit: "seconds",
                scale: Scale([10, 60, 300, 1800]), role: .objection,
                advice: "Acknowledged writes wait in the log: see why Redis does not take them."),
            Indicator(
                component: .cache, name: "write_behind_rejected",
                expression: "sum(increase(outrigger_redis_proxy_write_behind_rejected_total[\(window)]))",
                unit: "writes", scale: Scale([nil, nil, 1, nil]), role: .objection,
                advice: "Redis refused acknowledged writes for good: read rejected.resp in the state folder."),
        ]
    }

    /// A second: with less, a ratio of the cache says nothing.
    private static let leastLookups = 10

    private static let host = [
        Indicator(
            component: .host, name: "cpu_pressure",
            expression: "max(rate(node_pressure_cpu_waiting_seconds_total[1m]))",
            unit: "ratio", scale: Scale([0.1, 0.25, 0.5, nil]), role: .evidence, isNeverCritical: true,
            advice: "Processes wait for the CPU: see which take it, and whether a limit of the container is too low."),
        Indicator(
            component: .host, name: "memory_pressure",
            expression: "max(rate(node_pressure_memory_waiting_seconds_total[1m]))", unit: "ratio",
            scale: Scale([0.01, 0.05, 0.1, 0.25]), role: .evidence,
            advice: "Memory is short: see which process grows, before the kernel ends one."),
        Indicator(
            component: .host, name: "io_pressure",
            expression: "max(rate(node_pressure_io_waiting_seconds_total[1m]))", unit: "ratio",
            scale: Scale([0.05, 0.1, 0.25, 0.6]), role: .evidence,
            advice: "Processes wait for the disk: look for scans, checkpoints and backups at this time."),
    ]

    private static let sidecar = [
        Indicator(
            component: .sidecar, name: "open_files",
            expression: "process_open_fds{job=\"outrigger\"} / process_max_fds",
            unit: "ratio", scale: saturated, role: .saturation,
            advice: "Raise the limit of open files for Outrigger."),
        Indicator(
            component: .sidecar, name: "notification_queue",
            expression: "max(outrigger_notifications_queue_length / (outrigger_notifications_queue_capacity > 0))",
            unit: "ratio", scale: saturated, role: .saturation,
            advice: "A receiver is slow or gone: its name and errors are in the log."),
        Indicator(
            component: .sidecar, name: "evaluations_missed",
            expression: "sum(increase(outrigger_rule_group_iterations_missed_total[5m]))", unit: "evaluations",
            scale: Scale([1, 3, nil, nil]), role: .objection,
            advice: "Rules take longer than their interval: see /v1/rules/evaluations for the slow ones."),
    ]

    /// Firing alerts about a component; those about levels apart, which would feed on themselves.
    private static func alerts(_ component: PerformanceComponent) -> [Indicator] {
        let prefix =
            switch component {
            case .postgres: "Postgres.+"
            case .pgbouncer: "PgBouncer.+"
            case .redis: "Redis.+"
            case .cache: "Cache.+"
            case .service: "Service.+"
            case .host: "Host.+"
            case .sidecar:
                "Collector.+|Series.+|Heartbeat.+|Notification.+|Rule.+|AlertState.+|Configuration.+|StatsD.+"
            }
        func count(_ severity: String) -> String {
            "count(ALERTS{alertstate=\"firing\", severity=\"\(severity)\", alertname=~\"\(prefix)\"})"
        }
        return [
            Indicator(
                component: component, name: "critical_alerts", expression: count("critical"), unit: "alerts",
                scale: Scale([nil, nil, 1, 2]), role: .objection, advice: "Do what the alert says (/api/v1/alerts)."),
            Indicator(
                component: component, name: "warning_alerts", expression: count("warning"), unit: "alerts",
                scale: Scale([nil, 1, nil, nil]), role: .objection, advice: "Do what the alert says (/api/v1/alerts)."),
            Indicator(
                component: component, name: "info_alerts", expression: count("info"), unit: "alerts",
                scale: Scale([1, nil, nil, nil]), role: .objection, advice: "See what the alert says (/api/v1/alerts)."),
        ]
    }

    // MARK: Adjusting

    private static let saturated = Scale([0.5, 0.7, 0.85, 0.95])

    private func adjusted(_ settings: PerformanceSettings) -> Indicator {
        var scale = scale
        if scale == Indicator.saturated { scale = scale.scaled(by: settings.alertThreshold / 0.8, most: 0.99) }
        if let own = settings.thresholds[key] { scale = Scale(own, isRising: scale.isRising, margin: scale.margin) }
        if isNeverCritical { scale.critical = nil }
        return Indicator(
            component: component, name: name, expression: expression, unit: unit, scale: scale, role: role,
            isNeverCritical: isNeverCritical, advice: advice)
    }

    private static func window(_ duration: Duration) -> String { "\(duration.milliseconds)ms" }
}

/// Rates that are compared with the hour before: what is unusual is told, and judged by nobody.
struct Anomaly: Sendable {
    let component: PerformanceComponent
    let subject: String
    /// A rate.
    let expression: String

    static let table = [
        Anomaly(
            component: .service, subject: "operations per second",
            expression: "sum(rate(outrigger_operations_total[1m]))"),
        Anomaly(
            component: .postgres, subject: "commits per second",
            expression: "sum(rate(pg_stat_database_xact_commit[1m]))"),
        Anomaly(
            component: .redis, subject: "commands per second",
            expression: "sum(rate(redis_commands_processed_total[1m]))"),
    ]

    /// How many standard deviations the present is from the last hour's mean, where there is at least half an hour.
    var deviations: String {
        let hour = "(\(expression))[1h:1m]"
        return """
            (\(expression) - avg_over_time(\(hour))) / (stddev_over_time(\(hour)) > 0) \
            and count_over_time(\(hour)) >= 30
            """
    }
}
