import Cache
import Network
import Operations
import Runtime
import Serving

/// One loop of the gateway: its clients, its connections to the service, and the rules of the moment. Everything but
/// `init` happens on the loop's thread.
final class Relay: @unchecked Sendable {
    let loop: EventLoop
    let metrics: GatewayMetrics
    let security: SecurityLog
    let slowest = SlowOperations()
    /// What takes less is not looked at.
    private static let slowSeconds = 0.1
    private(set) var rules: GatewayRules
    private var routes: [Route] = []
    private var upstreams: [String: Upstream] = [:]
    private var checks: [HealthCheck] = []
    private var sessions: [ObjectIdentifier: ClientSession] = [:]
    private var perNetwork: [String: Int] = [:]
    var retryBudget: RetryBudget
    private var random: UInt64
    private var dateSecond = 0
    private var dateText: [UInt8] = []
    private(set) var isDraining = false
    private let monitor: RequestMonitor?
    let features: FeatureSwitches<GatewayFeature>
    var tokenCheck: TokenCheck?
    var windows: [String: (rule: RateRule, window: SlidingWindow)] = [:]
    var cache: AnswerCache?
    var cacheIdentity: [String] = []
    var refreshes: [ObjectIdentifier: CacheRefresh] = [:]
    var queue: AdmissionQueue?
    var waiting: [Int: () -> Void] = [:]
    var leaving: [Int: (AdmissionQueue.Leaving) -> Void] = [:]
    var breakers: [String: RatioBreaker] = [:]
    var levels = CompressionLevels()
    var identityNames: Set<[UInt8]> = []
    /// Added to both clocks, by tests.
    var clockMs = 0
    private let keySeed: UInt64
    private var lastWarningMs = 0
    /// Counts the queues there were, so that who was let in by an old one is not counted in a new one.
    var queueEpoch = 0

    private static let idleUpstreamMs = 30_000

    init(
        _ loop: EventLoop, _ rules: GatewayRules, _ metrics: GatewayMetrics, _ security: SecurityLog,
        _ features: FeatureSwitches<GatewayFeature>, _ operations: OperationRecorder?
    ) {
        (self.loop, self.rules, self.metrics, self.security) = (loop, rules, metrics, security)
        retryBudget = RetryBudget(share: rules.retryShare)
        var generator = SystemRandomNumberGenerator()
        random = generator.next()
        keySeed = generator.next()
        self.features = features
        monitor = operations.map { RequestMonitor($0) }
    }

    var limits: ClientLimits { rules.limits }

    /// To be called on the loop's thread, before the first client.
    func start() {
        apply(rules)
        watch()
    }

    /// Other rules from here on; requests under way keep theirs.
    func apply(_ fresh: GatewayRules) {
        rules = fresh
        retryBudget = RetryBudget(share: fresh.retryShare)
        applySteps(fresh)
        var known: [String: Upstream] = [:]
        routes = fresh.routes.map { rules in
            let pool = UpstreamPool(
                rules.upstreams.map { place in
                    let key = Self.key(of: place, rules)
                    let upstream =
                        known[key] ?? upstreams[key] ?? Upstream(place, rules.health.upstreamRules, on: loop, metrics)
                    if upstreams[key] == nil, known[key] == nil { metrics.upstreamUp.with(["\(place.address)"]).set(1) }
                    known[key] = upstream
                    return upstream
                })
            return Route(rules, pool, metrics)
        }
        for (key, upstream) in upstreams where known[key] == nil {
            upstream.retire()
            metrics.upstreamUp.remove(["\(upstream.address)"])
        }
        upstreams = known
        for check in checks { check.end() }
        checks = fresh.routes.flatMap { rules -> [HealthCheck] in
            guard rules.health.path != nil else { return [] }
            return rules.upstreams.compactMap { place in
                let key = Self.key(of: place, rules)
                return known[key].map { HealthCheck($0, rules.health, self) }
            }
        }
        for check in checks { check.start() }
    }

    /// What makes an instance another one. TLS is read anew with the rules.
    private static func key(of place: UpstreamPlace, _ rules: RouteRules) -> String {
        "\(place.name) \(place.weight) \(place.tls.map { "\(ObjectIdentifier($0))" } ?? "") \(rules.health)"
    }

    /// Says something that a service may cause with every answer, once a second at most.
    func warn(_ message: String, _ fields: KeyValuePairs<String, String>) {
        guard loop.nowMs - lastWarningMs >= 1000 else { return }
        lastWarningMs = loop.nowMs
        Log.warn(message, fields)
    }

    /// Answers what is under way, tells clients that nothing follows, and takes nobody in.
    func drain() { isDraining = true }

    func end() {
        for session in Array(sessions.values) { session.client.close() }
        for upstream in upstreams.values { upstream.closeIdle(olderThanMs: 0) }
        for check in checks { check.end() }
        checks = []
    }

    private func watch() {
        loop.after(milliseconds: 250) { [weak self] in
            guard let self else { return }
            let nowMs = loop.nowMs
            for session in Array(sessions.values) { session.check(nowMs: nowMs) }
            for upstream in upstreams.values { upstream.closeIdle(olderThanMs: Self.idleUpstreamMs) }
            monitor?.flush()
            lookAfterSteps()
            watch()
        }
    }

    // MARK: Clients

    func accept(_ client: StreamConnection) {
        metrics.clientsAccepted.add()
        let network = client.peer.network
        // Behind a proxy that says for whom it speaks, that one is counted.
        guard !isDraining, sessions.count < limits.connections,
            rules.expectsProxyHeader || perNetwork[network, default: 0] < limits.connectionsPerClient
        else {
            metrics.clientsClosed.with([CloseReason.crowd.rawValue]).add()
            security.add(.crowd, "connections", client: network, route: "")
            return client.close()
        }
        perNetwork[network, default: 0] += 1
        let session = ClientSession(client, self)
        sessions[ObjectIdentifier(session)] = session
        metrics.clients.set(Double(sessions.count))
        client.owner = session
    }

    /// A client turned out to be another one than its connection said.
    ///
    /// - Returns: false when that one has too many connections, and this one was closed.
    func recount(_ session: ClientSession, from old: String, to new: String) -> Bool {
        guard perNetwork[new, default: 0] < limits.connectionsPerClient else {
            metrics.clientsClosed.with([CloseReason.crowd.rawValue]).add()
            session.client.close()
            return false
        }
        let left = perNetwork[old, default: 1] - 1
        perNetwork[old] = left > 0 ? left : nil
        perNetwork[new, default: 0] += 1
        return true
    }

    func forget(_ session: ClientSession) {
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        let left = perNetwork[session.network, default: 1] - 1
        perNetwork[session.network] = left > 0 ? left : nil
        metrics.clients.set(Double(sessions.count))
    }

    var clientCount: Int { sessions.count }
    var busyCount: Int { sessions.values.count { $0.exchange != nil } }

    /// A client has said that it sends no more, and waits.
    ///
    /// Whether it waits or has left cannot be told. In the queue it is taken to have left.
    func clientEnded(_ session: ClientSession) {
        if let exchange = session.exchange, exchange.ticket != nil { session.client.close() }
    }

    /// Monotonic milliseconds.
    var nowMs: Int { loop.nowMs + clockMs }
    /// Milliseconds since 1970.
    var wallMs: Int { Int(WallClock.nowMilliseconds) + clockMs }

    /// A key of tables in memory, which nobody outside can foresee.
    func hash(_ bytes: [UInt8]) -> UInt64 { bytes.span.hash(0..<bytes.count, into: keySeed) }

    func isOn(_ feature: GatewayFeature, _ exchange: Exchange) -> Bool {
        features[feature] == 100 || features.isOn(feature, for: Array(exchange.client.utf8).span)
    }

    // MARK: Requests

    func begin(_ request: RequestHead, _ session: ClientSession) {
        retryBudget.requested()
        let bytes = request.head.bytes
        let raw = bytes.span.extracting(request.path)
        let path = NormalPath.normalised(raw) ?? Array(bytes[request.path])
        let facts = facts(of: session, request)
        let found = route(of: request, path)
        let route = found ?? Route.nowhere(metrics)
        let exchange = Exchange(request, route, path: path, client: clientAddress(facts), nowNs: loop.nowNs)
        if isDraining { exchange.keepsAlive = false }
        session.exchange = exchange
        guard request.method != .connect, request.method != .trace else {
            return session.answer(
                Refusal(
                    405, .method, "this method is for proxies",
                    [("Allow", "GET, HEAD, POST, PUT, DELETE, PATCH, OPTIONS")]), exchange)
        }
        guard found != nil else {
            return session.answer(Refusal(404, .noRoute, "no route is for this request"), exchange)
        }
        if case .length(let count) = request.framing, count > route.rules.bodyLimit(limits) {
            noteMalformed(.bodyTooLong, session)
            return session.answer(Refusal(413, .bodyTooLong, "the body is too long"), exchange)
        }
        exchange.facts = facts
        limitInput(session, exchange)
    }

    func route(of request: RequestHead, _ path: [UInt8]) -> Route? {
        if routes.count == 1, routes[0].rules.match == .all { return routes[0] }
        let bytes = request.head.bytes.span
        var host = bytes.extracting(request.host).lowercasedBytes
        if let colon = host.lastIndex(of: 0x3A), host.last != 0x5D { host.removeSubrange(colon...) }
        for route in routes
        where route.rules.match.matches(
            method: bytes.extracting(request.methodName), host: host.span, path: path.span)
        {
            return route
        }
        return nil
    }

    func fetchFailed(_ failure: FetchFailure, _ session: ClientSession, _ exchange: Exchange) {
        finished(exchange, failed: true)
        if !exchange.hasBegun, serveOnError(session, exchange) { return }
        let detail =
            switch failure {
            case .unreachable: "the service takes no connections"
            case .timedOut: "the service did not answer in time"
            case .closed: "the service closed the connection"
            case .unclear: "the service's answer is not clear"
            case .tls: "TLS to the service failed"
            }
        session.answer(Refusal(failure.status, .upstream, detail), exchange)
    }

    // MARK: Whose request it is

    private func facts(of session: ClientSession, _ request: RequestHead) -> ClientFacts {
        var address = session.proxied ?? ""
        if address.isEmpty, case .internet(let host, _, _) = session.client.peer { address = host }
        let isTrusted = isTrusted(address)
        let list = isTrusted ? request.head.list(named: Self.forwardedFor) ?? [] : []
        return ClientFacts(
            address: address, forwardedFor: list.count <= 2048 ? list : [], isSecure: session.client.usesTLS,
            isTrusted: isTrusted)
    }

    private static let forwardedFor = Array("x-forwarded-for".utf8)

    private func isTrusted(_ address: String) -> Bool {
        guard !rules.trustedProxies.isEmpty, let bytes = IPAddress.bytes(address) else { return false }
        return rules.trustedProxies.contains { $0.contains(bytes) }
    }

    /// The last address, from the right, that no trusted proxy has.
    private func clientAddress(_ facts: ClientFacts) -> String {
        guard facts.isTrusted, !facts.forwardedFor.isEmpty else { return facts.address }
        for part in facts.forwardedFor.split(separator: 0x2C).reversed() {
            let text = String(decoding: part.filter { !$0.isBlank }, as: UTF8.self)
            guard IPAddress.bytes(text) != nil else { return facts.address }
            if !isTrusted(text) { return text }
        }
        return facts.address
    }

    // MARK: Telling

    func noteMalformed(_ fault: HTTPFault, _ session: ClientSession) {
        metrics.malformed.with([fault.rawValue]).add()
        let kind: SecurityEvent.Kind = fault.isSmuggling ? .smuggling : fault.isOversize ? .oversize : .malformed
        security.add(
            kind, fault.rawValue, client: session.exchange?.client ?? session.proxied ?? session.network,
            route: session.exchange?.route.rules.name ?? "")
    }

    func tell(_ exchange: Exchange, wasCut: Bool) {
        let route = exchange.route
        finished(exchange, failed: nil)
        endCaching(exchange)
        if let ticket = exchange.ticket { leaveQueue(ticket) }
        let seconds = Double(MonotonicClock.nowNs - exchange.startedNs) / 1e9
        if exchange.fetch != nil { route.metrics.inFlight.move(by: -1) }
        if let fetch = exchange.fetch, let answeredNs = fetch.answeredNs {
            route.metrics.upstreamDuration.observe(Double(answeredNs - fetch.startedNs) / 1e9)
        }
        let status = exchange.status == 0 ? 499 : exchange.status
        route.metrics.answered(exchange.request.method, status: status, seconds: seconds)
        route.metrics.requestSize.observe(Double(exchange.request.head.bytes.count + exchange.received))
        route.metrics.responseSize.observe(Double(exchange.sent))
        if seconds >= Self.slowSeconds {
            slowest.add(
                "\(exchange.request.method.label) \(route.rules.name)", durationNs: Int(seconds * 1e9),
                replyBytes: exchange.sent)
        }
        logAccess(exchange, status: status, seconds: seconds, wasCut: wasCut)
        monitor?.note(exchange.request.method, seconds: seconds, isError: status >= 500)
    }

    /// `Date` of this second.
    var date: [UInt8] {
        let now = Int(WallClock.now)
        if now != dateSecond { (dateSecond, dateText) = (now, HTTPDate.text(now)) }
        return dateText
    }

    func freshIDs() -> RequestWriter.IDs {
        var request: [UInt8] = []
        request.reserveCapacity(32)
        request.append(digits: next())
        request.append(digits: next())
        var span: [UInt8] = []
        span.reserveCapacity(16)
        span.append(digits: next())
        return RequestWriter.IDs(request: request, span: span)
    }

    func next() -> UInt64 {
        random &+= 0x9E37_79B9_7F4A_7C15
        var mixed = random
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}

extension Route {
    /// For requests that no route is for.
    static func nowhere(_ metrics: GatewayMetrics) -> Route {
        Route(RouteRules(name: "none", upstreams: []), UpstreamPool([]), metrics)
    }
}

extension RouteRules {
    func bodyLimit(_ limits: ClientLimits) -> Int { limits.body }

    var timing: Fetch.Timing {
        Fetch.Timing(
            patienceMs: restartPatience.milliseconds, answerMs: answerTimeout.milliseconds,
            connectMs: connectTimeout.milliseconds)
    }
}

extension HealthRules {
    var upstreamRules: UpstreamHealth.Rules {
        var rules = UpstreamHealth.Rules()
        (rules.failures, rules.successes) = (failures, successes)
        (rules.slowStartMs, rules.isChecked) = (slowStart.milliseconds, path != nil)
        return rules
    }
}

extension Array where Element == UInt8 {
    /// Sixteen hexadecimal digits.
    fileprivate mutating func append(digits value: UInt64) {
        for shift in stride(from: 60, through: 0, by: -4) {
            let digit = UInt8(truncatingIfNeeded: value >> UInt64(shift) & 15)
            append(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }
}
