import Metrics

/// Who is told of alerts: the dispatcher of notifications, or Alertmanagers.
public protocol AlertSink: Sendable {
    /// Takes alerts that have begun, still fire, or have ended. The same alert comes again and again with the same
    /// `startsAt`, so whoever tells people has to remember what was told.
    func accept(_ alerts: [RuleAlert]) async
}

/// An alert on its way out.
public struct RuleAlert: Sendable, Equatable {
    /// Without external labels.
    public let labels: Labels

    /// Sorted by name; values may be empty.
    public let annotations: [Label]

    /// Milliseconds since the epoch. `endsAt` lies in the future for an alert that fires: it ends then if nothing more
    /// is heard of it.
    public let startsAt: Int64
    public let endsAt: Int64
    public let isResolved: Bool

    /// Where the rule's query can be seen.
    public let generatorURL: String
}

extension RuleAlert {
    /// Nil for a pending alert, which nobody is told of.
    init?(_ due: DueAlert, externalURL: String) {
        guard let firedAt = due.alert.firedAt else { return nil }
        labels = due.alert.labels
        annotations = due.alert.annotations
        startsAt = firedAt
        endsAt = due.endsAt
        isResolved = due.isResolved
        generatorURL = "\(externalURL)/graph?g0.expr=\(Escape.query(due.query.expression.description))&g0.tab=1"
    }
}
