/// The words of INFO that the reader looks for, as the bytes it compares.
enum Word {
    static let uptime = Array("uptime_in_seconds".utf8)
    static let cluster = Array("cluster_".utf8)
    static let ioThread = Array("used_active_time_io_thread_".utf8)
    static let good = ["ok", "true"].map { Array($0.utf8) }
    static let bad = ["err", "fail", "false"].map { Array($0.utf8) }

    static let cmdstat = Array("cmdstat_".utf8)
    static let calls = Array("calls".utf8)
    static let usec = Array("usec".utf8)
    static let rejectedCalls = Array("rejected_calls".utf8)
    static let failedCalls = Array("failed_calls".utf8)
    static let percentiles = Array("latency_percentiles_usec_".utf8)
    static let errorstat = Array("errorstat_".utf8)
    static let count = Array("count".utf8)

    static let database = Array("db".utf8)
    static let keys = Array("keys".utf8)
    static let expires = Array("expires".utf8)
    static let averageTTL = Array("avg_ttl".utf8)
    static let cachedKeys = Array("cached_keys".utf8)

    static let slave = Array("slave".utf8)
    static let ip = Array("ip".utf8)
    static let port = Array("port".utf8)
    static let state = Array("state".utf8)
    static let offset = Array("offset".utf8)
    static let lag = Array("lag".utf8)
    static let up = Array("up".utf8)

    static let master = Array("master".utf8)
    static let name = Array("name".utf8)
    static let status = Array("status".utf8)
    static let address = Array("address".utf8)
    static let slaves = Array("slaves".utf8)
    static let sentinels = Array("sentinels".utf8)
}
