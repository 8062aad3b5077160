import Collectors
import Glibc
import Metrics
import Network
import Operations
import Runtime

/// Everything that can be set, checked. Reading it declares every setting.
struct Configuration {
    /// Where it came from, for messages: the file's name, or `environment and flags`.
    let origin: String
    let web: Web
    let collect: Collect
    let log: Log.Level
    /// How long ending may take.
    let shutdownGrace: Duration
    let compatAliases: Bool
    let targets: Targets
    let probes: Probes
    let operations: OperationsConfiguration
    let service: ServiceSettings
    let host: HostSettings
    let alerting: AlertingSettings
    let carrying: [any CarryingSettings]
    /// Every setting's value and origin.
    let values: SettingValues

    struct Web {
        let listen: [ListenAddress]
        let telemetryPath: String
        let maxConnections: Int
        /// Prometheus' web configuration file.
        let configFile: String?
        let allowedHosts: [String]
        let isPublic: PublicPages
        let corsOrigin: String
        /// Nil where every origin is allowed.
        let corsPattern: Pattern?

        /// What others than trusted clients see.
        enum PublicPages: String, CaseIterable {
            case all, metrics
        }

        /// Nil where none is set.
        func readFile() throws(SettingsError) -> WebConfigFile? {
            guard let configFile else { return nil }
            return try WebConfigFile(configFile)
        }
    }

    struct Collect {
        let minAge: Duration
        let timeout: Duration
        let timeoutOffset: Duration
        let seriesLimit: Int

        var registry: Registry.Rules { Registry.Rules(minAge: minAge, seriesLimit: seriesLimit) }
    }

    init(_ settings: Settings) throws(SettingsError) {
        origin = settings.hasFile ? settings.fileName : "environment and flags"
        web = try Web(settings)
        collect = try Collect(settings)
        log = try LogLevel.read(settings)
        shutdownGrace = try settings.read(
            "shutdown.grace", default: .seconds(10),
            "How long ending may take: what is under way is answered, and then it ends whatever happens.",
            in: .milliseconds(100)...(.seconds(3600)))
        compatAliases = try settings.read(
            "compat.aliases", default: false,
            "Serve the metric names, labels and series of older exporters beside the current ones.")
        targets = try Targets(settings, aliases: compatAliases, seriesLimit: collect.seriesLimit)
        probes = try Probes(settings)
        operations = try OperationsConfiguration(settings)
        service = try ServiceSettings(settings)
        host = try HostSettings(settings)
        var alerting = try AlertingSettings(settings, listen: web.listen.first)
        let ground = Ground(
            targets: targets, web: web, stateFolder: alerting.stateFolder,
            resolveInterval: try settings.read(
                "resolve.interval", default: .seconds(30),
                "How often the name of a server is looked up while connections to it stand; at every new connection anyway.",
                in: .seconds(1)...(.seconds(86_400))))
        carrying = try Self.carrying.map { kind throws(SettingsError) in try kind.init(settings, beside: ground) }
        alerting.performance.proxiedOperations = carrying.flatMap(\.operationNames)
        self.alerting = alerting
        values = settings.values
    }

    /// Reads the file that `--config` or `OUTRIGGER_CONFIG` names, the environment and the flags.
    ///
    /// - Parameter extra: variables that win over the environment's.
    static func load(_ invocation: Invocation, adding extra: [String: String] = [:]) throws(SettingsError)
        -> Configuration
    {
        let environment = Environment.current.merging(extra) { $1 }
        let path = invocation.value("config") ?? invocation.value("config.file") ?? environment["OUTRIGGER_CONFIG"]
        let settings = Settings(
            file: try path.map { path throws(SettingsError) in (path, try readFile(path)) },
            environment: environment.filter { $0.key != "OUTRIGGER_CONFIG" }, flags: invocation.settingFlags)
        let configuration = try Configuration(settings)
        try settings.finish()
        return configuration
    }

    private static func readFile(_ path: String) throws(SettingsError) -> YAML {
        let bytes: [UInt8]
        do { bytes = try Files.read(path, limitBytes: 8 << 20) } catch {
            throw SettingsError(place: path, key: "", problem: "\(error)")
        }
        do {
            return try YAML.parse(bytes) ?? YAML(.mapping([]), line: 1)
        } catch {
            throw SettingsError(place: "\(path):\(error.line)", key: "", problem: error.problem)
        }
    }
}

extension Configuration.Web {
    init(_ settings: Settings) throws(SettingsError) {
        let texts = try settings.readList(
            "web.listen_address", default: [":9847"], "Where to serve HTTP. A list serves several addresses.")
        var addresses: [ListenAddress] = []
        for text in texts {
            guard let address = ListenAddress(setting: text) else {
                throw SettingsError(
                    place: settings.fileName, key: "web.listen_address",
                    problem: "\"\(text)\" is not \(ListenAddress.kind)")
            }
            addresses.append(address)
        }
        listen = addresses
        telemetryPath = try settings.read("web.telemetry_path", default: "/metrics", "Path of the metrics.")
        guard telemetryPath.hasPrefix("/"), telemetryPath.utf8.count > 1 else {
            throw SettingsError(
                place: settings.fileName, key: "web.telemetry_path",
                problem: "\"\(telemetryPath)\" does not begin with a slash")
        }
        maxConnections = try settings.read(
            "web.max_connections", default: 512, "HTTP connections that may be open at once.", in: 1...100_000)
        let file: String? = try settings.read(
            "web.config_file",
            "Prometheus' web configuration file, relative to this one: TLS, client certificates, users, headers.")
        configFile = file.map { file in
            guard settings.hasFile, !file.hasPrefix("/"), let slash = settings.fileName.lastIndex(of: "/") else {
                return file
            }
            return settings.fileName[...slash] + file
        }
        allowedHosts = try settings.readList(
            "web.allowed_hosts",
            "Names, beside the machine's own, under which clients of this machine may change things (the header Host).")
        isPublic = try settings.read(
            "web.public", oneOf: PublicPages.self, default: .all,
            "What clients of other machines see without a password: everything that is no secret, or metrics and health alone."
        )
        corsOrigin =
            try settings.read(
                "web.cors_origin", "Regular expression of the origins whose pages may read /api/v1/; `.*` when not set."
            )
            ?? ".*"
        do { corsPattern = corsOrigin == ".*" ? nil : try Pattern("^(?:\(corsOrigin))$") } catch {
            throw SettingsError(place: settings.fileName, key: "web.cors_origin", problem: "\(error)")
        }
    }
}

extension Configuration.Collect {
    init(_ settings: Settings) throws(SettingsError) {
        minAge = try settings.read(
            "collect.min_age", default: .seconds(1), "A collection that finished less than this ago is served again.")
        timeout = try settings.read(
            "collect.timeout", default: .seconds(10),
            "How long a collection may take when the scrape does not say (X-Prometheus-Scrape-Timeout-Seconds).",
            in: .milliseconds(10)...(.seconds(3600)))
        timeoutOffset = try settings.read(
            "collect.timeout_offset", default: .milliseconds(250),
            "Taken off the scrape's own time-out, for the way back.")
        seriesLimit = try settings.read(
            "collect.series_limit", default: 50_000,
            "Series that one collector may bring; more are dropped and counted.",
            in: 1...10_000_000)
    }
}

private enum LogLevel: String, CaseIterable {
    case debug, info, warn, error

    static func read(_ settings: Settings) throws(SettingsError) -> Log.Level {
        switch try settings.read(
            "log.level", oneOf: LogLevel.self, default: .info, "Lines below this level are not written.")
        {
        case .debug: .debug
        case .info: .info
        case .warn: .warn
        case .error: .error
        }
    }
}
