import Metrics
import Runtime

/// The listener of the Redis proxy: clients in front of a Redis, or of the one in memory where there is none. Everything
/// but `init` and `stop` happens on the loop's thread.
public final class RedisRelay: @unchecked Sendable {
    /// What to say first on each connection to Redis, and how many replies that gets.
    public struct Greeting: Sendable {
        let bytes: [UInt8]
        let replies: Int

        /// `AUTH` where there is a password, `SELECT` where the database is not the first.
        public init(user: String?, password: String?, database: Int) {
            var bytes: [UInt8] = []
            var replies = 0
            func say(_ words: [String]) {
                bytes.append(arrayOf: words.count)
                for word in words { bytes.append(bulk: word) }
                replies += 1
            }
            if let password { say(["AUTH"] + (user.map { [$0] } ?? []) + [password]) }
            if database != 0 { say(["SELECT", "\(database)"]) }
            (self.bytes, self.replies) = (bytes, replies)
        }
    }

    static let unreachable = "ERR Redis cannot be reached"

    let loop: EventLoop
    let upstream: StreamAddress
    let greeting: Greeting
    let metrics: RedisProxyMetrics
    private var shared: [SharedUpstream] = []
    private var sessions: [ObjectIdentifier: RelaySession] = [:]
    private var accepted = 0

    init(_ loop: EventLoop, to upstream: StreamAddress, _ greeting: Greeting, _ metrics: RedisProxyMetrics) {
        self.loop = loop
        self.upstream = upstream
        self.greeting = greeting
        self.metrics = metrics
        // Two, so that the reply to a large read does not delay everybody.
        shared = [SharedUpstream(self), SharedUpstream(self)]
    }

    func accept(_ client: StreamConnection) {
        accepted += 1
        metrics.accepted.add()
        metrics.clients.set(Double(sessions.count + 1))
        let session = RelaySession(client, self, shared[accepted % shared.count])
        sessions[ObjectIdentifier(session)] = session
        client.owner = session
    }

    func forget(_ session: RelaySession) {
        sessions[ObjectIdentifier(session)] = nil
        metrics.clients.set(Double(sessions.count))
    }

    /// Clients that were held back because of an upstream go on.
    func upstreamDrained() { for session in Array(sessions.values) { session.goOn() } }

    func noteRefusedGreeting(_ reply: Span<UInt8>) {
        var text: [UInt8] = []
        text.append(bytes: reply)
        Log.error(
            "Redis refused us", ["upstream": "\(upstream)", "reply": String(decoding: text.prefix(200), as: UTF8.self)])
    }
}

/// The Redis proxy: a listener, its loop, and whoever answers.
public final class RedisProxy: Sendable {
    private let loop = EventLoop("redis-proxy")
    private let listener: StreamListener
    private let metrics = RedisProxyMetrics()

    /// Where clients connect.
    public var address: ListenAddress { listener.address }
    /// To be added to the registry.
    public var instruments: [any Instrument] { metrics.instruments }

    /// In front of a Redis. Throws when the address cannot be listened on.
    public init(_ address: ListenAddress, to upstream: StreamAddress, _ greeting: RedisRelay.Greeting) throws {
        let relay = RedisRelay(loop, to: upstream, greeting, metrics)
        listener = try StreamListener(address, on: loop) { relay.accept($0) }
    }

    /// With a Redis in memory. Throws when the address cannot be listened on.
    public init(_ address: ListenAddress, memory: MemoryRedis) throws {
        let door = MemoryDoor(memory, metrics)
        listener = try StreamListener(address, on: loop) { door.accept($0) }
    }

    /// Accepts nobody any more, and ends the loop; clients see their connections close with the process.
    public func stop() {
        listener.stop()
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
