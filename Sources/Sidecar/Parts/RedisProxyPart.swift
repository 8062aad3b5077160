import Metrics
import RedisProxy
import Runtime
import Synchronization

/// The Redis proxy.
final class RedisProxyPart: Part {
    let name = "redis_proxy"
    private let settings: RedisProxySettings
    private let surroundings: Surroundings
    private let running = Mutex<RedisProxy?>(nil)

    init(_ settings: RedisProxySettings, _ surroundings: Surroundings) {
        (self.settings, self.surroundings) = (settings, surroundings)
    }

    private var redis: RedisProxy? { running.withLock { $0 } }

    var sources: [any MetricSource] { redis?.sources ?? [] }
    var instruments: [any Instrument] { redis?.instruments ?? [] }
    var proxy: ProxyFacts? {
        redis.map { ProxyFacts(name: "redis", features: $0.features, slowest: $0.slowCommands) }
    }

    var liveSettings: [String] { ["redis_proxy.users", "redis_proxy.auth", "redis_proxy.require_auth"] }

    var status: String? {
        redis.map { "Redis proxy on " + $0.addresses.joined(separator: " and ") }
    }

    func start() async throws {
        let redis = try await settings.start(surroundings)
        running.withLock { $0 = redis }
        if redis.hasLocalLevel { surroundings.memory.add(redis) }
        for address in redis.addresses {
            Log.info("serving Redis", ["address": address, "from": settings.upstream])
        }
    }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        guard let redis, let settings = fresh.settings(of: RedisProxySettings.self) else { return PreparedReload() }
        let certificate = try redis.readCertificate()
        var reload = PreparedReload {
            certificate?.use()
            redis.use(settings.redisAccess.rights)
        }
        // Taken over from the first Redis that is watched, whose own change is no news.
        if settings.standsElsewhere(than: self.settings) { reload.needRestart = ["redis_proxy.upstream_url"] }
        return reload
    }

    func drain(by deadline: Deadline) async {
        guard let redis else { return }
        let left = await redis.drain(by: deadline)
        if left > 0 { Log.warn("pending writes stay in the log", ["writes": "\(left)"]) }
    }

    func stop() async { await redis?.stop() }
}

extension RedisProxy: Reclaimable {}
