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
    private let hotKeys: HotKeys?
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
    ///   - hotKeys: where to remember what is hot for the next start, and how many keys; nil for nothing.
    ///   - memory: when the local level has to give way.
    ///   - volatile: what may be kept in memory in Redis' place while it is gone.
    ///   - operations: the monitor's instrument, if it is there.
    public init(
        _ address: ListenAddress, to options: RelayOptions, cache: LocalCache?,
        hotKeys: (file: StateFile, limit: Int)? = nil,
        memory: MemoryGovernor.Rules = MemoryGovernor.Rules(), volatile: MemoryRedis.Limits = MemoryRedis.Limits(),
        features: Features, operations: OperationRecorder?
    ) throws {
        self.features = features
        let shared = SharedParts(
            metrics: metrics, features: features, slowCommands: slowCommands, operations: operations)
        let relay = Relay(loop, options, shared)
        if let cache {
            let local = LocalLevel(cache, freshness: Freshness(), features: features, metrics: metrics)
            let answersAlone = cache.classes.contains { $0.onFailure != .fail }
            relay.use(local, answersAlone ? Fallback(local, limits: volatile, metrics: metrics) : nil)
            let keeper = CacheKeeper(cache, memory)
            sources = [CacheMetrics(cache, keeper: keeper)]
            let remembering = hotKeys.map { HotKeys(cache, $0.file, limit: $0.limit) }
            self.hotKeys = remembering
            keeping = Task {
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { await keeper.run() }
                    if let remembering { group.addTask { await remembering.run() } }
                }
            }
        } else {
            (keeping, self.hotKeys, sources) = (nil, nil, [])
        }
        self.relay = relay
        listener = try StreamListener(address, on: loop) { relay.accept($0) }
        loop.post { [hotKeys = self.hotKeys] in relay.start(warming: hotKeys) }
    }

    /// With a Redis in memory. Throws when the address cannot be listened on.
    public init(_ address: ListenAddress, memory: MemoryRedis) throws {
        features = Features()
        (relay, keeping, hotKeys, sources) = (nil, nil, nil, [])
        let door = MemoryDoor(memory, metrics)
        listener = try StreamListener(address, on: loop) { door.accept($0) }
    }

    /// Accepts nobody any more, and ends the loop; clients see their connections close with the process.
    public func stop() async {
        listener.stop()
        await hotKeys?.save()
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
