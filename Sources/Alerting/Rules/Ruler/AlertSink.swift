import Metrics

/// Who is told of alerts: the dispatcher of notifications, or a test.
public protocol AlertSink: Sendable {
    /// Takes alerts that have begun, still fire, or have ended. The same alert comes again and again with the same
    /// `startsAt`, so whoever tells people has to remember what was told.
    func accept(_ alerts: [Alert]) async
}

extension Dispatcher: AlertSink {
    public func accept(_ alerts: [Alert]) async { receive(alerts) }
}

extension Alert {
    /// Nil for a pending alert, which nobody is told of.
    init?(_ due: DueAlert, at time: Int64, _ settings: RulerSettings) {
        guard let firedAt = due.alert.firedAt else { return nil }
        let query = Escape.query(due.query.expression.description)
        self.init(
            // The alert's own labels win.
            labels: settings.externalLabels.adding(due.alert.labels.pairs), annotations: due.alert.annotations,
            startsAt: Moment(milliseconds: firedAt), endsAt: Moment(milliseconds: due.endsAt),
            generatorURL: "\(settings.externalURL)/graph?g0.expr=\(query)&g0.tab=1",
            updatedAt: Moment(milliseconds: time))
    }
}
