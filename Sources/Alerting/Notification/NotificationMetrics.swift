import Metrics

/// What telling people costs and how it goes, for `/metrics`.
public final class NotificationMetrics: Sendable {
    private static let integration = ["receiver", "integration"]

    /// Messages begun; each may take several requests.
    public let notifications = CounterFamily(
        .counter("outrigger_notifications_total", "Messages to receivers that were begun."), labelNames: integration)
    public let failed = CounterFamily(
        .counter("outrigger_notifications_failed_total", "Messages to receivers that were given up, by reason."),
        labelNames: integration + ["reason"])
    public let requests = CounterFamily(
        .counter("outrigger_notification_requests_total", "Requests to receivers."), labelNames: integration)
    public let failedRequests = CounterFamily(
        .counter("outrigger_notification_requests_failed_total", "Requests to receivers that were not accepted."),
        labelNames: integration)
    public let latency = HistogramFamily(
        Metric("outrigger_notification_latency_seconds", .histogram, "Time of one request to a receiver."),
        bounds: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 20, 60], labelNames: integration)
    public let queueLength = GaugeFamily(
        .gauge("outrigger_notifications_queue_length", "Messages or alerts that wait for a receiver or are under way."),
        labelNames: integration)
    public let queueCapacity = GaugeFamily(
        .gauge("outrigger_notifications_queue_capacity", "Messages or alerts that may wait for a receiver."),
        labelNames: integration)
    public let dropped = CounterFamily(
        .counter("outrigger_notifications_dropped_total", "Alerts dropped because a queue or a table was full."),
        labelNames: ["reason"])
    public let stateErrors = CounterFamily(
        .counter("outrigger_notification_state_errors_total", "Notification state that could not be written to disk."))
    public let heartbeatTime = GaugeFamily(
        .gauge("outrigger_heartbeat_timestamp_seconds", "When a heartbeat was accepted last, in seconds since 1970."),
        labelNames: ["receiver"])

    public init() {
        for reason in ["alert_limit", "alert_name_limit", "group_limit", "alertmanager_queue"] {
            dropped.with([reason]).add(0)
        }
    }

    public var all: [any Instrument] {
        [
            notifications, failed, requests, failedRequests, latency, queueLength, queueCapacity, dropped, stateErrors,
            heartbeatTime,
        ]
    }
}
