import Alerting
import Collectors
import Databases
import Glibc
import Metrics
import Network
import Operations
import RedisProxy
import Runtime

/// The parts of a running sidecar and how they are wired: sources → registry → web, and registry → history → rules →
/// messages.
///
/// A reload builds new sources from the new configuration and puts them in the place of the old ones; listeners stay.
actor Sidecar {
    private let load: @Sendable () throws(SettingsError) -> Configuration
    private var configuration: Configuration
    private let registry: Registry
    private let own: OwnMetrics
    private var alerting: AlertingParts?
    private let pages = CurrentRouter()
    private let operations: OperationRecorder
    private var statsd: StatsDReceiver?
    private var redisProxy: RedisProxy?
    private var servers: [HTTPServer] = []
    private let startedAt = Moment.now

    /// - Parameter load: reads the configuration anew; called at every reload.
    init(_ load: @escaping @Sendable () throws(SettingsError) -> Configuration) throws(SettingsError) {
        self.load = load
        configuration = try load()
        Log.setLevel(configuration.log)
        own = OwnMetrics()
        operations = OperationRecorder(configuration.operations)
        registry = Registry(minAge: configuration.collect.minAge, seriesLimit: configuration.collect.seriesLimit)
        own.instruments.add(registry.seriesDropped)
        own.instruments.add(registry.namesRefused)
        own.reloadSucceeded()
        registry.replaceSources(try Sidecar.sources(for: configuration, own) + [operations])
    }

    /// Serves until a signal says otherwise. SIGHUP reloads; SIGTERM and SIGINT drain and end.
    func run(_ signals: AsyncStream<Int32>) async throws -> Int32 {
        try await listen()
        return await waitForEnd(signals)
    }

    func waitForEnd(_ signals: AsyncStream<Int32>) async -> Int32 {
        for await signal in signals {
            guard signal != SIGHUP else {
                _ = await reload()
                continue
            }
            Log.info("ending", ["signal": "\(signal)"])
            break
        }
        await stop()
        return 0
    }

    /// Starts everything.
    func listen() async throws {
        alerting = try await AlertingParts.start(
            configuration.alerting, targets: historyTargets, registry: registry, instruments: own.instruments)
        let statsd = try StatsDReceiver(configuration.operations, operations)
        for address in statsd.addresses { Log.info("receiving StatsD", ["address": address]) }
        registry.add(statsd)
        self.statsd = statsd
        redisProxy = try configuration.proxies.startRedisProxy(operations)
        if let redisProxy {
            for instrument in redisProxy.instruments { own.instruments.add(instrument) }
            for source in redisProxy.sources { registry.add(source) }
            for address in redisProxy.addresses {
                Log.info("serving Redis", ["address": address, "from": configuration.proxies.upstream])
            }
        }
        var limits = HTTPServer.Limits()
        limits.connections = configuration.web.maxConnections
        let pages = pages
        pages.replace(router())
        for address in configuration.web.listen {
            let server = try HTTPServer(address, limits: limits) { await pages.current.answer($0) }
            servers.append(server)
            Log.info("serving", ["address": "\(server.address)"])
        }
        own.isReady.set(1)
        Task {
            // The first collection opens the connections, which takes the most code that is never used again.
            _ = await gather()
            Memory.releaseCodeOfStart()
        }
    }

    /// Everything that is true now.
    nonisolated func gather() async -> Snapshot { await registry.gather(by: .after(.seconds(2))) }

    /// Where the web listener really listens.
    var addresses: [ListenAddress] { servers.map(\.address) }

    func stop() async {
        own.isReady.set(0)
        for server in servers { await server.stop(within: .seconds(10)) }
        servers = []
        statsd?.end()
        if let redisProxy {
            let left = await redisProxy.drain(by: .after(.seconds(10)))
            if left > 0 { Log.warn("pending writes stay in the log", ["writes": "\(left)"]) }
            await redisProxy.stop()
        }
        await alerting?.stop()
    }

    /// - Returns: what is wrong with the new configuration, in which case the old one stays.
    func reload() async -> (any Error)? {
        do {
            let fresh = try load()
            if fresh.web.listen != configuration.web.listen {
                Log.warn("web.listen_address changed: it takes effect at the next start")
            }
            if fresh.operations.statsd != configuration.operations.statsd {
                Log.warn("where StatsD is received changed: it takes effect at the next start")
            }
            if fresh.alerting.needsRestart(after: configuration.alerting) {
                Log.warn("history, state or performance settings changed: they take effect at the next start")
            }
            let reported: [any MetricSource] = [operations] + (statsd.map { [$0] } ?? [])
            let sources = try Sidecar.sources(for: fresh, own) + reported
            try redisProxy?.reloadCertificate()
            try await alerting?.reload(
                fresh.alerting, targets: fresh.targets.historyTargets(own: fresh.web.listen.first))
            registry.replaceSources(sources)
            operations.reload(fresh.operations)
            configuration = fresh
            pages.replace(router())
            Log.setLevel(fresh.log)
            own.reloadSucceeded()
            Log.info("configuration reloaded", ["from": fresh.origin])
            return nil
        } catch {
            own.reloadFailed()
            Log.error("reload refused, the old configuration stays", ["error": "\(error)"])
            return error
        }
    }

    private var historyTargets: [HistoryTarget] {
        configuration.targets.historyTargets(own: configuration.web.listen.first)
    }

    private static func sources(
        for configuration: Configuration, _ own: OwnMetrics
    ) throws(SettingsError) -> [any MetricSource] {
        var sources: [any MetricSource] = [own.instruments, ProcessSource()]
        do throws(PostgresError) {
            for target in configuration.targets.postgres { sources.append(try PostgresTarget(target)) }
            for target in configuration.targets.pgbouncer {
                sources.append(try PgBouncerTarget(name: target.name, connection: target.connection))
            }
        } catch {
            throw SettingsError(place: configuration.origin, key: "targets", problem: "\(error)")
        }
        for target in configuration.targets.redis {
            sources.append(RedisTarget(name: target.name, address: target.address, options: target.options))
        }
        if configuration.service.isSet { sources.append(ServiceSource(configuration.service)) }
        if configuration.host.isSet { sources.append(HostSource(configuration.host)) }
        return sources
    }

    private func router() -> Router {
        let page = MetricsPage(registry: registry, settings: configuration.collect, duplicates: own.duplicates.with([]))
        let path = configuration.web.telemetryPath
        let probes = ProbePages(configuration, page: page)
        let own = own
        let operations = operations
        let redisProxy = redisProxy
        let proxyPages = redisProxy.map { ProxyPages(redis: $0) }
        let people = alerting.map { alerting in
            let facts = Facts(engine: alerting.engine, source: HistoryStore(alerting.history))
            let first = FirstPage(facts: facts, report: { alerting.performance }, telemetryPath: path)
            let health = HealthPages(
                facts: facts, report: { alerting.performance }, startedAt: startedAt, redisProxy: redisProxy)
            return [.get("/") { _ in first.answer() }] + health.routes
        }
        return Router(
            [
                .get(path) { await page.answer($0) },
                .get("/probe") { await probes.probe($0) },
                .get("/scrape") { await probes.scrape($0) },
                .get("/graph") { GraphPage.answer($0) },
                .get("/-/healthy") { _ in .text("Outrigger is healthy.\n") },
                .get("/-/ready") { _ in
                    own.isReady.value == 1 ? .text("Outrigger is ready.\n") : .text("not ready\n", status: 503)
                },
                .change("POST", "/v1/events") { EventsRequest.answer($0.body, operations) },
                .change("POST", "/-/reload") { [self] _ in await answerReload() },
                .change("PUT", "/-/reload") { [self] _ in await answerReload() },
            ] + (people ?? []) + (proxyPages?.routes ?? []),
            fallbacks: (proxyPages.map { [$0.change] } ?? []) + (alerting?.routes(registry: registry) ?? []))
    }

    private func answerReload() async -> HTTPResponse {
        guard let problem = await reload() else { return .text("") }
        return .text("failed to reload config: \(problem)\n", status: 500)
    }
}
