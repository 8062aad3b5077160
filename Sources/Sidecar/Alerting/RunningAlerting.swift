import Alerting
import Metrics
import Network
import PromQL
import Runtime
import Synchronization

/// Registry → history → rules → messages, and history → levels: the half of the sidecar that works without being asked.
///
/// Everything in it lives as long as the process. A reload changes rules, receivers and retention in place, so that no
/// alert and no sample is lost by one.
final class RunningAlerting: Sendable {
    let history: History
    let ruler: Ruler
    let engine: Engine
    /// For levels and pages: its windows fit what there is of the history.
    let fittedEngine: Engine
    /// What clients' queries hold together; the rules are not kept from being evaluated by them.
    private let samples: SampleBudget
    private let classifier: Classifier?
    private let sampler: HistorySampler
    private let keeper: HistoryKeeper?
    private let telling: Telling
    private let tasks = Mutex<[Task<Void, Never>]>([])

    /// Reads what survived the last run.
    static func start(
        _ settings: AlertingSettings, targets: [HistoryTarget], registry: Registry
    ) async throws -> RunningAlerting {
        let folder = try settings.stateFolder.map { path throws(FileError) in try StateFolder(path) }
        if folder == nil, !settings.ruler.files.isEmpty {
            Log.warn("state.dir is not set: a restart forgets alerts, notifications and history")
        }
        let history = History(targets: targets, limitBytes: settings.historyLimitBytes)
        let keeper = folder.map { folder in
            HistoryKeeper(
                history, every: settings.saveInterval, read: { try await folder.read("history") },
                write: { try await folder.write($0, to: "history") })
        }
        await keeper?.load()
        let telling = Telling(store: NotificationStore(folder))
        await telling.configure(settings.notification, kept: try await telling.load(for: settings.notification))
        let parts = try RunningAlerting(
            settings, history: history, keeper: keeper, telling: telling, registry: registry, folder: folder)
        try await parts.ruler.load()
        parts.deriveRetention()
        parts.run()
        return parts
    }

    private init(
        _ settings: AlertingSettings, history: History, keeper: HistoryKeeper?, telling: Telling, registry: Registry,
        folder: StateFolder?
    ) throws(PromQLError) {
        self.history = history
        var engine = Engine()
        engine.sampleLimit = settings.querySamples
        self.engine = engine
        engine.fitsWindows = true
        fittedEngine = engine
        samples = SampleBudget(limit: settings.querySamples)
        self.keeper = keeper
        self.telling = telling
        sampler = HistorySampler(history, every: settings.historyInterval) { await registry.gather(by: $0) }
        ruler = Ruler(
            settings.ruler, engine: engine, store: HistoryStore(history), sinks: [telling],
            stateFile: folder.map { StateFile($0.path + "/alerts") })
        guard settings.performance.isEnabled else {
            classifier = nil
            return
        }
        classifier = try Classifier(
            settings.performance, engine: fittedEngine, source: HistoryStore(history),
            stateFile: folder.map { StateFile($0.path + "/performance") })
    }

    var instruments: [any Instrument] {
        [QueryRefusals(budget: samples)] + history.metrics.instruments + sampler.instruments + telling.metrics.all
            + ruler.metrics.instruments
            + (keeper?.instruments ?? []) + (classifier?.instruments ?? [])
    }

    /// Rules, and the files that they stand in.
    var loadedRules: (rules: Int, files: Int) {
        let groups = ruler.snapshot.groups
        return (groups.map(\.rules.count).reduce(0, +), Set(groups.map(\.file)).count)
    }

    /// The latest judgement; nil before the first, and where levels are not judged.
    var performance: PerformanceReport? { classifier?.board.latest }

    private func run() {
        tasks.withLock {
            $0 = [Task { [sampler] in await sampler.run() }, Task { [ruler] in await ruler.run() }]
            if let keeper { $0.append(Task { await keeper.run() }) }
            if let classifier { $0.append(Task { await classifier.run() }) }
        }
    }

    /// Keeps what the loaded rules read, and five minutes more; an hour of everything.
    private func deriveRetention() {
        let spare = Duration.seconds(300)
        var least = Duration.seconds(3600)
        var byName: [String: Duration] = [:]
        for need in ruler.requirements + (classifier?.requirements ?? []) {
            let reach = Duration.milliseconds(need.reach) + spare
            if let name = need.metric {
                byName[name] = max(byName[name] ?? .zero, reach)
            } else {
                least = max(least, reach)
            }
        }
        history.setRetention(byName, least: least)
    }

    /// Reads the rule files and what receivers need, and changes nothing yet.
    ///
    /// - Throws: `RuleLoadError` or `FileError`.
    func prepare(_ settings: AlertingSettings, targets: [HistoryTarget]) async throws -> @Sendable () async -> Void {
        let files = try await ruler.read(settings.ruler)
        let kept = try await telling.load(for: settings.notification)
        return { [self] in
            await ruler.load(files, settings.ruler)
            history.setTargets(targets)
            deriveRetention()
            await telling.configure(settings.notification, kept: kept)
        }
    }

    /// Ends the evaluating first, then lets messages under way arrive, then writes the history down. Nobody is told that an
    /// alert is over because we end.
    func stop() async {
        for task in tasks.withLock({ $0 }) { task.cancel() }
        for task in tasks.withLock({ $0 }) { await task.value }
        await telling.stop()
        await keeper?.save()
    }

    /// `/api/v1/…` as Prometheus has it and `/api/v2/…` as Alertmanager has it.
    func routes(registry: Registry) -> [Router.Fallback] {
        var asked = engine
        asked.budget = samples
        let api = PrometheusAPI(
            engine: asked, source: HistoryStore(history), rules: { [ruler] in ruler.snapshot },
            metadata: { await registry.gather(by: .after(.seconds(2))).families.map(\.metric) },
            build: .init(version: Outrigger.version))
        return [
            { await api.answer($0) },
            { [telling] request in
                guard AlertmanagerAPI.serves(request.path) else { return nil }
                if AlertmanagerAPI.changes(request), let refusal = Router.refusesChange(request) { return refusal }
                guard let alertmanager = telling.api else { return .text("no receivers are configured\n", status: 404) }
                return await alertmanager.answer(request)
            },
        ]
    }
}

/// Hands alerts to the dispatcher, of which there is none until a configuration names receivers.
private final class Telling: AlertSink {
    let metrics = NotificationMetrics()
    private let store: NotificationStore
    private let state = Mutex<(dispatcher: Dispatcher, startedAt: Moment)?>(nil)

    init(store: NotificationStore) { self.store = store }

    typealias Kept = (log: NotificationLog, silences: Silences)

    /// What the last run left behind, where these settings are the first that name receivers.
    func load(for settings: NotificationSettings?) async throws(FileError) -> Kept? {
        guard settings != nil, state.withLock({ $0 == nil }) else { return nil }
        return try await store.load(at: .now)
    }

    /// - Parameter kept: what `load` gave for these settings.
    func configure(_ settings: NotificationSettings?, kept: Kept?) async {
        if let known = state.withLock({ $0?.dispatcher }) {
            await known.reconfigure(
                settings?.switchboard ?? .nobody, heartbeats: settings?.heartbeats ?? [])
            return
        }
        guard let settings, let kept else { return }
        let dispatcher = Dispatcher(
            settings.switchboard, heartbeats: settings.heartbeats, client: HTTPClient(),
            userAgent: "Outrigger/\(Outrigger.version)", store: store, log: kept.log, silences: kept.silences,
            metrics: metrics)
        state.withLock { $0 = (dispatcher, .now) }
        await dispatcher.start()
    }

    func accept(_ alerts: [Alert]) async { await state.withLock { $0?.dispatcher }?.receive(alerts) }

    func stop() async { await state.withLock { $0?.dispatcher }?.stop() }

    var api: AlertmanagerAPI? {
        state.withLock { $0 }.map {
            AlertmanagerAPI($0.dispatcher, version: Outrigger.version, startedAt: $0.startedAt)
        }
    }
}

/// Queries that ended because of `query.max_samples`.
private struct QueryRefusals: Instrument {
    let budget: SampleBudget

    func read() -> Family {
        var family = Family(
            .counter(
                "outrigger_queries_too_large_total",
                "Queries over HTTP that ended because they, or all together, held more samples than query.max_samples.")
        )
        family.samples.append(Metrics.Sample(.none, Double(budget.refused)))
        return family
    }
}
