import Glibc
import Metrics
import Network
import Operations
import Runtime

/// A running sidecar: a list of parts, which it starts, reloads, drains and stops.
///
/// A reload asks every part first whether it can take the new configuration, and only when all can does any of them change.
actor Sidecar {
    private let load: @Sendable () throws(SettingsError) -> Configuration
    /// What is in force: after a reload, what waits for the next start still has the value of this one.
    private var inForce: SettingValues
    private let surroundings: Surroundings
    private let own: OwnMetrics
    private let web: WebPart
    private let alerting: AlertingPart
    private let parts: [any Part]
    private var grace: Duration
    /// The reload that was asked for last.
    private var lastReload: Task<ReloadResult, Never>?
    /// The same while it has not begun to read.
    private var nextReload: Task<ReloadResult, Never>?
    /// Nil where no service manager wants to be told how it goes.
    private let manager = ServiceManager(environment: Environment.current)

    /// The settings whose change waits for the next start, or what is wrong with the new configuration, in which case
    /// everything stays as it was.
    typealias ReloadResult = Result<[String], any Error>

    /// - Parameter load: reads the configuration anew; called at every reload.
    init(_ load: @escaping @Sendable () throws(SettingsError) -> Configuration) throws {
        self.load = load
        let configuration = try load()
        inForce = configuration.values
        grace = configuration.shutdownGrace
        Log.setLevel(configuration.log)
        own = OwnMetrics(aliases: configuration.compatAliases)
        let registry = Registry(configuration.collect.registry)
        own.instruments.add(registry.seriesDropped)
        own.instruments.add(registry.namesRefused)
        surroundings = Surroundings(
            registry: registry, operations: OperationRecorder(configuration.operations),
            duplicates: own.duplicates.with([]),
            descriptors: DescriptorBudget(
                limit: Descriptors.raiseLimit(), web: configuration.web.maxConnections,
                proxies: configuration.carrying.count { !$0.operationNames.isEmpty }))
        web = try WebPart(configuration, surroundings)
        // The web comes last: it serves the pages of those before it.
        alerting = AlertingPart(configuration, surroundings)
        var parts: [any Part] = [
            try TargetsPart(configuration), alerting,
            OperationsPart(configuration.operations, surroundings.operations),
        ]
        for settings in configuration.carrying {
            if let part = try settings.makePart(surroundings) { parts.append(part) }
        }
        self.parts = parts + [web]
        registry.replaceSources([own.instruments] + self.parts.flatMap(\.sources))
        own.reloadSucceeded()
    }

    /// Serves until a signal says otherwise. SIGHUP reloads; SIGTERM and SIGINT drain and end.
    func run(_ signals: AsyncStream<Int32>) async throws -> Int32 {
        try await listen()
        for name in PassedSockets.shared.left {
            Log.warn("a passed socket is nobody's: no setting names its address", ["name": name])
        }
        let told = manager.map { manager in Task { await tell(manager) } }
        defer { told?.cancel() }
        return await waitForEnd(signals)
    }

    /// - Parameter isDemo: the terminal that is closed ends it, and it takes the time that its servers need to end.
    func waitForEnd(_ signals: AsyncStream<Int32>, isDemo: Bool = false) async -> Int32 {
        for await signal in signals {
            guard signal != SIGHUP || isDemo else {
                // What ends the process does not wait for it.
                if nextReload == nil { Task { await reload() } }
                continue
            }
            Log.info("ending", ["signal": "\(signal)"])
            break
        }
        await stop(endsProcess: !isDemo)
        return 0
    }

    /// Starts everything.
    func listen() async throws {
        await openTimers()
        surroundings.reload { [weak self] in
            guard case .failure(let problem) = await self?.reload() else { return nil }
            return "\(problem)"
        }
        for part in parts {
            if part.name == web.name { web.use(router()) }
            try await part.start()
            for instrument in part.instruments { own.instruments.add(instrument) }
            surroundings.registry.replaceSources(sources)
        }
        own.isReady.set(1)
        let inventory = alerting.inventory
        Log.info("started", ["version": Outrigger.version, "watches": "\(inventory)"])
        for warning in inventory.warnings { Log.warn(warning) }
        Task {
            // The first collection opens the connections, which takes the most code that is never used again.
            _ = await gather()
            Memory.releaseCodeOfStart()
            await Memory.giveBack()
        }
    }

    /// Everything that is true now.
    nonisolated func gather() async -> Snapshot { await surroundings.registry.gather(by: .after(.seconds(2))) }

    /// Rules that are evaluated.
    var ruleCount: Int { alerting.inventory.rules }

    /// Where the web listener really listens.
    var addresses: [ListenAddress] { web.addresses }

    /// Has the clocks' descriptors opened that waiting tasks need: libdispatch opens each at its first use, and ends the
    /// process when it cannot.
    private func openTimers() async {
        try? await Task.sleep(for: .nanoseconds(1), clock: .continuous)
        try? await Task.sleep(for: .nanoseconds(1), clock: .suspending)
        try? await Task.sleep(nanoseconds: 1)
    }

    /// Says that it lives, as often as the service manager wants to hear it, and how it goes. That it runs on this actor and
    /// asks every part is what it proves.
    private func tell(_ manager: ServiceManager) async {
        manager.isReady()
        let pause = min(manager.watchInterval ?? .seconds(10), .seconds(10))
        repeat {
            manager.says(parts.compactMap(\.status).joined(separator: "; "))
            if manager.watchInterval != nil { manager.isAlive() }
        } while (try? await Task.sleep(for: pause)) != nil
    }

    /// Answers what is under way and ends all parts; where that takes longer than `shutdown.grace`, the process ends anyway.
    ///
    /// - Parameter endsProcess: false where somebody has something else to end.
    func stop(endsProcess: Bool = true) async {
        manager?.isStopping()
        own.isReady.set(0)
        let deadline = Deadline.after(grace)
        let late = Latecomers(parts.map(\.name))
        if endsProcess { late.endTheProcess(at: deadline) }
        // The last tenth is for what follows.
        let drained = Deadline(deadline.instant - grace / 10)
        await withTaskGroup(of: Void.self) { group in
            for part in parts { group.addTask { await part.drain(by: drained) } }
        }
        await withTaskGroup(of: Void.self) { group in
            for part in parts {
                group.addTask {
                    await part.stop()
                    late.ended(part.name)
                }
            }
        }
        late.allEnded()
    }

    // MARK: Reloading

    /// Reads the configuration anew. One reload runs at a time, and whoever asks before the next has begun shares it.
    func reload() async -> ReloadResult {
        if let nextReload { return await nextReload.value }
        let before = lastReload
        let task = Task {
            _ = await before?.value
            nextReload = nil
            return await reloadNow()
        }
        (nextReload, lastReload) = (task, task)
        return await task.value
    }

    private func reloadNow() async -> ReloadResult {
        manager?.isReloading()
        defer { manager?.isReady() }
        do {
            let fresh = try load()
            var reloads: [PreparedReload] = []
            for part in parts { reloads.append(try await part.prepare(fresh)) }
            for reload in reloads { await reload.apply() }
            Log.setLevel(fresh.log)
            grace = fresh.shutdownGrace
            surroundings.registry.use(fresh.collect.registry)
            surroundings.registry.replaceSources(sources)
            web.use(router())
            let waiting = settle(fresh.values) + reloads.flatMap(\.needRestart)
            own.reloadSucceeded(waiting: waiting)
            Log.info("configuration reloaded", ["from": fresh.origin])
            for name in waiting { Log.warn("a changed setting takes effect at the next start", ["setting": name]) }
            return .success(waiting)
        } catch {
            own.reloadFailed()
            Log.error("reload refused, the old configuration stays", ["error": "\(error)"])
            return .failure(error)
        }
    }

    /// Notes what a reload has changed.
    ///
    /// - Returns: the settings whose change waits for the next start.
    private func settle(_ fresh: SettingValues) -> [String] {
        let live = parts.flatMap(\.liveSettings) + ["log", "shutdown", "collect.min_age", "collect.series_limit"]
        func isLive(_ name: String) -> Bool {
            live.contains { name == $0 || name.hasPrefix($0 + ".") || name.hasPrefix($0 + "[") }
        }
        inForce = inForce.replacing(isLive, from: fresh)
        return fresh.changes(since: inForce)
    }

    private var sources: [any MetricSource] { [own.instruments] + parts.flatMap(\.sources) }

    private func router() -> Router {
        let own = own
        let proxies = ProxyPages(proxies: parts.compactMap(\.proxy))
        return Router(
            [
                .get("/-/ready") { _ in
                    own.isReady.value == 1 ? .text("Outrigger is ready.\n") : .text("not ready\n", status: 503)
                },
                .change("POST", "/-/reload") { [self] _ in await answerReload() },
                .change("PUT", "/-/reload") { [self] _ in await answerReload() },
            ] + parts.flatMap(\.routes) + proxies.routes,
            fallbacks: proxies.fallbacks + parts.flatMap(\.fallbacks), bodyRules: parts.flatMap(\.bodyRules))
    }

    private func answerReload() async -> HTTPResponse {
        switch await reload() {
        case .success(let waiting):
            .text(waiting.map { "\($0) takes effect at the next start\n" }.joined())
        case .failure(let problem): .text("failed to reload config: \(problem)\n", status: 500)
        }
    }
}
