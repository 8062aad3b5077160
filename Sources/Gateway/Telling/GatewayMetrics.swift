import Metrics

/// What the gateway counts. Label values come from closed sets, and from the names of routes in the settings.
final class GatewayMetrics: Sendable {
    private static let durations = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
    ]
    private static let sizes: [Double] = [100, 1000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000]

    let clients: Gauge
    let clientsAccepted: Counter
    let inFlight: Gauge
    let upstreamConnections: Gauge
    let upstreamConnectionsOpened: Counter
    let upstreamInFlight: GaugeFamily
    let requests: CounterFamily
    let durations: HistogramFamily
    let requestSizes: HistogramFamily
    let responseSizes: HistogramFamily
    let upstreamDurations: HistogramFamily
    /// Requests that were not understood, by reason.
    let malformed: CounterFamily
    let clientsClosed: CounterFamily
    let refused: CounterFamily
    let unclearAnswers: CounterFamily
    let upstreamFailures: CounterFamily
    let upstreamUp: GaugeFamily
    let retries: CounterFamily
    let securityEvents: CounterFamily
    let tokens, rateDecisions, queueLeft, cacheRefused, compressed, breakerOpenings: CounterFamily
    let breakerIsOpen: GaugeFamily
    let queueWaiting, queueWorkers, rateKeys: Gauge
    let cacheHits, cacheMisses, cacheStored, cacheValidated, cacheStale, cacheCollapsed: Counter
    let compressionPlain, compressionCoded: Counter
    let compressionTime: Histogram
    let instruments: [any Instrument]

    init() {
        func counter(_ name: String, _ help: String) -> CounterFamily {
            CounterFamily(.counter("outrigger_http_\(name)", help))
        }
        func gauge(_ name: String, _ help: String) -> GaugeFamily {
            GaugeFamily(.gauge("outrigger_http_\(name)", help))
        }
        tokens = CounterFamily(
            .counter("outrigger_http_tokens_total", "Tokens that were looked at, by what was found."),
            labelNames: ["result"])
        rateDecisions = CounterFamily(
            .counter(
                "outrigger_http_rate_limited_total", "Requests over a limit, by limit, and whether that was acted on."),
            labelNames: ["limit", "decision"])
        queueLeft = CounterFamily(
            .counter(
                "outrigger_http_queue_left_total", "Requests that left the queue unanswered, by class and reason."),
            labelNames: ["class", "reason"])
        cacheRefused = CounterFamily(
            .counter("outrigger_http_cache_refused_total", "Answers that were not kept, by reason."),
            labelNames: ["reason"])
        compressed = CounterFamily(
            .counter("outrigger_http_compressed_total", "Bodies that were compressed, by coding."),
            labelNames: ["coding"])
        breakerIsOpen = GaugeFamily(
            .gauge("outrigger_circuit_breaker_open", "Whether a server is left alone because it failed repeatedly."),
            labelNames: ["breaker"])
        breakerOpenings = CounterFamily(
            .counter("outrigger_circuit_breaker_openings_total", "Times a circuit breaker opened."),
            labelNames: ["breaker"])
        let waitingFamily = gauge("queue_waiting", "Requests that wait to be passed to the service.")
        let workersFamily = gauge("queue_workers", "Requests that may be at the service at once.")
        let keysFamily = gauge("rate_limit_keys", "Keys that rates are counted for.")
        let hitFamily = counter("cache_hits_total", "Requests answered with what was kept.")
        let missFamily = counter("cache_misses_total", "Requests that could have been, and were passed on.")
        let storedFamily = counter("cache_stored_total", "Answers that were kept.")
        let validatedFamily = counter("cache_validated_total", "Kept answers that the service said are still good.")
        let staleFamily = counter("cache_stale_total", "Answers served beyond their time because the service failed.")
        let collapsedFamily = counter(
            "cache_collapsed_total", "Requests that waited for another one that was the same.")
        let plainFamily = counter("compression_plain_bytes_total", "Bytes of bodies before they were compressed.")
        let codedFamily = counter("compression_coded_bytes_total", "Bytes of bodies after they were compressed.")
        let timeFamily = HistogramFamily(
            Metric("outrigger_http_compression_seconds", .histogram, "CPU time that compressing a body took."),
            bounds: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025])
        (queueWaiting, queueWorkers, rateKeys) = (waitingFamily.with([]), workersFamily.with([]), keysFamily.with([]))
        (cacheHits, cacheMisses, cacheStored) = (hitFamily.with([]), missFamily.with([]), storedFamily.with([]))
        (cacheValidated, cacheStale) = (validatedFamily.with([]), staleFamily.with([]))
        cacheCollapsed = collapsedFamily.with([])
        (compressionPlain, compressionCoded) = (plainFamily.with([]), codedFamily.with([]))
        compressionTime = timeFamily.with([])
        let steps: [any Instrument] = [
            tokens, rateDecisions, queueLeft, cacheRefused, compressed, breakerIsOpen, breakerOpenings, waitingFamily,
            workersFamily, keysFamily, hitFamily, missFamily, storedFamily, validatedFamily, staleFamily,
            collapsedFamily,
            plainFamily, codedFamily, timeFamily,
        ]
        let clientFamily = GaugeFamily(.gauge("outrigger_http_clients", "Clients connected to the gateway."))
        let acceptedFamily = CounterFamily(
            .counter("outrigger_http_clients_accepted_total", "Clients that have connected to the gateway."))
        let flightFamily = GaugeFamily(
            .gauge("outrigger_http_requests_in_flight", "Requests that are not answered to the end yet."))
        let upstreamFamily = GaugeFamily(
            .gauge("outrigger_http_upstream_connections", "Connections of the gateway to the service."))
        let openedFamily = CounterFamily(
            .counter(
                "outrigger_http_upstream_connections_opened_total",
                "Connections that the gateway opened to the service."))
        upstreamInFlight = GaugeFamily(
            .gauge("outrigger_http_upstream_requests_in_flight", "Requests under way at the service, by route."),
            labelNames: ["route"])
        requests = CounterFamily(
            .counter("outrigger_http_requests_total", "Requests answered, by route, method and class of the status."),
            labelNames: ["route", "method", "class"])
        durations = HistogramFamily(
            Metric(
                "outrigger_http_request_duration_seconds", .histogram,
                "From the head of a request to the last byte of its answer, by route and method."),
            bounds: Self.durations, labelNames: ["route", "method"])
        requestSizes = HistogramFamily(
            Metric("outrigger_http_request_size_bytes", .histogram, "Head and body of requests, by route."),
            bounds: Self.sizes, labelNames: ["route"])
        responseSizes = HistogramFamily(
            Metric("outrigger_http_response_size_bytes", .histogram, "Bodies of answers as they were sent, by route."),
            bounds: Self.sizes, labelNames: ["route"])
        upstreamDurations = HistogramFamily(
            Metric(
                "outrigger_http_upstream_duration_seconds", .histogram,
                "From asking the service to the first byte of its answer, by route."),
            bounds: Self.durations, labelNames: ["route"])
        malformed = CounterFamily(
            .counter("outrigger_http_malformed_requests_total", "Requests refused as not clear, by reason."),
            labelNames: ["reason"])
        clientsClosed = CounterFamily(
            .counter("outrigger_http_clients_closed_total", "Clients that the gateway closed, by reason."),
            labelNames: ["reason"])
        refused = CounterFamily(
            .counter(
                "outrigger_http_refused_requests_total", "Requests that a step of the gateway refused, by reason."),
            labelNames: ["reason"])
        unclearAnswers = CounterFamily(
            .counter("outrigger_http_unclear_answers_total", "Answers of the service that were not clear, by reason."),
            labelNames: ["reason"])
        upstreamFailures = CounterFamily(
            .counter("outrigger_http_upstream_failures_total", "Requests that the service did not answer, by reason."),
            labelNames: ["reason"])
        upstreamUp = GaugeFamily(
            .gauge("outrigger_http_upstream_up", "Whether an instance of the service is asked."),
            labelNames: ["upstream"])
        retries = CounterFamily(
            .counter("outrigger_http_retries_total", "Requests sent to the service again, by reason."),
            labelNames: ["reason"])
        securityEvents = CounterFamily(
            .counter(
                "outrigger_http_security_events_total",
                "Refused tokens, limits, malformed and oversize requests, by kind."),
            labelNames: ["kind"])
        clients = clientFamily.with([])
        clientsAccepted = acceptedFamily.with([])
        inFlight = flightFamily.with([])
        upstreamConnections = upstreamFamily.with([])
        upstreamConnectionsOpened = openedFamily.with([])
        for fault in HTTPFault.allCases { _ = malformed.with([fault.rawValue]) }
        for failure in FetchFailure.allCases { _ = upstreamFailures.with([failure.rawValue]) }
        for kind in SecurityEvent.Kind.allCases { _ = securityEvents.with([kind.rawValue]) }
        for reason in CloseReason.allCases { _ = clientsClosed.with([reason.rawValue]) }
        for reason in Refusal.Reason.allCases { _ = refused.with([reason.rawValue]) }
        for reason in ["connect", "stale_connection", "closed"] { _ = retries.with([reason]) }
        instruments =
            steps + [
                clientFamily, acceptedFamily, flightFamily, upstreamFamily, openedFamily, upstreamInFlight, requests,
                durations,
                requestSizes, responseSizes, upstreamDurations, malformed, clientsClosed, refused, unclearAnswers,
                upstreamFailures, upstreamUp, retries, securityEvents,
            ]
    }
}

/// Why the gateway closed a client's connection of itself.
enum CloseReason: String, CaseIterable, Sendable {
    case slowHead = "slow_head"
    case slowBody = "slow_body"
    case idle
    case writeStall = "write_stall"
    case crowd
    case draining
}

/// What is counted of one route, found once.
final class RouteMetrics: Sendable {
    private let requests: [Counter]
    private let durations: [Histogram]
    let requestSize, responseSize, upstreamDuration: Histogram
    let inFlight: Gauge

    init(_ metrics: GatewayMetrics, route: String) {
        requests = Method.allCases.flatMap { method in
            ["1xx", "2xx", "3xx", "4xx", "5xx"].map { metrics.requests.with([route, method.label, $0]) }
        }
        durations = Method.allCases.map { metrics.durations.with([route, $0.label]) }
        requestSize = metrics.requestSizes.with([route])
        responseSize = metrics.responseSizes.with([route])
        upstreamDuration = metrics.upstreamDurations.with([route])
        inFlight = metrics.upstreamInFlight.with([route])
    }

    func answered(_ method: Method, status: Int, seconds: Double) {
        requests[method.index * 5 + min(max(status / 100, 1), 5) - 1].add()
        durations[method.index].observe(seconds)
    }
}

extension Method {
    var index: Int {
        switch self {
        case .get: 0
        case .head: 1
        case .post: 2
        case .put: 3
        case .delete: 4
        case .patch: 5
        case .options: 6
        case .trace: 7
        case .connect: 8
        case .other: 9
        }
    }

    /// For metrics.
    var label: String { self == .other ? "other" : rawValue }
}
