import Metrics

/// The report as metrics, for rules and dashboards.
struct PerformanceMetrics: Sendable {
    private let level = GaugeFamily(
        .gauge(
            "outrigger_performance_level",
            "Whether a component is at a level: 1 for the one it is at, 0 for the others."),
        labelNames: ["component", "level"])
    private let code = GaugeFamily(
        .gauge(
            "outrigger_performance_level_code",
            "The level as a number: 0 excellent, 1 good, 2 fair, 3 poor, 4 critical, -1 unknown."),
        labelNames: ["component"])
    private let since = GaugeFamily(
        .gauge(
            "outrigger_performance_level_since_timestamp_seconds",
            "When the level was entered, in seconds since 1970."),
        labelNames: ["component"])
    private let held = GaugeFamily(
        .gauge(
            "outrigger_performance_level_held_until_timestamp_seconds",
            "Until when the level is held although things are better now, in seconds since 1970; absent where it is not."
        ),
        labelNames: ["component"])
    private let current = GaugeFamily(
        .gauge(
            "outrigger_performance_current_level_code",
            "The level that the indicators say at this moment, before it is held, as the number of the level."),
        labelNames: ["component"])
    private let score = GaugeFamily(
        .gauge("outrigger_performance_score", "How well a component does, from 0 to 100; absent while unknown."),
        labelNames: ["component"])
    private let reason = GaugeFamily(
        .gauge("outrigger_performance_reason", "The level code of an indicator that decides its component's level."),
        labelNames: ["component", "indicator"])
    private let trend = GaugeFamily(
        .gauge(
            "outrigger_performance_trend",
            "Where the score has been heading: 1 improving, 0 steady, -1 degrading; absent while unknown."),
        labelNames: ["component"])
    private let limit = GaugeFamily(
        .gauge(
            "outrigger_performance_time_to_limit_seconds",
            "Seconds until a resource is full if it goes on as in the last quarter of an hour."),
        labelNames: ["component", "resource"])
    private let failures = CounterFamily(
        .counter(
            "outrigger_performance_question_failures_total", "Questions of the classifier that could not be answered."))

    var instruments: [any Instrument] { [level, code, since, held, current, score, reason, trend, limit, failures] }

    /// Names that a report before this one showed, to be taken back when they no longer hold.
    struct Shown: Sendable {
        fileprivate var components: Set<String> = []
        fileprivate var reasons: Set<[String]> = []
        fileprivate var limits: Set<[String]> = []
    }

    func failed() { failures.with([]).add() }

    func show(_ report: PerformanceReport, replacing shown: inout Shown) {
        var fresh = Shown()
        for component in report.components + [report.overall] {
            let name = component.name
            fresh.components.insert(name)
            for each in PerformanceLevel.allCases {
                level.with([name, each.rawValue]).set(each == component.level ? 1 : 0)
            }
            code.with([name]).set(Double(component.level.code))
            since.with([name]).set(Double(component.since.milliseconds) / 1000)
            current.with([name]).set(Double(component.current.code))
            if let until = component.heldUntil {
                held.with([name]).set(Double(until.milliseconds) / 1000)
            } else {
                held.remove([name])
            }
            if let value = component.score { score.with([name]).set(value) } else { score.remove([name]) }
            if let value = component.trend.code { trend.with([name]).set(Double(value)) } else { trend.remove([name]) }
        }
        for component in report.components {
            for each in component.reasons {
                fresh.reasons.insert([component.name, each.indicator])
                reason.with([component.name, each.indicator]).set(Double(each.level.code))
            }
            for each in component.limits {
                fresh.limits.insert([component.name, each.resource])
                limit.with([component.name, each.resource]).set(each.seconds)
            }
        }
        for labels in shown.reasons.subtracting(fresh.reasons) { reason.remove(labels) }
        for labels in shown.limits.subtracting(fresh.limits) { limit.remove(labels) }
        for name in shown.components.subtracting(fresh.components) {
            for each in PerformanceLevel.allCases { level.remove([name, each.rawValue]) }
            for family in [code, since, held, current, score, trend] { family.remove([name]) }
        }
        shown = fresh
    }
}
