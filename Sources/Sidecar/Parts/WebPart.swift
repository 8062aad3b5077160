import Metrics
import Network
import Runtime
import Synchronization

/// Where HTTP is served, and the pages about metrics. It serves the pages of all parts, whose router `use` brings.
final class WebPart: Part {
    let name = "web"
    private let surroundings: Surroundings
    private let router = CurrentRouter()
    private let settings: Mutex<Configuration>
    private let servers = Mutex<[HTTPServer]>([])
    private let door: Mutex<WebDoor>
    private let passwords = PasswordCheck()
    /// Of all servers.
    private let tls = Mutex<TLSServer?>(nil)

    init(_ configuration: Configuration, _ surroundings: Surroundings) throws(SettingsError) {
        self.surroundings = surroundings
        settings = Mutex(configuration)
        door = Mutex(WebDoor(configuration.web, file: try configuration.web.readFile(), passwords: passwords))
    }

    var instruments: [any Instrument] {
        let counts = servers.withLock { $0 }.map(\.counts)
        return [
            WebCount(.gauge("outrigger_web_connections", "HTTP connections that are open.")) {
                counts.reduce(0) { $0 + $1.open.load(ordering: .relaxed) }
            },
            WebCount(
                .counter(
                    "outrigger_web_evicted_connections_total",
                    "HTTP connections closed before they had asked anything whole: to make room, or because they took too long."
                )
            ) { counts.reduce(0) { $0 + $1.evicted.load(ordering: .relaxed) } },
            WebCount(
                .counter(
                    "outrigger_web_rejected_connections_total",
                    "HTTP connections turned away because there were too many.")
            ) { counts.reduce(0) { $0 + $1.turnedAway.load(ordering: .relaxed) } },
            WebCount(
                .counter(
                    "outrigger_web_malformed_requests_total",
                    "HTTP requests refused because two programs could take them for different ones.")
            ) { counts.reduce(0) { $0 + $1.malformed.load(ordering: .relaxed) } },
        ]
    }

    /// Where it really listens.
    var addresses: [ListenAddress] { servers.withLock { $0 }.map(\.address) }

    func use(_ fresh: Router) { router.replace(fresh) }

    var routes: [Router.Route] {
        let configuration = settings.withLock { $0 }
        let page = MetricsPage(
            registry: surroundings.registry, settings: configuration.collect, duplicates: surroundings.duplicates)
        let probes = ProbePages(configuration, page: page)
        return [
            .get(configuration.web.telemetryPath) { await page.answer($0) },
            .get("/probe") { await probes.probe($0) },
            .get("/scrape") { await probes.scrape($0) },
            .get("/graph") { GraphPage.answer($0) },
            .get("/-/healthy") { _ in .text("Outrigger is healthy.\n") },
        ]
    }

    var liveSettings: [String] {
        [
            "web.telemetry_path", "web.config_file", "web.allowed_hosts", "web.public", "web.cors_origin",
            "collect.timeout", "collect.timeout_offset", "probe",
        ]
    }

    func start() async throws {
        let web = settings.withLock { $0.web }
        var limits = HTTPServer.Limits()
        limits.connections = surroundings.descriptors.webConnections(atMost: web.maxConnections)
        let secured = try currentDoor.tls?.make()
        tls.withLock { $0 = secured }
        for address in web.listen {
            let server = try HTTPServer(
                address, limits: limits, tls: secured,
                screen: { [self] in await currentDoor.admission(of: $0, by: router.current) },
                handler: { [self] in await currentDoor.answer($0, by: router.current) })
            servers.withLock { $0.append(server) }
            Log.info("serving", ["address": "\(server.address)"])
        }
    }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        let door = WebDoor(fresh.web, file: try fresh.web.readFile(), passwords: passwords)
        let running = tls.withLock { $0 }
        let certificate = try door.tls.flatMap { files throws(TLSError) in try running?.read(files) }
        var reload = PreparedReload { [self] in
            settings.withLock { $0 = fresh }
            self.door.withLock { $0 = door }
            certificate?.use()
        }
        if (running == nil) != (door.tls == nil) { reload.needRestart = ["web.config_file"] }
        return reload
    }

    private var currentDoor: WebDoor { door.withLock { $0 } }

    func drain(by deadline: Deadline) async {
        let servers = servers.withLock { $0 }
        await withTaskGroup(of: Void.self) { group in
            for server in servers { group.addTask { await server.stop(within: deadline.remaining) } }
        }
    }
}

/// A number that a server keeps.
private struct WebCount: Instrument {
    private let metric: Metric
    private let value: @Sendable () -> Int

    init(_ metric: Metric, _ value: @escaping @Sendable () -> Int) { (self.metric, self.value) = (metric, value) }

    func read() -> Family {
        var family = Family(metric)
        family.samples.append(Sample(.none, Double(value())))
        return family
    }
}
