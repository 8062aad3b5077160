import Metrics
import Runtime

/// What Outrigger counts about itself.
struct OwnMetrics: Sendable {
    let instruments: InstrumentSource
    let duplicates = CounterFamily(
        .counter("outrigger_series_duplicates_total", "Series left out of a scrape because they stood in it already."))
    let isReady: Gauge
    private let reloadSuccess: Gauge
    private let reloadTime: Gauge
    private let waiting = GaugeFamily(
        .gauge(
            "outrigger_config_restart_needed", "Always 1; the setting was changed and waits for the next start."),
        labelNames: ["setting"])

    /// - Parameter aliases: whether the names of older exporters are served, too.
    init(aliases: Bool = false) {
        let build = GaugeFamily(
            Metric("outrigger_build_info", .info, "Always 1; the labels tell the version."),
            labelNames: ["version", "swift_version"])
        build.with([Outrigger.version, "6.3"]).set(1)
        let success = GaugeFamily(
            .gauge(
                "outrigger_config_last_reload_successful", "Whether the last reading of the configuration succeeded."))
        let time = GaugeFamily(
            .gauge(
                "outrigger_config_last_reload_success_timestamp_seconds",
                "When the configuration was last read successfully, in seconds since 1970."))
        let ready = GaugeFamily(.gauge("outrigger_ready", "Whether every listener is open."))
        (isReady, reloadSuccess, reloadTime) = (ready.with([]), success.with([]), time.with([]))
        let exporters: [any Instrument] =
            aliases ? [Self.build(of: "postgres_exporter"), Self.build(of: "redis_exporter")] : []
        instruments = InstrumentSource(
            "outrigger", [build, success, time, ready, duplicates, waiting] + Self.logReadings + exporters)
    }

    private static var logReadings: [any Instrument] {
        [
            Reading(
                .counter("outrigger_log_lines_dropped_total", "Lines of the log dropped because stderr took none.")
            ) { Double(Log.dropped) },
            Reading(
                .counter(
                    "outrigger_log_lines_repeated_total",
                    "Lines of the log held back because they had been written within the second.")
            ) { Double(Log.repeated) },
        ]
    }

    /// What dashboards count exporters by. The version is ours, because none of theirs is running.
    private static func build(of exporter: String) -> GaugeFamily {
        let isPostgres = exporter == "postgres_exporter"
        let names =
            isPostgres
            ? ["branch", "goarch", "goos", "goversion", "revision", "tags", "version"]
            : ["build_date", "commit_sha", "golang_version", "version"]
        let build = GaugeFamily(
            .gauge(
                "\(exporter)_build_info",
                isPostgres
                    ? "A metric with a constant '1' value labeled by version, revision, branch, goversion from which "
                        + "postgres_exporter was built, and the goos and goarch for the build."
                    : "redis exporter build_info"), labelNames: names)
        build.with(names.map { $0 == "version" ? Outrigger.version : "" }).set(1)
        return build
    }

    /// - Parameter settings: those whose change waits for the next start.
    func reloadSucceeded(waiting settings: [String] = []) {
        waiting.removeAll()
        for setting in settings { waiting.with([setting]).set(1) }
        reloadSuccess.set(1)
        reloadTime.set(WallClock.now.rounded())
    }

    func reloadFailed() { reloadSuccess.set(0) }
}
