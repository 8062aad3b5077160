import Cache
import Metrics
import Operations
import Runtime

/// The Redis proxy: a listener, its loop, and whoever answers.
public final class RedisProxy: Sendable {
    private let loop = EventLoop("redis-proxy")
    private let listener: StreamListener
    private let metrics = RedisProxyMetrics()
    private let relay: Relay?
    private let keeping: Task<Void, Never>?
    /// What the cache counts, for the registry.
    public let sources: [any MetricSource]
    /// The commands that lately took longest.
    public let slowCommands = SlowCommands()
    /// What can be switched off.
    public let features: Features

    /// Where clients connect.
    public var address: ListenAddress { listener.address }
    /// To be added to the registry.
    public var instruments: [any Instrument] { metrics.instruments }

    /// In front of a Redis. Throws when the address cannot be listened on.
    ///
    /// - Parameters:
    ///   - cache: the local level; nil to pass everything on.
    ///   - memory: when the local level has to give way.
    ///   - operations: the monitor's instrument, if it is there.
    public init(
        _ address: ListenAddress, to options: RelayOptions, cache: LocalCache?,
        memory: MemoryGovernor.Rules = MemoryGovernor.Rules(), features: Features, operations: OperationRecorder?
    ) throws {
        self.features = features
        let shared = SharedParts(
            metrics: metrics, features: features, slowCommands: slowCommands, operations: operations)
        let relay = Relay(loop, options, shared)
        if let cache {
            let local = LocalLevel(cache, freshness: Freshness(), features: features, metrics: metrics)
            relay.use(local)
            let keeper = CacheKeeper(cache, memory)
            sources = [CacheMetrics(cache, keeper: keeper)]
            keeping = Task { await keeper.run() }
        } else {
            (keeping, sources) = (nil, [])
        }
        self.relay = relay
        listener = try StreamListener(address, on: loop) { relay.accept($0) }
        loop.post { relay.start() }
    }

    /// With a Redis in memory. Throws when the address cannot be listened on.
    public init(_ address: ListenAddress, memory: MemoryRedis) throws {
        features = Features()
        (relay, keeping, sources) = (nil, nil, [])
        let door = MemoryDoor(memory, metrics)
        listener = try StreamListener(address, on: loop) { door.accept($0) }
    }

    /// Accepts nobody any more, and ends the loop; clients see their connections close with the process.
    public func stop() {
        listener.stop()
        keeping?.cancel()
        loop.post { [relay] in relay?.end() }
        loop.end()
    }
}

/// Lets clients in to the Redis in memory. For the loop's thread.
private final class MemoryDoor: @unchecked Sendable {
    private let redis: MemoryRedis
    private let metrics: RedisProxyMetrics
    private var sessions: [ObjectIdentifier: MemorySession] = [:]
    private var accepted = 0

    init(_ redis: MemoryRedis, _ metrics: RedisProxyMetrics) {
        self.redis = redis
        self.metrics = metrics
    }

    func accept(_ client: StreamConnection) {
        accepted += 1
        metrics.accepted.add()
        let session = MemorySession(client, redis, id: accepted) { [unowned self] session in
            sessions[ObjectIdentifier(session)] = nil
            metrics.clients.set(Double(sessions.count))
        }
        sessions[ObjectIdentifier(session)] = session
        metrics.clients.set(Double(sessions.count))
        client.owner = session
    }
}
