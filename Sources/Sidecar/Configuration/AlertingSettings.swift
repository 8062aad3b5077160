import Alerting
import Metrics
import Network
import Runtime

/// What is remembered, which rules are evaluated, and who is told.
struct AlertingSettings {
    let ruler: RulerSettings
    /// Nil when nobody is told.
    let notification: NotificationSettings?
    var performance: PerformanceSettings
    let historyInterval: Duration
    let historyLimitBytes: Int
    let saveInterval: Duration
    /// Samples that one query, and all that are asked over HTTP together, may hold.
    let querySamples: Int
    /// Nil to keep nothing over a restart.
    let stateFolder: String?

    /// - Parameter listen: where the web listener is, for links when `alerting.external_url` is not set.
    init(_ settings: Settings, listen: ListenAddress?) throws(SettingsError) {
        historyInterval = try settings.read(
            "history.interval", default: .seconds(15), "How far apart samples of everything are kept.",
            in: .seconds(1)...(.seconds(3600)))
        historyLimitBytes = try settings.read(
            "history.max_bytes", default: ByteCount(32 << 20),
            "Memory that the history may use; beyond it the longest is shortened.",
            in: ByteCount(1 << 20)...ByteCount(1 << 40)
        ).bytes
        querySamples = try settings.read(
            "query.max_samples", default: 5_000_000,
            "Samples that a query may read and make, and all queries over HTTP together: about 20 bytes each.",
            in: 1000...1_000_000_000)
        saveInterval = try settings.read(
            "history.save_interval", default: .seconds(300), "How far apart the history is written to state.dir.")
        stateFolder = try settings.read(
            "state.dir", as: String.self,
            "Folder for what must survive a restart: alerts, notifications, silences, history.",
            aliases: ["STATE_DIRECTORY"])
        let external = try settings.read(
            "alerting.external_url", as: String.self, "Where people reach Outrigger, for links in messages.")
        var ruler = RulerSettings()
        ruler.externalURL = external ?? "http://\(hostName()):\(listen?.port ?? 9847)"
        let files = try settings.readList(
            "alerting.rules", "Rule files of Prometheus, as globs, relative to this file.")
        ruler.files = files.map { settings.hasFile ? AlertingSettings.path($0, beside: settings.fileName) : $0 }
        ruler.evaluationInterval = try AlertingSettings.milliseconds(
            settings, "alerting.evaluation_interval", default: .seconds(15),
            "How often groups without an interval are evaluated.")
        ruler.queryOffset = try AlertingSettings.milliseconds(
            settings, "alerting.query_offset", default: .zero, "How far in the past rules look.")
        ruler.resendDelay = try AlertingSettings.milliseconds(
            settings, "alerting.resend_delay", default: .seconds(60),
            "How often an alert that still fires is handed on again.")
        ruler.settlingTime = try AlertingSettings.milliseconds(
            settings, "alerting.settling_time", default: .seconds(60),
            "After a start, how long a remembered alert waits for its series before it counts as resolved.")
        ruler.evaluationsKept = try settings.read(
            "alerting.evaluations_kept", default: 20, "Evaluations of each rule that /v1/rules/evaluations shows.",
            in: 1...1000)
        ruler.externalLabels = try AlertingSettings.labels(
            settings.readSection("alerting.external_labels", "Labels that are added to every alert that leaves."),
            settings)
        notification = try NotificationSettings.read(settings, externalURL: ruler.externalURL)
        performance = try PerformanceSettings.read(settings)
        self.ruler = ruler
    }

    private static func milliseconds(
        _ settings: Settings, _ name: String, default fallback: Duration, _ help: String
    ) throws(SettingsError) -> Int64 {
        Int64(try settings.read(name, default: fallback, help).milliseconds)
    }

    private static func labels(_ node: YAML?, _ settings: Settings) throws(SettingsError) -> Labels {
        var labels: [Label] = []
        for entry in node?.entries ?? [] {
            guard let value = entry.value.text, Metric.isValidLabelName(entry.key) else {
                throw SettingsError(
                    place: "\(settings.fileName):\(entry.line)", key: "alerting.external_labels.\(entry.key)",
                    problem: "is no label")
            }
            labels.append(Label(entry.key, value))
        }
        return Labels(labels)
    }

    private static func path(_ pattern: String, beside file: String) -> String {
        guard !pattern.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return pattern }
        return file[...slash] + pattern
    }
}
