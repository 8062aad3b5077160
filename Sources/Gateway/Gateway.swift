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
        let relay = Relay(loop, rules, metrics, security, operations)
        self.relay = relay
        loop.post { relay.start() }
        listeners = try EntranceListeners(entrances, on: loop) { relay.accept($0) }
    }

    /// Other rules from here on. Requests under way are finished under theirs, and no connection is closed.
    public func reload(_ rules: GatewayRules) { loop.post { [relay] in relay.apply(rules) } }

    /// Reads the files of TLS again, without using them yet. Nil where there is no TLS.
    public func readCertificate() throws(TLSError) -> TLSServer.Fresh? { try listeners.readCertificate() }

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
