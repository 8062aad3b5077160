import Metrics
import PromQL

/// A group of rules that is evaluated again and again: its rules one after the other, in the order of the file, each
/// seeing what those before it wrote.
struct RunningGroup {
    let file: String
    let definition: RuleGroupDefinition
    private(set) var rules: [RunningRule]
    var schedule: EvaluationSchedule

    /// Series of rules that a reload took out, to be ended at the next evaluation.
    private var orphans: Set<Labels> = []

    /// When the last evaluation began by the clock, in milliseconds since the epoch, and how many seconds it took.
    private(set) var lastStart: Int64?
    private(set) var lastDuration = 0.0
    private(set) var missed = 0

    init(file: String, _ definition: RuleGroupDefinition, settings: RulerSettings, engine: Engine, now: Int64) {
        self.file = file
        self.definition = definition
        let interval = max(1, definition.interval ?? settings.evaluationInterval)
        var engine = engine
        engine.timeout = min(engine.timeout, RunningGroup.timeout(interval: interval))
        rules = definition.rules.map { RunningRule($0, engine: engine) }
        schedule = EvaluationSchedule(group: definition.name, file: file, interval: interval, now: now)
    }

    /// How long one rule may take: all groups share a thread, and a rule that would take longer must leave the others
    /// theirs. A quarter of the interval, at least a second, at most ten.
    static func timeout(interval: Int64) -> Duration {
        .milliseconds(min(max(interval / 4, 1000), 10_000))
    }

    var key: RuleGroupKey { RuleGroupKey(file: file, name: definition.name) }

    /// Whether the other would do exactly the same, so that this one can simply go on.
    func isSame(as other: RunningGroup) -> Bool {
        definition == other.definition && schedule.interval == other.schedule.interval
    }

    /// Takes the state of the rules that stay from the group before a reload: those with the same name and labels, the
    /// n-th from the n-th.
    mutating func takeOver(_ other: RunningGroup) {
        var left = Dictionary(grouping: other.rules, by: \.rule.identity)
        for index in rules.indices {
            let identity = rules[index].rule.identity
            guard let known = left[identity]?.first else { continue }
            left[identity]?.removeFirst()
            rules[index].takeOver(known)
        }
        orphans = other.orphans.union(left.values.joined().flatMap(\.series))
    }

    /// Takes alerts that were saved, in the same way.
    mutating func restore(_ saved: SavedAlerts.Group) {
        var left = Dictionary(grouping: saved.rules) { RuleIdentity(name: $0.name, labels: $0.labels) }
        for index in rules.indices {
            let identity = rules[index].rule.identity
            guard case .alerting = rules[index].rule, let known = left[identity]?.first else { continue }
            left[identity]?.removeFirst()
            rules[index].restore(known)
        }
    }

    /// Every series that is alive because of this group.
    var series: Set<Labels> { rules.reduce(into: orphans) { $0.formUnion($1.series) } }

    /// Evaluates all rules at `time`. `missed` times before it were left out.
    mutating func evaluate(at time: Int64, missed: Int = 0, _ context: EvaluationContext) {
        var context = context
        context.limit = definition.limit
        context.queryOffset = definition.queryOffset ?? context.settings.queryOffset
        let start = context.stopwatch()
        lastStart = context.now()
        self.missed += missed
        for index in rules.indices {
            let samples = rules[index].evaluate(at: time, context)
            if !samples.isEmpty { context.store.append(samples) }
        }
        if !orphans.isEmpty {
            let alive = rules.reduce(into: Set<Labels>()) { $0.formUnion($1.series) }
            let sampleTime = time - context.queryOffset
            context.store.append(
                orphans.subtracting(alive).map { RuleSample(labels: $0, time: sampleTime, value: StaleNaN.value) })
            orphans = []
        }
        lastDuration = context.stopwatch() - start
    }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) {
        schedule.move(by: step)
        lastStart = lastStart.map { $0 + step }
        for index in rules.indices { rules[index].move(by: step) }
    }

    // MARK: Handing on

    /// What has to be handed on after the evaluation at `time`. A rule whose evaluation failed hands on nothing.
    func due(at time: Int64, _ settings: RulerSettings) -> [DueAlert] {
        let validUntil = time + 4 * max(schedule.interval, settings.resendDelay)
        var due: [DueAlert] = []
        for (index, running) in rules.enumerated() where running.lastError == nil {
            for alert in running.alerts.due(at: time, resendDelay: settings.resendDelay) {
                due.append(
                    DueAlert(
                        alert: alert, query: running.rule.query, endsAt: alert.resolvedAt ?? validUntil, rule: index))
            }
        }
        return due
    }

    mutating func noteSent(_ sent: [DueAlert], at time: Int64) {
        for (index, alerts) in Dictionary(grouping: sent, by: \.rule) where rules.indices.contains(index) {
            rules[index].noteSent(alerts.map(\.alert.labels), at: time)
        }
    }
}

/// What tells groups apart.
struct RuleGroupKey: Hashable, Sendable, Comparable {
    let file: String
    let name: String

    static func < (left: RuleGroupKey, right: RuleGroupKey) -> Bool {
        left.file == right.file
            ? left.name.utf8.lexicographicallyPrecedes(right.name.utf8)
            : left.file.utf8.lexicographicallyPrecedes(right.file.utf8)
    }
}

/// An alert that has to be handed on.
struct DueAlert: Sendable {
    let alert: ActiveAlert
    let query: Query

    /// When it ended, or the moment at which whoever hears nothing more may believe that it has.
    let endsAt: Int64

    /// Place of its rule in the group.
    let rule: Int
}
