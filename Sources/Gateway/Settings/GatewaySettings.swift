import Network
import Runtime
import Serving

/// The settings under `gateway.`, checked.
public struct GatewaySettings: Sendable {
    private let address: ListenAddress?
    private let unixSocket: Entrances.UnixSocket?
    private let tls: TLSServerSettings?
    private let upstreamTLS: TLSClientSettings
    private let routes: [RouteSettings]
    private let limits: ClientLimits
    private let trustedProxies: [AddressRange]
    private let retryShare: Double
    private let expectsProxyHeader: Bool
    private let token: TokenSettings
    private let queue: (rules: AdmissionQueue.Rules?, field: String?, claim: String?)
    private let cacheBytes, mostCachedBody: Int
    private let telling: (timing: Bool, details: Bool, accessLog: Double)

    /// Whether there is anything that clients could connect to.
    public var hasEntrance: Bool { address != nil || unixSocket != nil }

    /// For people: where requests go.
    public var upstream: String { Array(Set(routes.flatMap(\.urls))).sorted().joined(separator: ", ") }

    /// What a reload changes while the gateway runs: everything but where it listens.
    public static let live = [
        "gateway.upstream", "gateway.upstream_tls", "gateway.routes", "gateway.health", "gateway.trusted_proxies",
        "gateway.retry_budget", "gateway.proxy_protocol", "gateway.upstream_timeout", "gateway.connect_timeout",
        "gateway.restart_patience",
        "gateway.max_request_line", "gateway.max_field", "gateway.max_head", "gateway.max_fields",
        "gateway.max_chunk_extensions", "gateway.max_trailers", "gateway.max_body", "gateway.head_timeout",
        "gateway.min_body_rate", "gateway.idle_timeout", "gateway.write_stall_timeout",
        "gateway.max_connections_per_client", "gateway.max_connections", "gateway.input", "gateway.jwt",
        "gateway.rate_limit", "gateway.cache", "gateway.queue", "gateway.breaker", "gateway.compression",
        "gateway.server_timing", "gateway.server_timing_details", "gateway.access_log",
    ]

    public init(_ settings: Settings) throws(SettingsError) {
        address = try settings.read(
            "gateway.listen_address", as: ListenAddress.self,
            "Where the HTTP gateway listens, such as 127.0.0.1:8080. Beyond loopback only with TLS or JWT. Off when not set."
        )
        let path: String? = try settings.read(
            "gateway.unix_socket", "Path of a Unix socket to listen on as well, at most 107 bytes.")
        let mode = try settings.read(
            "gateway.unix_socket_mode", default: FileMode(0o700), "Who may connect to it, as for chmod.",
            in: FileMode(0)...FileMode(0o777))
        unixSocket = path.map { Entrances.UnixSocket(path: $0, mode: mode) }
        tls = try TLSServerSettings.read(settings, "gateway.tls")
        upstreamTLS = try TLSClientSettings(settings, "gateway.upstream_tls")
        limits = try ClientLimits(settings)
        trustedProxies = try Self.ranges(settings)
        expectsProxyHeader = try settings.read(
            "gateway.proxy_protocol", default: false,
            "Every connection begins with a header of the PROXY protocol, version 2, which says who the client is.")
        retryShare = try settings.read(
            "gateway.retry_budget", default: 0.1,
            "How many requests may be sent to the service again, as a share of all.", in: 0...1)
        token = try TokenSettings(settings)
        queue = try QueueSettings.read(settings)
        cacheBytes =
            try settings.read(
                "gateway.cache.max_bytes", default: ByteCount(64 << 20), "Memory for kept answers.",
                in: ByteCount(1 << 20)...ByteCount(1 << 50)
            ).bytes
        mostCachedBody =
            try settings.read(
                "gateway.cache.max_body", default: ByteCount(1 << 20), "Longer bodies are not kept.",
                in: ByteCount(1)...ByteCount(1 << 30)
            ).bytes
        let timing = try settings.read(
            "gateway.server_timing", default: false, "Tell clients where the time went (Server-Timing).")
        let details = try settings.read(
            "gateway.server_timing_details", default: false, "And the number of operations and the hit ratio.")
        let accessLog = try settings.read(
            "gateway.access_log", default: 0.0, "Share of the requests that a line of JSON is written about.", in: 0...1
        )
        telling = (timing, details, accessLog)
        routes = try RouteSettings.all(settings, token)
        guard hasEntrance else { return }
        try check(settings)
    }

    private func check(_ settings: Settings) throws(SettingsError) {
        func failure(_ key: String, _ problem: String) -> SettingsError {
            SettingsError(place: settings.fileName, key: key, problem: problem)
        }
        guard !expectsProxyHeader || tls == nil else {
            throw failure("gateway.proxy_protocol", "goes without gateway.tls: its header would come before TLS")
        }
        guard !routes.isEmpty else { throw failure("gateway.upstream", "is missing: where is the service?") }
        for (index, route) in routes.enumerated() {
            guard let hiding = routes[..<index].first(where: { $0.match.hides(route.match) }) else { continue }
            throw failure(
                "gateway.routes", "nothing reaches \(route.match): \(hiding.match) stands before it and takes it all")
        }
        let classes = queue.rules?.classes.map(\.name) ?? ["default"]
        for route in routes {
            guard let name = route.namedQueueClass, !classes.contains(name) else { continue }
            throw failure(
                "gateway.routes", "\(route.match) names the class \(name), which is none of gateway.queue.classes")
        }
        guard let address, !address.isLoopback, tls == nil, !routes.allSatisfy(\.needsToken) else { return }
        throw failure(
            "gateway.listen_address",
            "\(address) can be reached from other machines, which needs gateway.tls.cert_file and key_file, or gateway.jwt on every route"
        )
    }

    private static func ranges(_ settings: Settings) throws(SettingsError) -> [AddressRange] {
        let key = "gateway.trusted_proxies"
        let texts = try settings.readList(
            key,
            "Addresses, such as 10.0.0.0/8, of proxies in front, whose word about clients (X-Forwarded-For) is taken.")
        var ranges: [AddressRange] = []
        for text in texts {
            guard let range = AddressRange(text) else {
                throw SettingsError(
                    place: settings.fileName, key: key,
                    problem: "\"\(text)\" is no address, nor a range such as 10.0.0.0/8"
                )
            }
            ranges.append(range)
        }
        return ranges
    }

    /// Reads the files of TLS.
    public func makeEntrances() throws(TLSError) -> Entrances {
        Entrances(address: address, tls: try tls?.make(), unixSocket: unixSocket)
    }

    /// Looks the names of the service up, which blocks, and reads files.
    public func makeRules() throws -> GatewayRules {
        var rules = GatewayRules(routes: try routes.map { try $0.makeRules(upstreamTLS) })
        (rules.limits, rules.trustedProxies, rules.retryShare) = (limits, trustedProxies, retryShare)
        rules.expectsProxyHeader = expectsProxyHeader
        rules.tokenKeys = try token.makeKeys()
        (rules.queue, rules.queueClassField, rules.queueClassClaim) = (queue.rules, queue.field, queue.claim)
        (rules.cacheBytes, rules.mostCachedBody) = (cacheBytes, mostCachedBody)
        (rules.hasServerTiming, rules.hasServerTimingDetails) = (telling.timing, telling.details)
        rules.accessLogShare = telling.accessLog
        return rules
    }
}

extension ClientLimits {
    init(_ settings: Settings) throws(SettingsError) {
        self.init()
        func bytes(
            _ name: String, _ fallback: Int, _ help: String, from least: Int, upTo most: Int
        ) throws(SettingsError) -> Int {
            try settings.read(
                "gateway.\(name)", default: ByteCount(fallback), help, in: ByteCount(least)...ByteCount(most)
            ).bytes
        }
        message.requestLine = try bytes(
            "max_request_line", message.requestLine, "Longest request line.", from: 64, upTo: 60 << 10)
        message.field = try bytes("max_field", message.field, "Longest field of a request.", from: 64, upTo: 60 << 10)
        message.head = try bytes(
            "max_head", message.head, "Longest head of a request: its first line and all fields.", from: 256,
            upTo: 1 << 20)
        message.fields = try settings.read(
            "gateway.max_fields", default: message.fields, "Most fields of a request.", in: 1...10_000)
        message.chunkExtensions = try bytes(
            "max_chunk_extensions", message.chunkExtensions, "Longest extensions of a body's chunks together.", from: 1,
            upTo: 1 << 20)
        message.trailers = try bytes(
            "max_trailers", message.trailers, "Longest trailers of a request.", from: 1, upTo: 1 << 20)
        body = try bytes("max_body", body, "Longest body of a request.", from: 1, upTo: 1 << 50)
        headTimeout = try settings.read(
            "gateway.head_timeout", default: headTimeout, "How long the head of a request may take.",
            in: .milliseconds(100)...(.seconds(3600)))
        bodyRate = try bytes(
            "min_body_rate", bodyRate, "Bytes a second that a body has to come with, after ten seconds.", from: 1,
            upTo: 1 << 30)
        idle = try settings.read(
            "gateway.idle_timeout", default: idle, "How long a client may be silent between requests.",
            in: .milliseconds(100)...(.seconds(86_400)))
        writeStall = try settings.read(
            "gateway.write_stall_timeout", default: writeStall, "How long a client may take nothing of its answer.",
            in: .milliseconds(100)...(.seconds(86_400)))
        connectionsPerClient = try settings.read(
            "gateway.max_connections_per_client", default: connectionsPerClient,
            "Most connections of one address, or of one /64 of IPv6.", in: 1...1_000_000)
        connections = try settings.read(
            "gateway.max_connections", default: connections, "Most connections of all clients.", in: 1...1_000_000)
    }
}
