import Cache
import Metrics
import Operations
import Runtime

/// The Redis proxy: a listener, its loop, and whoever answers.
public final class RedisProxy: Sendable {
    private let loop = EventLoop("redis-proxy")
    private let listeners: ProxyListeners
    private let access: ProxyAccess
    private let metrics = RedisProxyMetrics()
    private let feed: InvalidationFeed?
    private let keeping: Task<Void, Never>?
    /// What the cache counts, for the registry.
    public let sources: [any MetricSource]
    /// The commands that lately took longest.
    public let slowCommands = SlowCommands()
    /// What can be switched off.
    public let features: Features

    /// Where clients connect.
    public var addresses: [String] { listeners.addresses }
    /// To be added to the registry.
    public var instruments: [any Instrument] { metrics.instruments + access.instruments }

    /// In front of a Redis. Throws when the address cannot be listened on.
    ///
    /// - Parameters:
    ///   - cache: the local level; nil to pass everything on.
    ///   - memory: when the local level has to give way.
    ///   - operations: the monitor's instrument, if it is there.
    public init(
        _ entrances: ProxyEntrances, to options: RelayOptions, cache: LocalCache?,
        memory: MemoryGovernor.Rules = MemoryGovernor.Rules(), features: Features, operations: OperationRecorder?
    ) throws {
        self.features = features
        access = entrances.access
        let shared = SharedParts(
            metrics: metrics, features: features, slowCommands: slowCommands, operations: operations, access: access)
        let relay = Relay(loop, options, shared)
        if let cache {
            let local = LocalLevel(cache, freshness: Freshness(), features: features, metrics: metrics)
            let feed = InvalidationFeed(relay, local)
            relay.use(local, feed)
            self.feed = feed
            let keeper = CacheKeeper(cache, memory)
            sources = [CacheMetrics(cache, keeper: keeper)]
            keeping = Task { await keeper.run() }
        } else {
            (feed, keeping, sources) = (nil, nil, [])
        }
        listeners = try ProxyListeners(entrances, on: loop) { relay.accept($0) }
        loop.post { [feed] in
            relay.start()
            feed?.start()
        }
    }

    /// With a Redis in memory. Throws when the address cannot be listened on.
    public init(_ entrances: ProxyEntrances, memory: MemoryRedis) throws {
        features = Features()
        access = entrances.access
        (feed, keeping, sources) = (nil, nil, [])
        let door = MemoryDoor(memory, metrics, Lobby(access, on: loop))
        listeners = try ProxyListeners(entrances, on: loop) { door.accept($0) }
    }

    /// Reads the files of TLS again; when they are of no use the old ones stay in force.
    public func reloadCertificate() throws(TLSError) { try listeners.reloadCertificate() }

    /// Accepts nobody any more, and ends the loop; clients see their connections close with the process.
    public func stop() {
        listeners.stop()
        keeping?.cancel()
        loop.post { [feed] in feed?.end() }
        loop.end()
    }
}

/// Lets clients in to the Redis in memory. For the loop's thread.
private final class MemoryDoor: @unchecked Sendable {
    private let redis: MemoryRedis
    private let metrics: RedisProxyMetrics
    private let lobby: Lobby
    private var sessions: [ObjectIdentifier: MemorySession] = [:]
    private var accepted = 0

    init(_ redis: MemoryRedis, _ metrics: RedisProxyMetrics, _ lobby: Lobby) {
        self.redis = redis
        self.lobby = lobby
        self.metrics = metrics
    }

    func accept(_ client: StreamConnection) {
        accepted += 1
        metrics.accepted.add()
        guard let admission = lobby.admit(client) else { return }
        let session = MemorySession(client, redis, admission, id: accepted) { [unowned self] session in
            sessions[ObjectIdentifier(session)] = nil
            metrics.clients.set(Double(sessions.count))
        }
        sessions[ObjectIdentifier(session)] = session
        metrics.clients.set(Double(sessions.count))
        client.owner = session
    }
}
