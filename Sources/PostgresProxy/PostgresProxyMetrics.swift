import Metrics

/// What the proxy counts that no snapshot shows. Label values come from closed sets.
final class PostgresProxyMetrics: Sendable {
    let accepted = Counter()
    let wrongPasswords = Counter()
    let cancels = Counter()
    let unknownCancels = Counter()
    let droppedCancels = Counter()
    let late = Counter()
    let wait: Histogram
    let duration: Histogram
    let pins: CounterFamily
    let instruments: [any Instrument]

    private static let durations = [
        0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]

    init() {
        let wait = HistogramFamily(
            Metric(
                "outrigger_postgres_wait_seconds", .histogram,
                "Time that clients of the Postgres proxy waited for a server connection."), bounds: Self.durations)
        let duration = HistogramFamily(
            Metric(
                "outrigger_postgres_statement_seconds", .histogram,
                "Time that statements took at the server, from the Postgres proxy's side."), bounds: Self.durations)
        pins = CounterFamily(
            .counter(
                "outrigger_postgres_pins_total",
                "Clients that had to keep their server connection between transactions, by reason."),
            labelNames: ["reason"])
        for reason in PinReason.allCases { _ = pins.with([reason.rawValue]) }
        (self.wait, self.duration) = (wait.with([]), duration.with([]))
        func single(_ counter: Counter, _ name: String, _ help: String) -> any Instrument {
            SingleCounter(counter, .counter(name, help))
        }
        instruments = [
            wait, duration, pins,
            single(
                accepted, "outrigger_postgres_clients_accepted_total", "Connections that the Postgres proxy accepted."),
            single(wrongPasswords, "outrigger_postgres_wrong_passwords_total", "Logins with a wrong password."),
            single(cancels, "outrigger_postgres_cancels_total", "Cancel requests that came."),
            single(
                unknownCancels, "outrigger_postgres_unknown_cancels_total",
                "Cancel requests with a key that nobody has."),
            single(
                droppedCancels, "outrigger_postgres_dropped_cancels_total",
                "Cancel requests that were dropped because too many were under way."),
            single(late, "outrigger_postgres_late_logins_total", "Clients that took too long to log in."),
        ]
    }

    /// One counter of its own as an instrument.
    private struct SingleCounter: Instrument {
        private let counter: Counter
        private let metric: Metric

        init(_ counter: Counter, _ metric: Metric) { (self.counter, self.metric) = (counter, metric) }

        func read() -> Family { Family(metric, Double(counter.count)) }
    }
}
