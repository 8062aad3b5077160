import Gateway
import Metrics
import Network
import Runtime
import Serving
import Synchronization

extension GatewaySettings: CarryingSettings {
    init(_ settings: Settings, beside ground: Configuration.Ground) throws(SettingsError) { try self.init(settings) }

    var operationNames: [String] { hasEntrance ? Gateway.operationNames : [] }

    func makePart(_ surroundings: Surroundings) throws -> (any Part)? {
        hasEntrance ? GatewayPart(self, surroundings) : nil
    }
}

/// The HTTP gateway.
final class GatewayPart: Part {
    let name = "gateway"
    private let settings: GatewaySettings
    private let surroundings: Surroundings
    private let running = Mutex<Gateway?>(nil)

    init(_ settings: GatewaySettings, _ surroundings: Surroundings) {
        (self.settings, self.surroundings) = (settings, surroundings)
    }

    private var gateway: Gateway? { running.withLock { $0 } }

    var instruments: [any Instrument] { gateway?.instruments ?? [] }

    var proxy: ProxyFacts? {
        gateway.map { ProxyFacts(name: "gateway", features: $0.features, slowest: $0.slowest) }
    }

    var liveSettings: [String] { GatewaySettings.live }

    var routes: [Router.Route] { gateway.map { GatewayPages($0).routes } ?? [] }

    func start() async throws {
        let gateway = try Gateway(
            try settings.makeEntrances(), try settings.makeRules(), operations: surroundings.operations)
        running.withLock { $0 = gateway }
        for address in gateway.addresses {
            Log.info("serving HTTP", ["address": address, "from": settings.upstream])
        }
    }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        guard let gateway, let settings = fresh.settings(of: GatewaySettings.self), settings.hasEntrance else {
            return PreparedReload()
        }
        let rules = try settings.makeRules()
        let certificate = try gateway.readCertificate()
        return PreparedReload {
            certificate?.use()
            gateway.reload(rules)
        }
    }

    func drain(by deadline: Deadline) async {
        guard let gateway else { return }
        let left = await gateway.drain(by: deadline)
        if left > 0 { Log.warn("requests were not answered in time", ["requests": "\(left)"]) }
    }

    func stop() async { gateway?.stop() }
}
