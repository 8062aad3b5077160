import Metrics
import Synchronization

/// What the proxy counts. Label values come from closed sets.
final class RedisProxyMetrics: Sendable {
    /// Where an answer came from.
    enum Source: String, CaseIterable, Sendable { case local, redis, memory, stale, pending }

    /// Why a request was passed on that could have been answered locally.
    enum Bypass: Int, CaseIterable, Sendable {
        /// The feature is off, or not yet rolled out to the key.
        case feature
        /// The connection that tells of changes is not alive.
        case notFresh
        /// The client has a write of its own under way that may touch the key.
        case ownWrite
        /// Inside `MULTI`, or after `WATCH`.
        case transaction
        /// The client is another user than the proxy.
        case user
        /// The database is not one of the first 64.
        case database
        /// More keys than an entry may depend on.
        case keys
        /// The client has a connection of its own.
        case ownConnection

        var label: String {
            switch self {
            case .notFresh: "not_fresh"
            case .ownWrite: "own_write"
            case .ownConnection: "own_connection"
            default: "\(self)"
            }
        }
    }

    struct Invalidations: Sendable { let own, heard, flushes: Counter }

    struct Upstreams: Sendable {
        private let gauges: [Gauge]
        private let counters: [Counter]
        let family: GaugeFamily
        let openedFamily: CounterFamily

        init() {
            let family = GaugeFamily(
                .gauge("outrigger_redis_proxy_upstream_connections", "Connections to Redis, by use."),
                labelNames: ["use"])
            let opened = CounterFamily(
                .counter(
                    "outrigger_redis_proxy_upstream_connections_opened_total", "Connections opened to Redis, by use."),
                labelNames: ["use"])
            let uses: [Upstream.Use] = [.fast, .slow, .leased, .writes]
            gauges = uses.map { family.with(["\($0)"]) }
            counters = uses.map { opened.with(["\($0)"]) }
            (self.family, openedFamily) = (family, opened)
        }

        func opened(_ use: Upstream.Use) {
            gauges[index(use)].move(by: 1)
            counters[index(use)].add()
        }

        func closed(_ use: Upstream.Use) { gauges[index(use)].move(by: -1) }

        private func index(_ use: Upstream.Use) -> Int {
            switch use {
            case .fast: 0
            case .slow: 1
            case .leased: 2
            case .writes: 3
            }
        }
    }

    private static let durations = [
        0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
    ]

    let clients: Gauge
    /// Commands sent to Redis whose replies have not come.
    let inFlight: Gauge
    /// Observed with each command that is sent.
    let pipelineDepth: Histogram
    let accepted: Counter
    let upstreams = Upstreams()
    let leases: Counter
    let timeouts: Counter
    /// What `ClientBuffers` counts.
    let clientBufferBytes: Gauge
    let shed: Counter
    /// Connections that Redis did not let in.
    let full: Counter
    let breakerIsOpen: Gauge
    let breakerOpenings: Counter
    let feedLosses: Counter
    let discarded: Counter
    let touches: Counter
    let invalidations: Invalidations
    private let trackingFamily: GaugeFamily
    private let replies: [Counter]
    private let bypasses: [Counter]
    private let commands: [Counter]
    private let errors: [Counter]
    private let times: [Histogram]
    let instruments: [any Instrument]

    init() {
        let inFlightFamily = GaugeFamily(
            .gauge("outrigger_redis_proxy_commands_in_flight", "Commands sent to Redis whose replies have not come."))
        let depthFamily = HistogramFamily(
            Metric(
                "outrigger_redis_proxy_pipeline_depth", .histogram,
                "Commands under way on a shared connection to Redis when another one is sent."),
            bounds: [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 1023])
        let clientFamily = GaugeFamily(.gauge("outrigger_redis_proxy_clients", "Clients connected."))
        let acceptedFamily = CounterFamily(
            .counter("outrigger_redis_proxy_clients_accepted_total", "Clients that have connected."))
        let leaseFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_leases_total",
                "Times a client was lent a connection to Redis: for a transaction, to wait, to subscribe."))
        let timeoutFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_upstream_timeouts_total",
                "Connections to Redis given up because a reply was overdue."))
        let bufferFamily = GaugeFamily(
            .gauge(
                "outrigger_redis_proxy_client_buffer_bytes",
                "Memory for what clients have sent that is no whole command yet, and for replies that they have not read."
            ))
        let shedFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_clients_shed_total",
                "Clients closed because all together had more of that than redis_proxy.client_bytes."))
        let fullFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_upstream_full_total",
                "Connections that Redis refused because it has as many clients as it lets in."))
        let breakerFamily = GaugeFamily(
            .gauge(
                "outrigger_circuit_breaker_open", "Whether a server is left alone because it failed repeatedly."),
            labelNames: ["breaker"])
        let openingFamily = CounterFamily(
            .counter("outrigger_circuit_breaker_openings_total", "Times a circuit breaker opened."),
            labelNames: ["breaker"])
        let lossFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_tracking_losses_total",
                "Times the connection that tells of changes was lost, and the local level with it."))
        trackingFamily = GaugeFamily(
            .gauge(
                "outrigger_redis_proxy_tracking_up",
                "Whether the connection that tells of changes is alive; while it is not, nothing is answered locally."))
        let discardFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_volatile_discarded_total",
                "Keys written in memory while Redis was gone, and discarded when it was back."))
        let touchFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_touches_total",
                "Keys that Redis was told are in use because they are answered locally."))
        let invalidationFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_invalidations_total",
                "Reasons to forget: own writes, messages of Redis about a key, and flushes of everything."),
            labelNames: ["source"])
        let replyFamily = CounterFamily(
            .counter("outrigger_redis_proxy_replies_total", "Commands answered, by where the answer came from."),
            labelNames: ["source"])
        let bypassFamily = CounterFamily(
            .counter(
                "outrigger_redis_proxy_bypasses_total",
                "Commands passed on to Redis that could have been answered locally, by reason."), labelNames: ["reason"]
        )
        let commandFamily = CounterFamily(
            .counter("outrigger_redis_proxy_commands_total", "Commands received, by family."), labelNames: ["family"])
        let errorFamily = CounterFamily(
            .counter("outrigger_redis_proxy_command_errors_total", "Error replies of Redis, by family of commands."),
            labelNames: ["family"])
        let timeFamily = HistogramFamily(
            Metric(
                "outrigger_redis_proxy_command_duration_seconds", .histogram,
                "Time Redis took to answer, seen from the proxy, by family of commands."), bounds: Self.durations,
            labelNames: ["family"])
        inFlight = inFlightFamily.with([])
        pipelineDepth = depthFamily.with([])
        clients = clientFamily.with([])
        accepted = acceptedFamily.with([])
        leases = leaseFamily.with([])
        timeouts = timeoutFamily.with([])
        full = fullFamily.with([])
        clientBufferBytes = bufferFamily.with([])
        shed = shedFamily.with([])
        breakerIsOpen = breakerFamily.with(["redis_proxy"])
        breakerOpenings = openingFamily.with(["redis_proxy"])
        feedLosses = lossFamily.with([])
        discarded = discardFamily.with([])
        touches = touchFamily.with([])
        invalidations = Invalidations(
            own: invalidationFamily.with(["own"]), heard: invalidationFamily.with(["heard"]),
            flushes: invalidationFamily.with(["flush"]))
        replies = Source.allCases.map { replyFamily.with([$0.rawValue]) }
        bypasses = Bypass.allCases.map { bypassFamily.with([$0.label]) }
        let families = Command.Family.allCases
        commands = families.map { commandFamily.with([$0.label]) }
        errors = families.map { errorFamily.with([$0.label]) }
        times = families.map { timeFamily.with([$0.label]) }
        instruments = [
            inFlightFamily, depthFamily, clientFamily, acceptedFamily, upstreams.family, upstreams.openedFamily,
            leaseFamily, timeoutFamily, fullFamily, bufferFamily, shedFamily,
            breakerFamily, openingFamily, lossFamily, trackingFamily, discardFamily, touchFamily, invalidationFamily,
            replyFamily,
            bypassFamily,
            commandFamily,
            errorFamily, timeFamily,
        ]
    }

    /// Served from when it is first asked for: a proxy without a local level has nothing to track.
    var trackingIsUp: Gauge { trackingFamily.with([]) }

    func received(_ family: Command.Family, _ count: Int = 1) { commands[Int(family.rawValue)].add(count) }
    func answered(from source: Source, _ count: Int = 1) {
        switch source {
        case .local: replies[0].add(count)
        case .redis: replies[1].add(count)
        case .memory: replies[2].add(count)
        case .stale: replies[3].add(count)
        case .pending: replies[4].add(count)
        }
    }
    func bypassed(_ reason: Bypass) { bypasses[reason.rawValue].add() }

    /// A command that Redis answered.
    func note(_ family: Command.Family, durationNs: Int, isError: Bool) {
        answered(from: .redis)
        if isError { errors[Int(family.rawValue)].add() }
        times[Int(family.rawValue)].observe(Double(durationNs) / 1e9)
    }
}
