import Runtime

/// What people may set about the judgement.
public struct PerformanceSettings: Sendable, Equatable {
    public var isEnabled = true
    /// Between judgements.
    public var interval = Duration.seconds(15)
    /// The window of rates.
    public var window = Duration.seconds(300)
    /// How long a component must do better before its level rises by one step.
    public var hold = Duration.seconds(75)
    /// After a start without remembered levels, nothing but an outage is judged for this long.
    public var warmUp = Duration.seconds(60)
    /// Answers up to this are satisfying, up to four times this tolerable.
    public var apdexTarget = 0.5
    /// The share of operations that shall succeed.
    public var objective = 0.999
    /// Fewer operations than this in a window say nothing.
    public var leastOperations = 100
    /// Where the columns of saturation are 0.5, 0.7, 0.85 and 0.95; another value moves all of them in proportion.
    public var alertThreshold = 0.8
    /// By `component.indicator`: where good, fair, poor and critical begin.
    public var thresholds: [String: [Double]] = [:]
    /// Names of the operations that a proxy counts for what it carries, of letters, digits and `_`. The service is judged by
    /// them only while it reports none of its own. Not a setting of people's.
    public var proxiedOperations: [String] = []

    public init() {}

    public static func read(_ settings: Settings) throws(SettingsError) -> PerformanceSettings {
        var read = PerformanceSettings()
        read.isEnabled = try settings.read(
            "performance.enabled", default: true, "Whether performance levels are judged.",
            aliases: ["PERFORMANCE_MONITORING_ENABLED"])
        read.interval = try settings.read(
            "performance.interval", default: read.interval, "How far apart judgements are.",
            in: .seconds(1)...(.seconds(3600)))
        read.window = try settings.read(
            "performance.window", default: read.window, "The window of the rates that are judged.",
            in: .seconds(2)...(.seconds(86400)))
        read.hold = try settings.read(
            "performance.hold", default: read.hold,
            "How long a component must do better before its level rises by one step.")
        read.warmUp = try settings.read(
            "performance.warm_up", default: read.warmUp,
            "After a first start, how long levels stay unknown, outages apart.")
        read.apdexTarget = try settings.read(
            "performance.apdex_target", default: read.apdexTarget,
            "Seconds up to which an operation satisfies; up to four times as many are tolerable.", in: 0.001...3600)
        read.objective = try settings.read(
            "performance.objective", default: read.objective, "The share of operations that shall succeed.",
            in: 0.5...0.99999)
        read.leastOperations = try settings.read(
            "performance.least_operations", default: read.leastOperations,
            "With fewer operations in a window, the service's level is unknown.", in: 1...1_000_000)
        read.alertThreshold = try settings.read(
            "performance.alert_threshold", default: read.alertThreshold,
            "Moves the saturation at which levels begin: at 0.8 they begin at 0.5, 0.7, 0.85 and 0.95.",
            aliases: ["PERFORMANCE_ALERT_THRESHOLD"], in: 0.1...1)
        try read.readThresholds(settings)
        return read
    }

    private mutating func readThresholds(_ settings: Settings) throws(SettingsError) {
        let section = settings.readSection(
            "performance.thresholds",
            "By component.indicator, four numbers: where good, fair, poor and critical begin.")
        let known = Indicator.table(PerformanceSettings()).map(\.key)
        for entry in section?.entries ?? [] {
            let numbers = entry.value.items?.compactMap { $0.text.flatMap { Double($0) } } ?? []
            guard known.contains(entry.key), numbers.count == 4 else {
                throw SettingsError(
                    place: "\(settings.fileName):\(entry.line)", key: "performance.thresholds.\(entry.key)",
                    problem: known.contains(entry.key)
                        ? "needs four numbers" : "is no indicator; there are \(known.joined(separator: ", "))")
            }
            thresholds[entry.key] = numbers
        }
    }
}
