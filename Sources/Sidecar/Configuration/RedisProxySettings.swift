import Cache
import Databases
import Network
import Operations
import RedisProxy
import Runtime

/// Where the Redis proxy listens, and what stands behind it.
struct RedisProxySettings: CarryingSettings {
    /// Where the Redis proxy lets clients in, and whom.
    let redisAccess: AccessSettings
    /// Says as whom to speak, and where unless `topology` does.
    private let redis: RedisAddress?
    /// How it is found.
    private let topology: TopologySettings
    private let redisTLS: TLSClientSettings
    private let memoryBytes: Int
    private let maxClients: Int
    private let touchEvery: Int
    private let aclInterval: Duration
    private let whenGone: RelayOptions.WhenGone
    private let clientBytes: Int
    private let cache: CacheConfiguration
    private let writeBehind: WriteBehindRules
    private let stateFolder: String?
    private let resolveInterval: Duration

    /// - Parameter ground: the first Redis that is watched stands behind the proxy unless another is named, and the folder
    ///   is for what is hot, and the log of what Redis does not have yet.
    init(_ settings: Settings, beside ground: Configuration.Ground) throws(SettingsError) {
        let listen = try settings.read(
            "redis_proxy.listen_address", as: ListenAddress.self,
            "Where the Redis proxy listens, such as 127.0.0.1:6380. Beyond loopback only with TLS and passwords. Off when not set."
        )
        redis = try Self.readUpstream(settings) ?? ground.targets.redis.first?.address
        redisTLS = try TLSClientSettings(settings, "redis_proxy.upstream_tls")
        topology = try TopologySettings(settings)
        let hasRedis = redis != nil || topology.isFound
        redisAccess = try AccessSettings(settings, listeningOn: listen, hasRedis: hasRedis)
        maxClients = try settings.read(
            "redis_proxy.max_clients", default: 10_000,
            "Clients of the Redis proxy that may be connected at once; fewer where there are not enough descriptors.",
            in: 1...1_000_000)
        memoryBytes = try settings.read(
            "redis_proxy.memory_bytes", default: ByteCount(64 << 20),
            "Without a Redis behind it, or while it is gone, the proxy is a small one itself and holds so much.",
            in: ByteCount(1 << 20)...ByteCount(1 << 40)
        ).bytes
        touchEvery = try settings.read(
            "redis_proxy.touch_every", default: 100,
            "Of so many answers from memory, Redis is told of one (TOUCH) that its key is in use, lest it evict it; 0 for none.",
            in: 0...1_000_000)
        aclInterval = try settings.read(
            "redis_proxy.acl_interval", default: .seconds(5),
            "How often Redis is asked whether the proxy's own user may still read what is kept (ACL GETUSER); 0 for never.",
            in: .zero...(.seconds(3600)))
        whenGone = try settings.read(
            "redis_proxy.when_gone", oneOf: RelayOptions.WhenGone.self, default: .error,
            "What a client gets while Redis is gone, where nothing answers in its place: an error, or its connection closed."
        )
        clientBytes = try settings.read(
            "redis_proxy.client_bytes", default: ByteCount(ClientLimits.standardBytes),
            "What all clients together may have sent that is no whole command yet, and have not read of replies; beyond it the one with most is closed.",
            in: ByteCount(1 << 20)...ByteCount(1 << 40)
        ).bytes
        cache = try CacheConfiguration(settings)
        writeBehind = try WriteBehindRules(settings)
        stateFolder = ground.stateFolder
        resolveInterval = ground.resolveInterval
        guard hasRedis, redisAccess.hasEntrance else { return }
        if case .cluster = topology { try checkCluster(settings) }
        guard !writesBehind || stateFolder != nil else {
            throw SettingsError(
                place: settings.fileName, key: "state.dir",
                problem: "a class of the cache has write: behind, which needs a folder for the log")
        }
    }

    private func checkCluster(_ settings: Settings) throws(SettingsError) {
        if let database = redis?.database, database != 0 {
            throw SettingsError(
                place: settings.fileName, key: "redis_proxy.cluster.addresses",
                problem: "a cluster has database 0 only, and the target names \(database)")
        }
        if writesBehind {
            throw SettingsError(
                place: settings.fileName, key: "redis_proxy.cluster.addresses",
                problem: "a class of the cache has write: behind, which does not work in front of a cluster")
        }
    }

    private static func readUpstream(_ settings: Settings) throws(SettingsError) -> RedisAddress? {
        let key = "redis_proxy.upstream_url"
        let url: String? = try settings.read(
            key,
            "Address of the Redis behind the proxy when it is not the first that is watched; rediss:// for TLS, also to Sentinels and clusters."
        )
        guard let url, !url.isEmpty else { return nil }
        do { return try RedisAddress(parsing: url) } catch {
            throw SettingsError(place: settings.fileName, key: key, problem: "\(error)")
        }
    }

    var operationNames: [String] { redisAccess.hasEntrance ? RedisProxy.operationNames : [] }

    func check() throws {
        guard redisAccess.hasEntrance else { return }
        _ = try redisAccess.tls?.make()
        if redis?.usesTLS == true { _ = try redisTLS.makeForMany(host: "") }
    }

    /// What of the changes `redis.url` and the like may bring needs a restart.
    func standsElsewhere(than other: RedisProxySettings) -> Bool {
        redis != other.redis || stateFolder != other.stateFolder
    }

    func makePart(_ surroundings: Surroundings) -> (any Part)? {
        redisAccess.hasEntrance ? RedisProxyPart(self, surroundings) : nil
    }

    /// Starts the Redis proxy, which reads the files of TLS. A name that is not found in time is looked for while it runs.
    func start(_ surroundings: Surroundings) async throws -> RedisProxy {
        let entrances = try redisAccess.makeEntrances(
            clients: surroundings.descriptors.clients(of: "redis_proxy.max_clients", atMost: maxClients))
        var limits = MemoryRedis.Limits()
        limits.bytes = memoryBytes
        guard let place = try place else {
            return try RedisProxy(entrances, memory: MemoryRedis(limits: limits), clientBytes: clientBytes)
        }
        if case .fixed(let address) = place { await address.answered(by: .after(.seconds(1))) }
        return try RedisProxy(
            entrances, to: try relayOptions(place), cache: cache.makeCache(), hotKeys: hotKeys, memory: cache.memory,
            volatile: limits, writeBehind: writeBehindFolder.map { (folder: $0, rules: writeBehind) },
            features: Features(), operations: surroundings.operations)
    }

    private var writesBehind: Bool { cache.classes.contains { $0.writeMode == .behind } }

    /// Nil where nothing is written behind, now or in the last life, and in front of a cluster.
    private var writeBehindFolder: String? {
        guard let folder = stateFolder.map({ $0 + "/write-behind" }), writesBehind || Files.exists(folder) else {
            return nil
        }
        guard case .cluster = topology else { return folder }
        Log.warn("writes that are still in the log are not brought to a cluster", ["folder": folder])
        return nil
    }

    private func relayOptions(_ place: RedisPlace) throws -> RelayOptions {
        var host = ""
        if case .tcp(let name, _) = redis?.endpoint { host = name }
        var options = RelayOptions(
            place, tls: redis?.usesTLS == true ? try redisTLS.makeForMany(host: host) : nil, user: redis?.user,
            password: redis?.password, database: redis?.database ?? 0)
        (options.touchEvery, options.aclIntervalMs) = (touchEvery, aclInterval.milliseconds)
        (options.whenGone, options.clientBytes) = (whenGone, clientBytes)
        options.resolveInterval = resolveInterval
        return options
    }

    private var hotKeys: (file: StateFile, limit: Int)? {
        guard let stateFolder, cache.hotKeys > 0 else { return nil }
        return (StateFile(stateFolder + "/hot-keys"), cache.hotKeys)
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
            case (.single, .tcp(let host, let port)): .fixed(try StreamAddress(following: host, port: port))
            case (.single, .unix(let path)): .fixed(try StreamAddress(path: path))
            case (.single, nil): nil
            }
        }
    }
}
