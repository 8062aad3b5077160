import Cache
import Databases
import Operations
import RedisProxy
import Runtime

/// Where the proxies listen, and what stands behind them.
struct ProxySettings: Sendable {
    /// Nil for no Redis proxy.
    let redisListen: ListenAddress?
    /// Nil for the Redis in memory.
    let redis: RedisAddress?
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
        self.redis = redis
        guard let redisListen else { return }
        guard redisListen.isLoopback else {
            throw SettingsError(
                place: settings.fileName, key: "redis_proxy.listen_address",
                problem: "\(redisListen) is not on loopback, and the proxy asks nobody for a password")
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
        guard let redis else {
            return try RedisProxy(redisListen, memory: MemoryRedis(limits: limits))
        }
        let address =
            switch redis.endpoint {
            case .tcp(let host, let port): try StreamAddress(host: host, port: port)
            case .unix(let path): try StreamAddress(path: path)
            }
        return try RedisProxy(
            redisListen,
            to: RelayOptions(address, user: redis.user, password: redis.password, database: redis.database),
            cache: cache.makeCache(), hotKeys: hotKeys(in: stateFolder), memory: cache.memory, volatile: limits,
            features: Features(), operations: operations)
    }

    private func hotKeys(in folder: String?) -> (file: StateFile, limit: Int)? {
        guard let folder, cache.hotKeys > 0 else { return nil }
        return (StateFile(folder + "/hot-keys"), cache.hotKeys)
    }
}
