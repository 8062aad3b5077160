import Glibc
import LocalServers
import Metrics
import Network
import Runtime
import Serving
import Testing

@testable import Gateway

/// A gateway on a free port in front of services on loopback.
final class TestGateway: Sendable {
    let gateway: Gateway
    let port: UInt16

    /// Lives as long as what stands in front of it.
    private let origin: TestOrigin?

    /// - Parameter origin: who answers, where a test has no other use for it.
    init(
        to ports: [UInt16], keeping origin: TestOrigin? = nil, _ change: (inout GatewayRules) -> Void = { _ in }
    ) throws {
        self.origin = origin
        var rules = GatewayRules(routes: [try Self.route(to: ports)])
        change(&rules)
        gateway = try Gateway(
            Entrances(address: ListenAddress(host: "127.0.0.1", port: 0)), rules, operations: nil)
        port = UInt16(gateway.addresses[0].split(separator: ":").last ?? "") ?? 0
    }

    deinit { gateway.stop() }

    static func route(_ name: String = "default", _ match: RouteMatch = .all, to ports: [UInt16]) throws -> RouteRules {
        RouteRules(
            name: name, match: match,
            upstreams: try ports.map { UpstreamPlace(try StreamAddress(host: "127.0.0.1", port: $0)) })
    }

    /// The value of a series, by its name and labels as Prometheus writes them.
    func value(_ name: String, _ labels: [String: String] = [:]) -> Double {
        for instrument in gateway.instruments {
            let family = instrument.read()
            guard family.metric.name == name else { continue }
            for sample in family.samples where sample.part == .value && sample.labels.matches(labels) {
                return sample.value
            }
        }
        return 0
    }
}

extension Labels {
    func matches(_ wanted: [String: String]) -> Bool {
        wanted.allSatisfy { name, value in self[name] == value }
    }
}

/// Waits until something is so, for as long as a machine that is very busy may need.
func eventually(_ what: Comment, _ isSo: () throws -> Bool) async throws {
    let deadline = Deadline.after(.seconds(60))
    while try !isSo() {
        guard !deadline.hasPassed else {
            Issue.record("never: \(what)")
            return
        }
        try await Task.sleep(for: .milliseconds(5))
    }
}
