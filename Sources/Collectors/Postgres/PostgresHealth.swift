import Databases
import Metrics
import Runtime

/// What a target says about its own work: whether the server is up, and how each collector did. It logs when something
/// begins to fail and when it works again, and is silent in between.
struct PostgresHealth {
    static let up = Metric.gauge(
        "pg_up",
        "Whether the last scrape of metrics from PostgreSQL was able to connect to the server (1 for yes, 0 for no).")
    static let lastDuration = Metric.gauge(
        "pg_exporter_last_scrape_duration_seconds", "Duration of the last scrape of metrics from PostgreSQL.")
    static let lastError = Metric.gauge(
        "pg_exporter_last_scrape_error",
        "Whether the last scrape of metrics from PostgreSQL resulted in an error (1 for error, 0 for success).")
    static let scrapes = Metric.counter(
        "pg_exporter_scrapes_total", "Total number of times PostgreSQL was scraped for metrics.")
    static let queryFiles = Metric.gauge(
        "pg_exporter_user_queries_load_error",
        "Whether the user queries file was loaded and parsed successfully (1 for error, 0 for success).")
    static let version = Metric("pg_static", .untyped, "Version string as reported by postgres")
    static let collectorDuration = Metric.gauge(
        "pg_scrape_collector_duration_seconds", "postgres_exporter: Duration of a collector scrape.")
    static let collectorSuccess = Metric.gauge(
        "pg_scrape_collector_success", "postgres_exporter: Whether a collector succeeded.")
    static let connectionAge = Metric.gauge(
        "outrigger_postgres_connection_age_seconds", "Age of the connection that the server is asked over.")
    static let connectDuration = Metric.gauge(
        "outrigger_postgres_connect_duration_seconds", "How long opening that connection took.")
    static let connectionsOpened = Metric.counter(
        "outrigger_postgres_connections_opened_total", "Connections opened to the server, to all its databases.")

    static let databasesRefused = Metric.gauge(
        "outrigger_postgres_databases_refused", "Databases to watch that do not let us in; the log names them.")
    static let tablesDropped = Metric.gauge(
        "outrigger_postgres_tables_dropped",
        "Tables without series because there are more than postgres.table_limit; the smallest.")
    static let answersDropped = Metric.counter(
        "outrigger_postgres_answers_dropped_total",
        "Answers given up because they were larger than postgres.answer_limit_bytes or postgres.answer_limit_rows.")

    /// What is served without a name for `collect[]`, because it is always there.
    static let collectorName = "core"
    static let serves: [PostgresCollector.Served] =
        [
            up, lastDuration, lastError, scrapes, connectionAge, connectDuration, connectionsOpened, databasesRefused,
            tablesDropped,
            answersDropped,
        ]
        .map { .init(metric: $0, labels: []) }
        + [
            .init(metric: queryFiles, labels: ["filename", "hashsum"]),
            .init(metric: version, labels: ["server", "short_version", "version"]),
            .init(metric: collectorDuration, labels: ["collector"]),
            .init(metric: collectorSuccess, labels: ["collector"]),
            .init(metric: CollectorHealth.lastError, labels: ["class", "collector"]),
        ]

    /// How one collector did in all databases together.
    struct Result {
        var duration = Duration.zero
        var error: PostgresError?
        var isConnectionError = false
    }

    private let target: String
    /// What the log has last said of a collector that fails for reasons of its own.
    private var logged: [String: PostgresError.Kind] = [:]
    private var lastErrors: [String: PostgresError.Kind] = [:]
    private var downSince: PostgresError?
    private var dropsTables = false
    private var hasAnswered = false

    init(target: String) { self.target = target }

    mutating func record(connection error: PostgresError?) {
        switch (downSince, error) {
        case (nil, let error?): Log.warn("postgres is down", ["target": target, "error": error.description])
        case (let old?, let error?) where old.message != error.message:
            Log.warn("postgres is still down", ["target": target, "error": error.description])
        case (.some, nil): Log.info("postgres is up\(hasAnswered ? " again" : "")", ["target": target])
        case (nil, nil) where !hasAnswered: Log.info("postgres is up", ["target": target])
        default: break
        }
        downSince = error
        if error == nil { hasAnswered = true }
    }

    mutating func record(tablesDropped count: Int, limit: Int) {
        guard (count > 0) != dropsTables else { return }
        dropsTables = count > 0
        if dropsTables {
            Log.warn(
                "postgres tables are left out, the smallest",
                ["target": target, "tables": "\(count)", "limit": "\(limit)"])
        } else {
            Log.info("postgres tables all have series again", ["target": target])
        }
    }

    mutating func record(_ result: Result, of collector: String) {
        guard let error = result.error else {
            if logged.removeValue(forKey: collector) != nil {
                Log.info("postgres collector works again", ["target": target, "collector": collector])
            }
            return
        }
        lastErrors[collector] = error.kind
        // That the server is down is said once, and not for every collector.
        guard !result.isConnectionError, logged.updateValue(error.kind, forKey: collector) != error.kind else { return }
        Log.warn(
            "postgres collector fails",
            ["target": target, "collector": collector, "class": error.kind.rawValue, "error": error.description])
    }

    /// The series about collectors.
    func families(
        _ results: [(collector: String, result: Result)], aliases: Bool, _ common: [Label]
    ) -> [Family] {
        var duration = Family(PostgresHealth.collectorDuration)
        var success = Family(PostgresHealth.collectorSuccess)
        var errors = Family(CollectorHealth.lastError)
        for (collector, result) in results {
            for name in [collector] + (aliases ? PostgresAliases.collectors[collector].map { [$0] } ?? [] : []) {
                let labels = Labels(common + [Label("collector", name)])
                duration.samples.append(Sample(labels, result.duration.seconds))
                success.samples.append(Sample(labels, result.error == nil ? 1 : 0))
            }
            if let kind = lastErrors[collector] {
                let labels = Labels(common + [Label("class", kind.rawValue), Label("collector", collector)])
                errors.samples.append(Sample(labels, 1))
            }
        }
        return [duration, success, errors]
    }
}
