import Metrics

/// All rules and their alerts as they were after the latest evaluation.
public struct RulesSnapshot: Sendable {
    /// Sorted by file, then by name.
    public var groups: [Group] = []

    public init() {}

    public struct Group: Sendable {
        public let file: String
        public let definition: RuleGroupDefinition

        /// Milliseconds.
        public let interval: Int64
        public let rules: [Rule]

        /// When the last evaluation began by the clock, in milliseconds since the epoch.
        public let lastStart: Int64?

        /// Seconds.
        public let lastDuration: Double

        /// Evaluations left out because those before took too long.
        public let missed: Int
    }

    public struct Rule: Sendable {
        public let rule: Alerting.Rule

        /// Alerts of an alerting rule, resolved ones among them, in the order in which they became active.
        public let alerts: [ActiveAlert]

        /// The newest last.
        public let evaluations: [EvaluationRecord]
        public let lastError: String?

        /// Whether the query looks further back than the store reaches.
        public let lacksHistory: Bool

        /// Pending if some alert is, firing if some alert is.
        public var state: AlertState {
            if alerts.contains(where: { $0.state == .firing }) { return .firing }
            return alerts.contains { $0.state == .pending } ? .pending : .inactive
        }
    }
}

extension RulesSnapshot.Group {
    init(_ group: RunningGroup) {
        file = group.file
        definition = group.definition
        interval = group.schedule.interval
        rules = group.rules.map(RulesSnapshot.Rule.init)
        lastStart = group.lastStart
        lastDuration = group.lastDuration
        missed = group.missed
    }
}

extension RulesSnapshot.Rule {
    init(_ running: RunningRule) {
        rule = running.rule
        alerts = running.alerts.alerts
        evaluations = running.evaluations
        lastError = running.lastError?.description
        lacksHistory = running.lacksHistory
    }
}
