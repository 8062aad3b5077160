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

    init(_ configuration: Configuration, _ surroundings: Surroundings) {
        self.surroundings = surroundings
        settings = Mutex(configuration)
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

    var liveSettings: [String] { ["web.telemetry_path", "collect.timeout", "collect.timeout_offset", "probe"] }

    func start() async throws {
        let web = settings.withLock { $0.web }
        var limits = HTTPServer.Limits()
        limits.connections = surroundings.descriptors.clients(
            of: "web.max_connections", atMost: web.maxConnections)
        for address in web.listen {
            let server = try HTTPServer(address, limits: limits) { [router] in await router.current.answer($0) }
            servers.withLock { $0.append(server) }
            Log.info("serving", ["address": "\(server.address)"])
        }
    }

    func prepare(_ fresh: Configuration) async throws -> PreparedReload {
        PreparedReload { [self] in settings.withLock { $0 = fresh } }
    }

    func drain(by deadline: Deadline) async {
        let servers = servers.withLock { $0 }
        await withTaskGroup(of: Void.self) { group in
            for server in servers { group.addTask { await server.stop(within: deadline.remaining) } }
        }
    }
}
