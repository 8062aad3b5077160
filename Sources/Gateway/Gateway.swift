import Metrics
import Network
import Operations
import Runtime
import Serving

/// The HTTP gateway: listeners, a loop, and the service behind it.
public final class Gateway: Sendable {
    private let loop = EventLoop("gateway")
    private let listeners: EntranceListeners
    private let relay: Relay
    private let metrics = GatewayMetrics()
    /// What was refused lately.
    public let security: SecurityLog

    /// What can be switched off.
    public let features = FeatureSwitches<GatewayFeature>()
    /// The requests that lately took longest, by route.
    public var slowest: SlowOperations { relay.slowest }

    /// Where clients connect.
    public var addresses: [String] { listeners.addresses }
    /// To be added to the registry.
    public var instruments: [any Instrument] { metrics.instruments }
    /// What requests are counted as among the service's operations: one for each method.
    public static var operationNames: [String] { Method.allCases.map(\.operation) }

    /// Throws when an address cannot be listened on.
    ///
    /// - Parameter operations: the monitor's instrument, if it is there.
    public init(_ entrances: Entrances, _ rules: GatewayRules, operations: OperationRecorder?) throws {
        security = SecurityLog(metrics, operations)
        let relay = Relay(loop, rules, metrics, security, features, operations)
        self.relay = relay
        loop.post { relay.start() }
        listeners = try EntranceListeners(entrances, on: loop) { relay.accept($0) }
    }

    /// Other rules from here on. Requests under way are finished under theirs, and no connection is closed.
    public func reload(_ rules: GatewayRules) { loop.post { [relay] in relay.apply(rules) } }

    /// Reads the files of TLS again, without using them yet. Nil where there is no TLS.
    public func readCertificate() throws(TLSError) -> TLSServer.Fresh? { try listeners.readCertificate() }

    /// What is to be forgotten of the kept answers.
    public enum Purge: Sendable {
        case url(host: String, target: String)
        /// Whole segments of a path: `/a/` and what is below.
        case prefix(host: String, path: String)
        case surrogateKey(String)
        case everything
    }

    /// - Returns: how many answers were forgotten; for everything, and where nothing is kept, 0.
    public func purge(_ what: Purge) async -> Int { await onLoop { $0.purge(what) } }

    func onLoop<Value: Sendable>(_ ask: @escaping @Sendable (Relay) -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            loop.post { [relay] in continuation.resume(returning: ask(relay)) }
        }
    }

    /// Moves the clocks of the steps on, for tests.
    func advance(by duration: Duration) async {
        await onLoop { $0.clockMs += duration.milliseconds }
    }

    /// Accepts nobody any more, and answers what is under way.
    ///
    /// - Returns: how many requests are still not answered at the deadline.
    public func drain(by deadline: Deadline) async -> Int {
        listeners.stop()
        loop.post { [relay] in relay.drain() }
        while true {
            let busy = await withCheckedContinuation { continuation in
                loop.post { [relay] in continuation.resume(returning: relay.busyCount) }
            }
            guard busy > 0, !deadline.hasPassed else { return busy }
            guard (try? await Task.sleep(for: .milliseconds(10))) != nil else { return busy }
        }
    }

    /// Closes every connection, and ends the loop.
    public func stop() {
        loop.post { [relay] in relay.end() }
        loop.end()
    }
}
