import Metrics

/// What the ruler counts about itself, by group. A group goes by `file;name`.
public struct RulerMetrics: Sendable {
    private static let byGroup = ["rule_group"]

    private let evaluations = CounterFamily(
        .counter("outrigger_rule_evaluations_total", "Evaluations of rules."), labelNames: byGroup)
    private let failures = CounterFamily(
        .counter("outrigger_rule_evaluation_failures_total", "Evaluations of rules that failed."), labelNames: byGroup)
    private let missed = CounterFamily(
        .counter(
            "outrigger_rule_group_iterations_missed_total",
            "Evaluations of groups left out because those before took too long."), labelNames: byGroup)
    private let duration = GaugeFamily(
        .gauge("outrigger_rule_group_last_duration_seconds", "How long the group's last evaluation took."),
        labelNames: byGroup)
    private let lastEvaluation = GaugeFamily(
        .gauge(
            "outrigger_rule_group_last_evaluation_timestamp_seconds",
            "When the group was last evaluated, in seconds since 1970."), labelNames: byGroup)
    private let interval = GaugeFamily(
        .gauge("outrigger_rule_group_interval_seconds", "How far apart the group's evaluations are."),
        labelNames: byGroup)
    private let rules = GaugeFamily(
        .gauge("outrigger_rule_group_rules", "Rules of the group."), labelNames: byGroup)
    private let lackingHistory = GaugeFamily(
        .gauge(
            "outrigger_rule_group_rules_insufficient_history",
            "Rules of the group that look further back than the history reaches."), labelNames: byGroup)
    private let alerts = GaugeFamily(
        .gauge("outrigger_alerts", "Alerts that are pending or firing."), labelNames: ["state"])
    private let saveFailures = CounterFamily(
        .counter("outrigger_rule_state_save_failures_total", "Failed attempts to save the alerts' states."))

    /// For the registry.
    public var instruments: [any Instrument] {
        [
            evaluations, failures, missed, duration, lastEvaluation, interval, rules, lackingHistory, alerts,
            saveFailures,
        ]
    }

    func noteEvaluation(of group: RunningGroup, missed count: Int) {
        let label = [group.key.label]
        evaluations.with(label).add(group.rules.count)
        failures.with(label).add(group.rules.count { $0.lastError != nil })
        missed.with(label).add(count)
        duration.with(label).set(group.lastDuration)
        lastEvaluation.with(label).set(Double(group.lastStart ?? 0) / 1000)
        lackingHistory.with(label).set(Double(group.rules.count { $0.lacksHistory }))
    }

    func noteLoaded(_ group: RunningGroup) {
        interval.with([group.key.label]).set(Double(group.schedule.interval) / 1000)
        rules.with([group.key.label]).set(Double(group.rules.count))
        evaluations.with([group.key.label]).add(0)
        failures.with([group.key.label]).add(0)
        missed.with([group.key.label]).add(0)
    }

    func noteAlerts(_ groups: some Sequence<RunningGroup>) {
        var counts: [AlertState: Int] = [.pending: 0, .firing: 0]
        for alert in groups.lazy.flatMap(\.rules).flatMap(\.alerts.alerts) { counts[alert.state, default: 0] += 1 }
        for state in [AlertState.pending, .firing] { alerts.with([state.rawValue]).set(Double(counts[state] ?? 0)) }
    }

    func forget(_ key: RuleGroupKey) {
        for family in [evaluations, failures, missed] { family.remove([key.label]) }
        for family in [duration, lastEvaluation, interval, rules, lackingHistory] { family.remove([key.label]) }
    }

    func noteSaveFailure() { saveFailures.with([]).add() }
}

extension RuleGroupKey {
    /// The group in metrics.
    var label: String { "\(file);\(name)" }
}
