import Cache
import Databases
import Operations
import RedisProxy
import Runtime

/// Where the proxies listen, and what stands behind them.
struct ProxySettings: Sendable {
    /// Nil for no Redis proxy.
    let redisListen: ListenAddress?
    /// Says as whom to speak, and where unless `topology` does. Nil for the Redis in memory.
    let redis: RedisAddress?
    /// How it is found.
    let topology: TopologySettings
    let memoryBytes: Int
    let cache: CacheConfiguration

    /// - Parameter redis: the one that is watched, in front of which the proxy stands unless another is named.
    init(_ settings: Settings, redis: RedisAddress?) throws(SettingsError) {
        redisListen = try settings.read(
            "redis_proxy.listen_address", as: ListenAddress.self,
            "Where the Redis proxy listens, such as 127.0.0.1:6380; loopback only. Off when not set.")
        memoryBytes = try settings.read(
            "redis_proxy.memory_bytes", default: ByteCount(64 << 20),
            "Without a Redis behind it, or while it is gone, the proxy is a small one itself and holds so much.",
            in: ByteCount(1 << 20)...ByteCount(1 << 40)
        ).bytes
        cache = try CacheConfiguration(settings)
        topology = try TopologySettings(settings)
        self.redis = redis
        guard let redisListen else { return }
        guard redisListen.isLoopback else {
            throw SettingsError(
                place: settings.fileName, key: "redis_proxy.listen_address",
                problem: "\(redisListen) is not on loopback, and the proxy asks nobody for a password")
        }
        if case .cluster = topology, let database = redis?.database, database != 0 {
            throw SettingsError(
                place: settings.fileName, key: "redis_proxy.cluster.addresses",
                problem: "a cluster has database 0 only, and the target names \(database)")
        }
        guard redis?.usesTLS != true else {
            throw SettingsError(
                place: settings.fileName, key: "redis_proxy.listen_address",
                problem: "the proxy does not speak TLS to Redis yet")
        }
    }

    /// Starts the Redis proxy, where there is to be one. Looks the Redis' name up, which blocks.
    func startRedisProxy(_ operations: OperationRecorder, stateFolder: String?) throws -> RedisProxy? {
        guard let redisListen else { return nil }
        var limits = MemoryRedis.Limits()
        limits.bytes = memoryBytes
        guard let place = try place else {
            return try RedisProxy(redisListen, memory: MemoryRedis(limits: limits))
        }
        return try RedisProxy(
            redisListen,
            to: RelayOptions(
                place, user: redis?.user, password: redis?.password, database: redis?.database ?? 0),
            cache: cache.makeCache(), hotKeys: hotKeys(in: stateFolder), memory: cache.memory, volatile: limits,
            features: Features(), operations: operations)
    }

    private func hotKeys(in folder: String?) -> (file: StateFile, limit: Int)? {
        guard let folder, cache.hotKeys > 0 else { return nil }
        return (StateFile(folder + "/hot-keys"), cache.hotKeys)
    }

    /// For people.
    var upstream: String {
        switch topology {
        case .single: redis.map { "\($0)" } ?? "memory"
        case .sentinel(let sentinel): "Sentinels of \(sentinel.master)"
        case .cluster: "cluster"
        }
    }

    /// Nil for the Redis in memory.
    private var place: RedisPlace? {
        get throws {
            switch (topology, redis?.endpoint) {
            case (.sentinel(let sentinel), _): .sentinel(sentinel)
            case (.cluster(let cluster), _): .cluster(cluster)
            case (.single, .tcp(let host, let port)): .fixed(try StreamAddress(host: host, port: port))
            case (.single, .unix(let path)): .fixed(try StreamAddress(path: path))
            case (.single, nil): nil
            }
        }
    }
}
