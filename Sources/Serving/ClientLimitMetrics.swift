import Metrics
import Network

/// What a proxy tells of its limit of clients.
public struct ClientLimitMetrics {
    public let instruments: [any Instrument]

    /// - Parameter proxy: as in `outrigger_redis_proxy_…`.
    public init(_ limit: ClientLimit, proxy: String) {
        instruments = [
            Reading(.gauge("outrigger_\(proxy)_clients_limit", "Clients that may be connected at once.")) {
                Double(limit.most)
            },
            Reading(
                .counter(
                    "outrigger_\(proxy)_clients_refused_total",
                    "Clients sent away because there were too many, or no descriptor was left.")
            ) { Double(limit.refusedCount) },
        ]
    }
}
