import Cache
import Network
import Operations
import RedisTesting
import Runtime
import Serving
import Testing

@testable import RedisProxy

/// A relay on a loop of its own, with a local level, in front of a server that does what it is told.
final class RelayUnderTest: Sendable {
    let redis: FakeRedis
    let relay: Relay
    let metrics = RedisProxyMetrics()
    let operations: OperationRecorder
    let local: LocalLevel

    init(_ redis: FakeRedis = FakeRedis(), _ change: (inout RelayOptions) -> Void = { _ in }) throws {
        self.redis = redis
        operations = OperationRecorder(try OperationsConfiguration(Settings()))
        var options = RelayOptions(
            .fixed(try StreamAddress(host: "127.0.0.1", port: redis.port)), user: nil, password: nil, database: 0)
        change(&options)
        let features = Features()
        let access = ProxyAccess(AccessRule(judge: .users, requiresPassword: false), ProxyUsers())
        let shared = SharedParts(
            metrics: metrics, features: features, slowCommands: SlowOperations(), operations: operations, access: access
        )
        relay = Relay(EventLoop("relay-test"), options, shared)
        let cache = LocalCache(
            classes: [CacheClass(name: "default", patterns: [])], nowMs: MonotonicClock.nowMs)
        local = LocalLevel(
            cache, freshness: Freshness(metrics.trackingIsUp), features: features, metrics: metrics)
        relay.use(local, nil)
        relay.loop.post { [relay] in relay.start(warming: nil) }
    }

    /// Runs `body` on the relay's loop, and waits for it.
    func onLoop<Result: Sendable>(_ body: @escaping @Sendable (Relay) -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            relay.loop.post { [relay] in continuation.resume(returning: body(relay)) }
        }
    }

    func eventually(_ what: Comment, _ condition: () async throws -> Bool) async throws {
        let deadline = Deadline.after(.seconds(60))
        while try await !condition() {
            try #require(!deadline.hasPassed, what)
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func stop() {
        relay.loop.post { [relay] in relay.end() }
        relay.loop.end()
        redis.stop()
    }
}
