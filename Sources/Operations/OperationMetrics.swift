import Metrics

/// The names under which operations are told.
public enum OperationMetrics {
    public static let duration = Metric(
        "outrigger_operation_duration_seconds", .histogram, "How long the service's operations took.")
    public static let total = Metric.counter(
        "outrigger_operations_total", "Operations that ended, with or without a duration.")
    public static let errors = Metric.counter(
        "outrigger_operation_errors_total", "Operations that ended with a status that counts as an error.")
    public static let inFlight = Metric.gauge(
        "outrigger_operations_in_flight", "Operations that began and have not ended.")
    static let serviceCheck = Metric.gauge(
        "outrigger_service_check_status",
        "Last status of a DogStatsD service check: 0 ok, 1 warning, 2 critical, 3 unknown.")

    static let overLimit = Metric.counter(
        "outrigger_operation_limit_total",
        "Samples whose operation, tag values or series were counted under other because a limit was reached.")
    static let samples = Metric.counter("outrigger_statsd_samples_total", "StatsD samples read, by type.")
    static let malformed = Metric.counter(
        "outrigger_statsd_malformed_total", "StatsD lines or values that could not be read, by reason.")
    static let dropped = Metric.counter(
        "outrigger_statsd_samples_dropped_total", "StatsD samples that were read and not used, by reason.")
    static let events = Metric.counter("outrigger_statsd_events_total", "DogStatsD events, by alert type.")
    static let serviceChecks = Metric.counter("outrigger_statsd_service_checks_total", "DogStatsD service checks.")
    static let packets = Metric.counter("outrigger_statsd_packets_total", "StatsD packets received.")
    static let bytes = Metric.counter("outrigger_statsd_bytes_total", "Bytes of StatsD packets received.")
    static let lost = Metric.counter(
        "outrigger_statsd_packets_lost_total",
        "StatsD packets that the kernel threw away because the socket's receive buffer was full.")
    static let buffer = Metric.gauge(
        "outrigger_statsd_receive_buffer_bytes", "Receive buffer that the kernel granted to the StatsD socket.")
    static let posted = Metric.counter("outrigger_events_received_total", "Events taken by POST /v1/events.")
    static let refused = Metric.counter(
        "outrigger_events_requests_refused_total",
        "Requests to POST /v1/events that were refused, and nothing of them used.")
}

/// Why a sample that could be read was not used.
enum DropReason: Int, CaseIterable {
    /// A mapping rule says so.
    case mapping
    /// The metric's name belongs to another type already, or to Outrigger.
    case name
    /// A counter cannot fall, and nothing takes less than no time.
    case negative
    /// `statsd.metric_limit` names are known already.
    case limit

    var word: String {
        switch self {
        case .mapping: "mapping"
        case .name: "name"
        case .negative: "negative"
        case .limit: "limit"
        }
    }
}

/// Which limits stood in a sample's way, so that it was counted under `other`.
struct CrossedLimits: OptionSet {
    let rawValue: UInt8

    static let operations = CrossedLimits(rawValue: 1)
    static let tagValues = CrossedLimits(rawValue: 2)
    static let series = CrossedLimits(rawValue: 4)

    static let all: [(limit: CrossedLimits, word: String)] = [
        (.operations, "operations"), (.tagValues, "tag_values"), (.series, "series"),
    ]
}

/// What stands in the place of a label's value beyond the limit.
let otherValue = "other"
