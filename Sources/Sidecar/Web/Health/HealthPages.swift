import Alerting
import Metrics
import Network
import Runtime

/// The JSON pages about health and performance. A page is a row: its path, what its answer looks like, and how it is made.
struct HealthPages: Sendable {
    let facts: Facts
    let report: @Sendable () -> PerformanceReport?
    let startedAt: ContinuousClock.Instant
    let memory: GivenBack

    struct Page: Sendable {
        let method: String
        let path: String
        let summary: String
        let schema: Schema
        /// Whether its answer stands inside `{success, data, timestamp}`.
        var isEnveloped: Bool { path.hasPrefix("/performance/") }
        /// What the whole answer looks like.
        var answer: Schema {
            isEnveloped ? .object(["success": .boolean, "data": schema, "timestamp": .string]) : schema
        }
        /// Whether it answers 503 while the level is critical, for probes.
        var isProbe = false
        let make: @Sendable (HealthPages) -> JSON
    }

    static let all = [
        Page(
            method: "GET", path: "/health", summary: "The level in a few words.", schema: health, isProbe: true
        ) { $0.health },
        Page(
            method: "GET", path: "/health/performance", summary: "Every component's level with its reasons.",
            schema: performance, isProbe: true
        ) { $0.performance },
        Page(
            method: "GET", path: "/health/cache",
            summary: "The cache in front of Redis, by class of keys; what has expired is removed first.", schema: cache
        ) { $0.cache },
        Page(
            method: "GET", path: "/health/database",
            summary: "Servers with their connect time, pools, databases, and the largest tables.", schema: database
        ) { $0.database },
        Page(
            method: "GET", path: "/performance/stats",
            summary: "Operations, Redis, the cache and resources over five minutes.",
            schema: statistics
        ) { $0.statistics },
        Page(
            method: "GET", path: "/performance/stats/advanced",
            summary: "Trends, time to limits, anomalies, and what could be better.", schema: advanced
        ) { $0.advanced },
        Page(
            method: "POST", path: "/performance/cleanup",
            summary: "Gives memory that is not needed back to the system, and half of the cache with it.",
            schema: cleanup
        ) { $0.cleanup },
    ]

    var routes: [Router.Route] {
        Self.all.map { page in
            let answer: HTTPServer.Handler = { _ in respond(to: page) }
            return page.method == "GET" ? .get(page.path, answer) : .change(page.method, page.path, answer)
        } + [.get("/openapi.json") { _ in .json(Self.encode(OpenAPI.document)) }]
    }

    private func respond(to page: Page) -> HTTPResponse {
        let isCritical = page.isProbe && report()?.overall.level == .critical
        var answer = page.make(self)
        if page.isEnveloped {
            let now = SteadyTime.shared.now
            answer = .record([
                "success": .bool(true), "data": answer, "timestamp": .string("\(Moment(milliseconds: now))"),
            ])
        }
        return .json(Self.encode(answer), status: isCritical ? 503 : 200)
    }

    private static func encode(_ json: JSON) -> [UInt8] {
        var writer = JSONWriter()
        writer.value(json)
        writer.newline()
        return writer.bytes
    }

    // MARK: Health

    private static let level = Schema.word(PerformanceLevel.allCases.map(\.rawValue))
    private static let health = Schema.object([
        "level": level, "components": .map(level), "version": .string, "uptime_seconds": .number,
    ])

    private var health: JSON {
        let report = report()
        return .record([
            "level": .string((report?.overall.level ?? .unknown).rawValue),
            "components": .object(
                (report?.components ?? []).map { JSON.Member($0.name, .string($0.level.rawValue)) }),
            "version": .string(Outrigger.version), "uptime_seconds": .number((ContinuousClock.now - startedAt).seconds),
        ])
    }

    private static let performance = Schema.object([
        "time": .nullable(.string), "overall": .nullable(ComponentReport.schema),
        "components": .array(ComponentReport.schema),
    ])

    private var performance: JSON {
        let report = report()
        return .record([
            "time": report.map { .string("\($0.time)") } ?? .null, "overall": report?.overall.json ?? .null,
            "components": .array((report?.components ?? []).map(\.json)),
        ])
    }

    private static let cache = Schema.object([
        "enabled": .boolean, "total": CacheFacts.summarySchema, "classes": CacheFacts.classesSchema,
    ])

    private var cache: JSON {
        memory.sweep()
        let told = CacheFacts(facts: facts)
        return .record([
            "enabled": .bool(!memory.isEmpty), "total": told.summary, "classes": told.classes,
        ])
    }

    // MARK: Database

    private static let database = Schema.object([
        "servers": .array(
            .object([
                "instance": .string, "target": .string, "up": .nullable(.number), "connections": .nullable(.number),
                "max_connections": .nullable(.number), "connect_seconds": .nullable(.number),
                "collection_seconds": .nullable(.number),
            ])),
        "pools": .array(
            .object([
                "instance": .string, "database": .string, "user": .string, "clients_active": .nullable(.number),
                "clients_waiting": .nullable(.number), "servers_active": .nullable(.number),
                "servers_idle": .nullable(.number), "longest_wait_seconds": .nullable(.number),
            ])),
        "databases": .array(
            .object([
                "instance": .string, "datname": .string, "size_bytes": .nullable(.number),
                "backends": .nullable(.number), "commits_per_second": .nullable(.number),
                "cache_hit_ratio": .nullable(.number),
            ])),
        "largest_tables": .array(
            .object([
                "instance": .string, "datname": .string, "schemaname": .string, "relname": .string,
                "table_bytes": .nullable(.number), "index_bytes": .nullable(.number), "live_rows": .nullable(.number),
                "dead_rows": .nullable(.number),
            ])),
    ])

    private var database: JSON {
        let by = "sum by (instance, target)"
        let pool = "sum by (instance, database, user)"
        let table = "instance, datname, schemaname, relname"
        return .record([
            "servers": facts.rows(
                ["instance", "target"],
                [
                    ("up", "\(by) (pg_up)"), ("connections", "\(by) (pg_stat_activity_count)"),
                    ("max_connections", "\(by) (pg_settings_max_connections)"),
                    ("connect_seconds", "max by (instance, target) (outrigger_postgres_connect_duration_seconds)"),
                    ("collection_seconds", "\(by) (pg_exporter_last_scrape_duration_seconds)"),
                ]),
            "pools": facts.rows(
                ["instance", "database", "user"],
                [
                    ("clients_active", "\(pool) (pgbouncer_pools_client_active_connections)"),
                    ("clients_waiting", "\(pool) (pgbouncer_pools_client_waiting_connections)"),
                    ("servers_active", "\(pool) (pgbouncer_pools_server_active_connections)"),
                    ("servers_idle", "\(pool) (pgbouncer_pools_server_idle_connections)"),
                    ("longest_wait_seconds", "\(pool) (pgbouncer_pools_client_maxwait_seconds)"),
                ]),
            "databases": facts.rows(
                ["instance", "datname"],
                [
                    ("size_bytes", "max by (instance, datname) (pg_database_size_bytes)"),
                    ("backends", "max by (instance, datname) (pg_stat_database_numbackends{datname!=\"\"})"),
                    (
                        "commits_per_second",
                        "max by (instance, datname) (rate(pg_stat_database_xact_commit{datname!=\"\"}[5m]))"
                    ),
                    (
                        "cache_hit_ratio",
                        """
                        max by (instance, datname) (rate(pg_stat_database_blks_hit{datname!=""}[5m]) \
                        / (rate(pg_stat_database_blks_hit[5m]) + rate(pg_stat_database_blks_read[5m]) > 0))
                        """
                    ),
                ]),
            "largest_tables": facts.rows(
                ["instance", "datname", "schemaname", "relname"],
                [
                    ("table_bytes", "topk(20, max by (\(table)) (pg_stat_user_tables_table_size_bytes))"),
                    ("index_bytes", "max by (\(table)) (pg_stat_user_tables_index_size_bytes)"),
                    ("live_rows", "max by (\(table)) (pg_stat_user_tables_n_live_tup)"),
                    ("dead_rows", "max by (\(table)) (pg_stat_user_tables_n_dead_tup)"),
                ], limit: 20),
        ])
    }

    // MARK: Statistics

    private static let statistics = Schema.object([
        "operations": .array(
            .object([
                "operation": .string, "count": .nullable(.number), "per_second": .nullable(.number),
                "error_ratio": .nullable(.number), "p50_seconds": .nullable(.number),
                "p95_seconds": .nullable(.number), "p99_seconds": .nullable(.number),
            ])),
        "redis": .object([
            "commands_per_second": .nullable(.number), "hit_ratio": .nullable(.number),
            "memory_bytes": .nullable(.number), "clients": .nullable(.number),
        ]),
        "cache": CacheFacts.summarySchema,
        "resources": .object([
            "cpu_cores": .nullable(.number), "resident_bytes": .nullable(.number), "open_files": .nullable(.number),
            "cpu_pressure": .nullable(.number), "memory_pressure": .nullable(.number),
            "io_pressure": .nullable(.number),
        ]),
    ])

    private var statistics: JSON {
        let duration = "sum by (operation, le) (rate(outrigger_operation_duration_seconds_bucket[5m]))"
        return .record([
            "operations": facts.rows(
                ["operation"],
                [
                    ("count", "sum by (operation) (outrigger_operations_total)"),
                    ("per_second", "sum by (operation) (rate(outrigger_operations_total[5m]))"),
                    (
                        "error_ratio",
                        """
                        (sum by (operation) (rate(outrigger_operation_errors_total[5m])) \
                        or 0 * sum by (operation) (rate(outrigger_operations_total[5m]))) \
                        / (sum by (operation) (rate(outrigger_operations_total[5m])) > 0)
                        """
                    ),
                    ("p50_seconds", "histogram_quantile(0.5, \(duration))"),
                    ("p95_seconds", "histogram_quantile(0.95, \(duration))"),
                    ("p99_seconds", "histogram_quantile(0.99, \(duration))"),
                ], limit: 200),
            "redis": .record([
                "commands_per_second": facts.json("sum(rate(redis_commands_processed_total[5m]))"),
                "hit_ratio": facts.json(
                    """
                    sum(rate(redis_keyspace_hits_total[5m])) / (sum(rate(redis_keyspace_hits_total[5m])) \
                    + sum(rate(redis_keyspace_misses_total[5m])) > 0)
                    """),
                "memory_bytes": facts.json("sum(redis_memory_used_bytes)"),
                "clients": facts.json("sum(redis_connected_clients)"),
            ]),
            "cache": CacheFacts(facts: facts).summary,
            "resources": .record([
                "cpu_cores": facts.json("sum(rate(process_cpu_seconds_total[5m]))"),
                "resident_bytes": facts.json("sum(process_resident_memory_bytes)"),
                "open_files": facts.json("sum(process_open_fds)"),
                "cpu_pressure": facts.json("max(rate(node_pressure_cpu_waiting_seconds_total[5m]))"),
                "memory_pressure": facts.json("max(rate(node_pressure_memory_waiting_seconds_total[5m]))"),
                "io_pressure": facts.json("max(rate(node_pressure_io_waiting_seconds_total[5m]))"),
            ]),
        ])
    }

    private static let advanced = Schema.object([
        "trends": .map(.word(PerformanceTrend.allCases.map(\.rawValue))),
        "time_to_limit_seconds": .map(.map(.number)), "anomalies": .array(.string),
        "opportunities": .array(
            .object(["subject": .string, "finding": .string, "value": .number, "advice": .string])),
        "top_statements": .array(
            .object([
                "queryid": .string, "datname": .string, "calls_per_second": .nullable(.number),
                "seconds_per_second": .nullable(.number),
            ])),
    ])

    private var advanced: JSON {
        let components = report()?.components ?? []
        return .record([
            "trends": .object(components.map { JSON.Member($0.name, .string($0.trend.rawValue)) }),
            "time_to_limit_seconds": .object(
                components.filter { !$0.limits.isEmpty }.map { component in
                    JSON.Member(
                        component.name,
                        .object(component.limits.map { JSON.Member($0.resource, .number($0.seconds)) }))
                }),
            "anomalies": .array(components.flatMap(\.annotations).map { .string($0) }),
            "opportunities": .array(Opportunity.all.flatMap { $0.findings(facts) }),
            "top_statements": facts.rows(
                ["queryid", "datname"],
                [
                    (
                        "seconds_per_second",
                        "topk(10, sum by (queryid, datname) (rate(pg_stat_statements_seconds_total[5m])))"
                    ),
                    (
                        "calls_per_second",
                        """
                        sum by (queryid, datname) (rate(pg_stat_statements_calls_total[5m])) and on (queryid, datname) \
                        topk(10, sum by (queryid, datname) (rate(pg_stat_statements_seconds_total[5m])))
                        """
                    ),
                ], limit: 10),
        ])
    }

    // MARK: Cleanup

    private static let cleanup = Schema.object([
        "freed_bytes": .integer, "resident_bytes": .integer, "cache_freed_bytes": .integer,
    ])

    /// What of the cache goes: that which was asked for least.
    private static let cacheShareFreed = 0.5

    private var cleanup: JSON {
        let ofCache = memory.free(share: Self.cacheShareFreed)
        let (before, after) = Memory.trim()
        return .record([
            "freed_bytes": .integer(Int64(max(0, before - after))), "resident_bytes": .integer(Int64(after)),
            "cache_freed_bytes": .integer(Int64(ofCache)),
        ])
    }
}

/// Something that could be better, found in the metrics.
private struct Opportunity: Sendable {
    let finding: String
    /// The label whose value is the subject.
    let label: String
    let query: String
    let advice: String

    static let all = [
        Opportunity(
            finding: "read by sequential scans of many rows", label: "relname",
            query: "topk(5, rate(pg_stat_user_tables_seq_tup_read[30m]) > 10000)",
            advice: "Look for a statement without an index on what it filters by."),
        Opportunity(
            finding: "share of dead rows", label: "relname",
            query: """
                topk(5, pg_stat_user_tables_n_dead_tup \
                / (pg_stat_user_tables_n_live_tup + pg_stat_user_tables_n_dead_tup > 10000) > 0.2)
                """, advice: "Let autovacuum come more often: lower autovacuum_vacuum_scale_factor for this table."),
        Opportunity(
            finding: "share of blocks found in memory", label: "datname",
            query: """
                rate(pg_stat_database_blks_hit{datname!=""}[30m]) \
                / (rate(pg_stat_database_blks_hit[30m]) + rate(pg_stat_database_blks_read[30m]) > 100) < 0.9
                """, advice: "Compare shared_buffers with the size of what is used."),
        Opportunity(
            finding: "bytes a second of temporary files", label: "datname",
            query: "rate(pg_stat_database_temp_bytes{datname!=\"\"}[30m]) > 1e6",
            advice: "Sorts and hashes do not fit work_mem: raise it for the statements concerned."),
        Opportunity(
            finding: "share of lookups that find their key", label: "instance",
            query: """
                rate(redis_keyspace_hits_total[30m]) \
                / (rate(redis_keyspace_hits_total[30m]) + rate(redis_keyspace_misses_total[30m]) > 10) < 0.5
                """, advice: "See whether keys expire too soon, or what is asked for was never written."),
    ]

    func findings(_ facts: Facts) -> [JSON] {
        facts.samples(query).map { sample in
            .record([
                "subject": .string(sample.labels[label] ?? ""), "finding": .string(finding),
                "value": .number(sample.value), "advice": .string(advice),
            ])
        }
    }
}
