import Network
import Runtime

/// One route as set; what it does not say is as for all routes.
struct RouteSettings: Sendable {
    let name: String
    let match: RouteMatch
    let urls: [String]
    private let weights: [Double]
    private let timing: Timing
    private let health: HealthRules
    private let steps: StepSettings
    private let queueClass: String?

    /// Whether nobody passes without a token.
    var needsToken: Bool { steps.token?.mode == .required }
    /// The class its requests wait in, if it names one.
    var namedQueueClass: String? { queueClass }

    /// What all routes have in common.
    private struct Common {
        let urls: [String]
        let timing: Timing
        let health: HealthRules
        let steps: StepSettings
        let token: TokenSettings
    }

    /// What `gateway.` says for all, and `gateway.routes[]` for one.
    struct Timing: Sendable {
        var answer = Duration.seconds(60)
        var connect = Duration.seconds(3)
        var patience = Duration.seconds(5)
    }

    static func all(_ settings: Settings, _ token: TokenSettings) throws(SettingsError) -> [RouteSettings] {
        let urls = try settings.readList(
            "gateway.upstream",
            "Where the service is: http://host:port, https://host or unix:/path; several share the load.")
        var timing = Timing()
        timing.answer = try settings.read(
            "gateway.upstream_timeout", default: timing.answer,
            "How long the service may take to begin its answer, and between two pieces of it.",
            in: .milliseconds(10)...(.seconds(86_400)))
        timing.connect = try settings.read(
            "gateway.connect_timeout", default: timing.connect, "How long connecting to the service may take.",
            in: .milliseconds(10)...(.seconds(3600)))
        timing.patience = try settings.read(
            "gateway.restart_patience", default: timing.patience,
            "How long a request waits for a service that takes no connections, as while it is restarted.",
            in: .zero...(.seconds(3600)))
        let health = try HealthRules(settings)
        var steps = try StepSettings(settings)
        steps.token = token.rules
        let common = Common(urls: urls, timing: timing, health: health, steps: steps, token: token)
        var routes = try settings.readItems("gateway.routes", "Rules for some requests; the first that matches counts.")
        {
            item throws(SettingsError) in try RouteSettings(item, common)
        }
        try check(urls, settings)
        guard !urls.isEmpty else { return routes }
        if !routes.contains(where: { $0.match == .all }) {
            routes.append(
                RouteSettings(name: "default", match: .all, common))
        }
        return routes
    }

    private init(name: String, match: RouteMatch, _ common: Common) {
        (self.name, self.match, urls, weights) = (name, match, common.urls, [])
        (timing, health, steps, queueClass) = (common.timing, common.health, common.steps, nil)
    }

    private init(
        _ item: SettingsItem, _ common: Common
    ) throws(SettingsError) {
        let text = try item.require(
            "match", "Which requests: [METHOD[,METHOD] ][HOST]/PATH, where * stands for anything and ? for one byte.")
        guard let match = RouteMatch(text.isEmpty ? "/*" : text) else {
            throw item.failure("match", "\"\(text)\" is not [METHOD[,METHOD] ][HOST]/PATH")
        }
        self.match = match
        name = try item.read("name", default: text, "What metrics call it.")
        let own = try item.readList("upstreams", "Where the service for these requests is, when it is another one.")
        urls = own.isEmpty ? common.urls : own
        for url in own {
            do throws(UpstreamURL.Invalid) { _ = try UpstreamURL(url) } catch {
                throw item.failure("upstreams", error.description)
            }
        }
        var weights: [Double] = []
        for text in try item.readList("weights", "Shares of the load, in the order of upstreams.") {
            guard let weight = Double(text), weight > 0, weight <= 1000 else {
                throw item.failure("weights", "\"\(text)\" is not a number from 0 to 1000")
            }
            weights.append(weight)
        }
        guard weights.isEmpty || weights.count == urls.count else {
            throw item.failure("weights", "there are \(weights.count) for \(urls.count) upstreams")
        }
        self.weights = weights
        guard !urls.isEmpty || text.isEmpty else {
            throw item.failure("upstreams", "is missing, and gateway.upstream too")
        }
        var timing = common.timing
        timing.answer = try item.read("upstream_timeout", "As gateway.upstream_timeout.") ?? timing.answer
        self.timing = timing
        health = common.health
        queueClass = try item.read("queue_class", "The class of gateway.queue.classes that its requests wait in.")
        steps = try Self.steps(item, common)
    }

    private static func steps(_ item: SettingsItem, _ common: Common) throws(SettingsError) -> StepSettings {
        var steps = common.steps
        var input = steps.input ?? InputLimits()
        input.body = try item.read("max_body", as: ByteCount.self, "As gateway.input.max_body.")?.bytes ?? input.body
        let methods = try item.readList("methods", "As gateway.input.methods.")
        if !methods.isEmpty { input.methods = Set(methods.map { $0.uppercased() }) }
        let types = try item.readList("content_types", "As gateway.input.content_types.")
        if !types.isEmpty { input.contentTypes = types.map { $0.lowercased() } }
        guard input.body.map({ $0 > 0 }) ?? true else { throw item.failure("max_body", "0 refuses everything") }
        steps.input = input == InputLimits() ? nil : input
        if let text: String = try item.read("jwt", "As gateway.jwt.mode: off, required, present or optional.") {
            guard let mode = TokenRules.Mode(rawValue: text.lowercased()) else {
                throw item.failure("jwt", "\"\(text)\" is none of off, required, present, optional")
            }
            if mode != .off, !common.token.hasKeys { throw item.failure("jwt", "there is no key under gateway.jwt") }
            var token = steps.token ?? common.token.rules ?? TokenRules()
            token.mode = mode
            steps.token = mode == .off ? nil : token
        }
        let wanted = try TokenSettings.pairs(try item.readList("claims", "As gateway.jwt.claims.")) {
            item.failure("claims", "\"\($0)\" is not CLAIM=VALUE")
        }
        if !wanted.isEmpty {
            guard steps.token?.mode == .required else { throw item.failure("claims", "needs jwt: required") }
            steps.token?.wanted = wanted
        }
        if let perMinute: Int = try item.read("rate_limit", "As gateway.rate_limit.per_minute.") {
            guard perMinute > 0 else { throw item.failure("rate_limit", "\(perMinute) refuses everybody") }
            steps.rates = [RateRule(count: perMinute, key: steps.rates.first?.key ?? [.address])]
        }
        if let isOn: Bool = try item.read("cache", "As gateway.cache.") {
            steps.cache = isOn ? steps.defaults.cache : nil
        }
        if let ttl: Duration = try item.read("cache_ttl", "As gateway.cache.default_ttl.") {
            steps.cache?.defaultTTL = ttl
        }
        if let isOn: Bool = try item.read("breaker", "As gateway.breaker.") {
            steps.breaker = isOn ? steps.defaults.breaker : nil
        }
        if let isOn: Bool = try item.read("compression", "As gateway.compression.") {
            steps.compression = isOn ? steps.defaults.compression : nil
        }
        return steps
    }

    private static func check(_ urls: [String], _ settings: Settings) throws(SettingsError) {
        for url in urls {
            do throws(UpstreamURL.Invalid) { _ = try UpstreamURL(url) } catch {
                throw SettingsError(place: settings.fileName, key: "gateway.upstream", problem: error.description)
            }
        }
    }

    /// Looks names up, which blocks.
    func makeRules(_ tls: TLSClientSettings) throws -> RouteRules {
        let places = try urls.enumerated().map { index, url in
            try UpstreamURL(url).place(tls, weight: weights.isEmpty ? 1 : weights[index])
        }
        var rules = RouteRules(name: name, match: match, upstreams: places)
        (rules.answerTimeout, rules.connectTimeout) = (timing.answer, timing.connect)
        (rules.restartPatience, rules.health) = (timing.patience, health)
        (rules.input, rules.token, rules.rates, rules.cache) = (steps.input, steps.token, steps.rates, steps.cache)
        (rules.breaker, rules.breakerBody) = (steps.breaker, steps.breakerBody)
        (rules.compression, rules.queueClass) = (steps.compression, queueClass)
        return rules
    }
}

extension HealthRules {
    init(_ settings: Settings) throws(SettingsError) {
        self.init()
        path = try settings.read(
            "gateway.health.path",
            "A path that a well instance answers with 2xx or 3xx. Without one requests alone tell.")
        if let path, !path.hasPrefix("/") || path.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7F }) {
            throw SettingsError(place: settings.fileName, key: "gateway.health.path", problem: "\"\(path)\" is no path")
        }
        interval = try settings.read(
            "gateway.health.interval", default: interval, "Between two checks.",
            in: .milliseconds(50)...(.seconds(3600)))
        timeout = try settings.read(
            "gateway.health.timeout", default: timeout, "How long a check may take.",
            in: .milliseconds(10)...(.seconds(60)))
        failures = try settings.read(
            "gateway.health.failures", default: failures, "Failures in a row after which an instance is left alone.",
            in: 1...1000)
        successes = try settings.read(
            "gateway.health.successes", default: successes, "Checks in a row that bring it back.", in: 1...1000)
        slowStart = try settings.read(
            "gateway.health.slow_start", default: slowStart,
            "For so long after it came back an instance gets less than its share, growing.",
            in: .zero...(.seconds(3600)))
    }
}

/// Where an instance is, as people write it.
struct UpstreamURL {
    struct Invalid: Error, CustomStringConvertible {
        let description: String
    }

    private enum Place {
        case unix(String)
        case tcp(host: String, port: UInt16, isSecure: Bool)
    }

    private let text: String
    private let place: Place

    init(_ text: String) throws(Invalid) {
        self.text = text
        if text.hasPrefix("unix:") {
            place = .unix(String(text.dropFirst(5)))
            return
        }
        let isSecure = text.hasPrefix("https://")
        guard isSecure || text.hasPrefix("http://") else {
            throw Invalid(description: "\"\(text)\" does not begin with http://, https:// or unix:")
        }
        var rest = text.dropFirst(isSecure ? 8 : 7)
        if rest.last == "/" { rest.removeLast() }
        guard !rest.contains(where: { "/@?#".contains($0) }) else {
            throw Invalid(description: "\"\(text)\" has more than a host and a port")
        }
        var port: UInt16? = isSecure ? 443 : 80
        let bracket = rest.lastIndex(of: "]") ?? rest.startIndex
        if let colon = rest.lastIndex(of: ":"), colon >= bracket {
            port = UInt16(rest[rest.index(after: colon)...])
            rest = rest[..<colon]
        }
        if rest.hasPrefix("["), rest.hasSuffix("]") { rest = rest.dropFirst().dropLast() }
        guard let port, port > 0, !rest.isEmpty else {
            throw Invalid(description: "\"\(text)\" has no host, or no port")
        }
        place = .tcp(host: String(rest), port: port, isSecure: isSecure)
    }

    /// Looks the name up, which blocks.
    func place(_ tls: TLSClientSettings, weight: Double) throws -> UpstreamPlace {
        switch place {
        case .unix(let path): UpstreamPlace(try StreamAddress(path: path), weight: weight, name: text)
        case .tcp(let host, let port, let isSecure):
            UpstreamPlace(
                try StreamAddress(host: host, port: port), tls: isSecure ? try tls.make(host: host) : nil,
                weight: weight,
                name: text)
        }
    }
}
