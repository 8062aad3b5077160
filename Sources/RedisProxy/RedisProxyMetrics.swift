import Metrics

/// What the proxy counts.
struct RedisProxyMetrics: Sendable {
    private let clientFamily = GaugeFamily(
        .gauge("outrigger_redis_proxy_clients", "Clients connected to the Redis proxy."))
    private let acceptedFamily = CounterFamily(
        .counter("outrigger_redis_proxy_clients_accepted_total", "Clients that have connected to the Redis proxy."))
    private let upstreamFamily = CounterFamily(
        .counter("outrigger_redis_proxy_upstream_connections_total", "Connections the proxy has opened to Redis."))
    private let commandFamily = CounterFamily(
        .counter("outrigger_redis_proxy_shared_commands_total", "Commands that went over a shared connection to Redis.")
    )
    private let pinFamily = CounterFamily(
        .counter(
            "outrigger_redis_proxy_pinned_total", "Clients that were given a connection to Redis of their own."))

    let clients: Gauge
    let accepted: Counter
    let upstreamConnections: Counter
    let shared: Counter
    let pinned: Counter

    init() {
        clients = clientFamily.with([])
        accepted = acceptedFamily.with([])
        upstreamConnections = upstreamFamily.with([])
        shared = commandFamily.with([])
        pinned = pinFamily.with([])
    }

    var instruments: [any Instrument] { [clientFamily, acceptedFamily, upstreamFamily, commandFamily, pinFamily] }
}
