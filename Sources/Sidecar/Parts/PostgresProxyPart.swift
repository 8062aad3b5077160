import Metrics
import PostgresProxy
import Runtime
import Synchronization

/// The Postgres proxy.
final class PostgresProxyPart: Part {
    let name = "postgres_proxy"
    private let settings: PostgresProxySettings
    private let surroundings: Surroundings
    private let running = Mutex<PostgresProxy?>(nil)
    private let sampling = Mutex<Task<Void, Never>?>(nil)

    init(_ settings: PostgresProxySettings, _ surroundings: Surroundings) {
        (self.settings, self.surroundings) = (settings, surroundings)
    }

    private var postgres: PostgresProxy? { running.withLock { $0 } }

    var sources: [any MetricSource] { postgres?.sources ?? [] }
    var instruments: [any Instrument] { postgres?.instruments ?? [] }

    var proxy: ProxyFacts? {
        postgres.map { ProxyFacts(name: "postgres", features: $0.features, slowest: $0.slowStatements) }
    }

    func start() async throws {
        guard let upstream = try settings.makeUpstream() else { return }
        let console = AdminConsole(settings.consoleRights) { [surroundings] in await surroundings.reload() }
        let postgres = try PostgresProxy(
            settings.entrances, to: upstream, settings.rules, door: try settings.makeDoor(), console: console,
            operations: surroundings.operations)
        running.withLock { $0 = postgres }
        sampling.withLock { $0 = Task { await console.run(postgres) } }
        for address in postgres.addresses {
            Log.info("serving Postgres", ["address": address, "from": settings.upstreamName])
        }
    }

    var liveSettings: [String] { PostgresProxySettings.liveSettings }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        guard let postgres, let settings = fresh.settings(of: PostgresProxySettings.self) else {
            return PreparedReload()
        }
        try postgres.reloadCertificate()
        return PreparedReload { await postgres.apply(settings.rules) }
    }

    func drain(by deadline: Deadline) async {
        if await postgres?.drain(by: deadline) == false { Log.warn("transactions were cut off at the end") }
    }

    func stop() async {
        sampling.withLock { $0?.cancel() }
        await postgres?.stop()
    }
}

extension PostgresProxySettings: CarryingSettings {
    init(_ settings: Settings, beside ground: Configuration.Ground) throws(SettingsError) {
        try self.init(settings, watched: ground.targets.postgres.first?.connection)
    }

    var operationNames: [String] { hasEntrance ? PostgresProxy.operationNames : [] }

    func makePart(_ surroundings: Surroundings) throws -> (any Part)? {
        hasEntrance ? PostgresProxyPart(self, surroundings) : nil
    }
}
