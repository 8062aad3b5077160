import Alerting
import Metrics
import Network
import Runtime
import Synchronization

/// History, rules, messages and levels, and the pages for people that stand on them.
final class AlertingPart: Part {
    let name = "alerting"
    private let surroundings: Surroundings
    private let state: Mutex<State>

    private struct State {
        var configuration: Configuration
        var running: RunningAlerting?
    }

    init(_ configuration: Configuration, _ surroundings: Surroundings) {
        self.surroundings = surroundings
        state = Mutex(State(configuration: configuration))
    }

    private var running: RunningAlerting? { state.withLock { $0.running } }

    var instruments: [any Instrument] { running?.instruments ?? [] }

    var routes: [Router.Route] {
        let (configuration, running) = state.withLock { ($0.configuration, $0.running) }
        guard let running else { return [] }
        let facts = Facts(engine: running.fittedEngine, source: HistoryStore(running.history))
        let first = FirstPage(
            facts: facts, report: { running.performance }, telemetryPath: configuration.web.telemetryPath)
        let health = HealthPages(
            facts: facts, report: { running.performance }, startedAt: surroundings.startedAt,
            memory: surroundings.memory)
        let status = PrometheusStatus(
            facts: Facts(engine: running.engine, source: HistoryStore(running.history)), values: configuration.values,
            startedAt: surroundings.startedAt, interval: configuration.alerting.historyInterval
        ) {
            let footprint = running.history.footprint
            return (footprint.series, footprint.samples)
        }
        return [.get("/") { _ in first.answer() }] + health.routes + status.routes
    }

    var fallbacks: [Router.Fallback] { running?.routes(registry: surroundings.registry) ?? [] }

    var bodyRules: [Router.BodyRule] {
        [
            { PrometheusAPI.takesForm($0) ? .isTaken : nil },
            { request in
                guard AlertmanagerAPI.serves(request.path), AlertmanagerAPI.changes(request) else { return nil }
                return Router.refusesChange(request).map { .refused($0) } ?? .isTaken
            },
        ]
    }

    var status: String? {
        guard let level = running?.performance?.overall.level.rawValue else { return nil }
        return level.prefix(1).uppercased() + level.dropFirst()
    }

    var liveSettings: [String] { ["alerting"] }

    func start() async throws {
        let configuration = state.withLock { $0.configuration }
        let running = try await RunningAlerting.start(
            configuration.alerting, targets: configuration.historyTargets, registry: surroundings.registry)
        state.withLock { $0.running = running }
    }

    /// What runs, in numbers.
    var inventory: Inventory {
        let (configuration, running) = state.withLock { ($0.configuration, $0.running) }
        var inventory = configuration.inventory(of: [])
        if let running { (inventory.rules, inventory.ruleFiles) = running.loadedRules }
        return inventory
    }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        guard let running else { return PreparedReload() }
        let apply = try await running.prepare(fresh.alerting, targets: fresh.historyTargets)
        return PreparedReload { [self] in
            await apply()
            state.withLock { $0.configuration = fresh }
        }
    }

    func stop() async { await running?.stop() }
}

extension Configuration {
    fileprivate var historyTargets: [HistoryTarget] { targets.historyTargets(own: web.listen.first) }
}
