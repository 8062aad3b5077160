import Metrics
import Network
import Operations
import Runtime
import Serving

/// The Postgres proxy: its listeners, its loop, and the pools behind them.
public final class PostgresProxy: PoolControl {
    private let loop: EventLoop
    private let pooler: Pooler
    private let metrics: PostgresProxyMetrics
    private let tcp: StreamListener?
    private let unix: UnixListener?
    private let tls: TLSServer?

    /// What the statements are counted as among the service's operations: one for each family.
    public static var operationNames: [String] { StatementFamily.allCases.map(\.operation) }

    /// Where clients get in.
    public struct Entrances: Sendable {
        public var address: ListenAddress?
        public var unixSocket: (path: String, mode: UInt32)?

        public init(address: ListenAddress? = nil, unixSocket: (path: String, mode: UInt32)? = nil) {
            (self.address, self.unixSocket) = (address, unixSocket)
        }
    }

    /// Throws when an address cannot be listened on.
    ///
    /// - Parameters:
    ///   - console: what answers in the database `outrigger`; nil for a database like others.
    ///   - operations: the monitor's instrument, if it is there.
    public init(
        _ entrances: Entrances, to upstream: Upstream, _ rules: PoolRules = PoolRules(), door: ProxyDoor = ProxyDoor(),
        console: (any Console)? = nil, operations: OperationRecorder? = nil
    ) throws {
        let loop = EventLoop("postgres-proxy")
        let metrics = PostgresProxyMetrics()
        let slowStatements = SlowOperations()
        let features = FeatureSwitches<PostgresFeature>()
        (self.loop, self.metrics, self.slowStatements, self.features) = (loop, metrics, slowStatements, features)
        let pooler = Pooler(
            loop, upstream, rules, door, console: console, metrics: metrics, operations: operations,
            slow: slowStatements, features: features)
        self.pooler = pooler
        tls = door.tls
        tcp = try entrances.address.map { try StreamListener($0, on: loop) { pooler.accept($0) } }
        unix = try entrances.unixSocket.map {
            try UnixListener(path: $0.path, mode: $0.mode, on: loop) { pooler.accept($0) }
        }
        loop.post { [weak self] in pooler.control = self }
    }

    /// The statements that lately took long, without their values.
    public let slowStatements: SlowOperations
    /// What can be switched off.
    public let features: FeatureSwitches<PostgresFeature>

    /// Where clients connect.
    public var addresses: [String] { (tcp.map { ["\($0.address)"] } ?? []) + (unix.map { [$0.path] } ?? []) }

    /// The port that TCP clients connect to.
    public var port: UInt16? { tcp?.address.port }

    /// To be added to the registry.
    public var instruments: [any Instrument] { metrics.instruments }

    /// What the pools count, for the registry.
    public var sources: [any MetricSource] { [PoolMetrics(self)] }

    /// Reads the files of TLS again; when they are of no use the old ones stay in force.
    public func reloadCertificate() throws(TLSError) { try tls?.reload() }

    /// Accepts nobody any more, lets begun transactions end, and tells Postgres goodbye.
    ///
    /// - Returns: whether all have ended in time.
    @discardableResult
    public func drain(by deadline: Deadline) async -> Bool {
        tcp?.stop()
        unix?.stop()
        return await withTaskGroup(of: Bool.self) { group in
            group.addTask { [self] in
                await shutdown()
                return true
            }
            group.addTask {
                try? await Task.sleep(for: deadline.remaining)
                return false
            }
            let isDone = await group.next() ?? false
            if !isDone { loop.post { [pooler] in pooler.end() } }
            group.cancelAll()
            return isDone
        }
    }

    /// Ends everything at once. To be called once.
    public func stop() async {
        tcp?.stop()
        unix?.stop()
        loop.post { [pooler] in pooler.end() }
        // What was written to say goodbye leaves before the loop ends.
        loop.post { [loop] in loop.after(milliseconds: 1) { loop.end() } }
    }

    // MARK: Control

    public func snapshot() async -> PoolSnapshot { await onLoop { pooler, done in done(pooler.snapshot()) } }

    public func rules() async -> PoolRules { await onLoop { pooler, done in done(pooler.rules) } }

    public func apply(_ rules: PoolRules) async { await tell { $0.apply(rules) } }

    public func pause(_ database: String?) async {
        _ = await onLoop { pooler, done in pooler.pause(database) { done(true) } }
    }

    public func resume(_ database: String?) async { await tell { $0.resume(database) } }

    public func disable(_ database: String) async { await tell { $0.disable(database) } }

    public func enable(_ database: String) async { await tell { $0.enable(database) } }

    public func reconnect(_ database: String?) async { await tell { $0.reconnect(database) } }

    public func kill(_ database: String?) async { await tell { $0.kill(database) } }

    public func killClient(_ number: Int32) async -> Bool {
        await onLoop { pooler, done in done(pooler.killClient(number)) }
    }

    public func shutdown() async { _ = await onLoop { pooler, done in pooler.shutDown { done(true) } } }

    /// Does something on the loop, and returns when it is done.
    private func tell(_ work: @escaping @Sendable (Pooler) -> Void) async {
        _ = await onLoop { pooler, done in
            work(pooler)
            done(true)
        }
    }

    /// Does something on the loop, and waits until it says that it is done.
    private func onLoop<Result: Sendable>(
        _ work: @escaping @Sendable (Pooler, @escaping @Sendable (Result) -> Void) -> Void
    ) async -> Result {
        await withCheckedContinuation { continuation in
            loop.post { [pooler] in work(pooler) { continuation.resume(returning: $0) } }
        }
    }
}
