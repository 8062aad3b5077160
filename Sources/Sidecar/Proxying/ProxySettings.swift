import Cache
import Databases
import Operations
import RedisProxy
import Runtime

/// Where the proxies listen, and what stands behind them.
struct ProxySettings: Sendable {
    /// Where the Redis proxy lets clients in, and whom.
    let redisAccess: AccessSettings
    /// Nil for the Redis in memory.
    let redis: RedisAddress?
    private let redisTLS: TLSClientSettings
    private let memoryBytes: Int
    private let cache: CacheConfiguration
    private let writeBehind: WriteBehindRules
    private let stateFolder: String?

    /// - Parameters:
    ///   - redis: the one that is watched, in front of which the proxy stands unless another is named.
    ///   - stateFolder: for what is hot, and the log of what Redis does not have yet.
    init(_ settings: Settings, redis: RedisAddress?, stateFolder: String?) throws(SettingsError) {
        let listen = try settings.read(
            "redis_proxy.listen_address", as: ListenAddress.self,
            "Where the Redis proxy listens, such as 127.0.0.1:6380. Beyond loopback only with TLS and passwords. Off when not set."
        )
        self.redis = try Self.readUpstream(settings) ?? redis
        redisTLS = try TLSClientSettings(settings, "redis_proxy.upstream_tls")
        redisAccess = try AccessSettings(settings, listeningOn: listen, hasRedis: self.redis != nil)
        memoryBytes = try settings.read(
            "redis_proxy.memory_bytes", default: ByteCount(64 << 20),
            "Without a Redis behind it, or while it is gone, the proxy is a small one itself and holds so much.",
            in: ByteCount(1 << 20)...ByteCount(1 << 40)
        ).bytes
        cache = try CacheConfiguration(settings)
        writeBehind = try WriteBehindRules(settings)
        self.stateFolder = stateFolder
        guard self.redis == nil || !redisAccess.hasEntrance || !writesBehind || stateFolder != nil else {
            throw SettingsError(
                place: settings.fileName, key: "state.dir",
                problem: "a class of the cache has write: behind, which needs a folder for the log")
        }
    }

    private static func readUpstream(_ settings: Settings) throws(SettingsError) -> RedisAddress? {
        let key = "redis_proxy.upstream_url"
        let url: String? = try settings.read(
            key, "Address of the Redis behind the proxy when it is not the first that is watched; rediss:// for TLS.")
        guard let url, !url.isEmpty else { return nil }
        do { return try RedisAddress(parsing: url) } catch {
            throw SettingsError(place: settings.fileName, key: key, problem: "\(error)")
        }
    }

    /// Starts the Redis proxy, where there is to be one. Looks the Redis' name up, which blocks, and reads the files of
    /// TLS.
    func startRedisProxy(_ operations: OperationRecorder) throws -> RedisProxy? {
        guard redisAccess.hasEntrance else { return nil }
        let entrances = try redisAccess.makeEntrances()
        var limits = MemoryRedis.Limits()
        limits.bytes = memoryBytes
        guard let redis else {
            return try RedisProxy(entrances, memory: MemoryRedis(limits: limits))
        }
        return try RedisProxy(
            entrances, to: try relayOptions(redis), cache: cache.makeCache(), hotKeys: hotKeys, memory: cache.memory,
            volatile: limits, writeBehind: writeBehindFolder.map { (folder: $0, rules: writeBehind) },
            features: Features(), operations: operations)
    }

    private var writesBehind: Bool { cache.classes.contains { $0.writeMode == .behind } }

    /// Nil where nothing is written behind, now or in the last life.
    private var writeBehindFolder: String? {
        guard let folder = stateFolder.map({ $0 + "/write-behind" }) else { return nil }
        return writesBehind || Files.exists(folder) ? folder : nil
    }

    private func relayOptions(_ redis: RedisAddress) throws -> RelayOptions {
        let (address, host) =
            switch redis.endpoint {
            case .tcp(let host, let port): (try StreamAddress(host: host, port: port), host)
            case .unix(let path): (try StreamAddress(path: path), "")
            }
        return RelayOptions(
            address, tls: redis.usesTLS ? try redisTLS.make(host: host) : nil, user: redis.user,
            password: redis.password, database: redis.database)
    }

    private var hotKeys: (file: StateFile, limit: Int)? {
        guard let stateFolder, cache.hotKeys > 0 else { return nil }
        return (StateFile(stateFolder + "/hot-keys"), cache.hotKeys)
    }
}
