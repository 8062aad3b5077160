import Metrics
import Runtime

/// An alert that always fires, posted to a webhook at an interval, so that somebody outside notices when Outrigger falls
/// silent: a dead man's switch.
public struct Heartbeat: Sendable {
    /// The name of the receiver whose webhooks get it.
    public var receiver: String
    /// Between two posts, and how long one may take.
    public var interval: Duration
    /// With `alertname`.
    public var labels: Labels
    public var annotations: [Label]

    public static let defaultName = "Watchdog"

    public init(receiver: String, interval: Duration, labels: Labels = Labels([:]), annotations: [Label] = []) {
        self.receiver = receiver
        self.interval = interval
        self.labels = labels["alertname"] == nil ? labels.adding([Label("alertname", Self.defaultName)]) : labels
        self.annotations = annotations
    }

    /// The message of one beat.
    ///
    /// - Parameter start: since when Outrigger runs.
    func message(
        to settings: WebhookSettings, _ integration: IntegrationID, externalURL: String, start: Moment, at now: Moment
    ) -> Switchboard.Message {
        let alert = Alert(labels: labels, annotations: annotations, startsAt: start, updatedAt: now)
        let body = WebhookMessage(
            receiver: receiver, alerts: [alert], groupLabels: labels, groupKey: "{}:\(labels.goText)",
            externalURL: externalURL, time: now
        ).body
        return Switchboard.Message(
            id: 0, integration: integration, settings: settings, body: body,
            deadline: now + min(interval, settings.timeout ?? interval), attempt: 1, reason: .repeated)
    }
}
