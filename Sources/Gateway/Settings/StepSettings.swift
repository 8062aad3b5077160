import Network
import Runtime

/// What the steps do where a route says nothing else. Nil for those that are off.
struct StepSettings: Sendable {
    var input: InputLimits?
    var token: TokenRules?
    var rates: [RateRule] = []
    var cache: AnswerCacheRules?
    var breaker: RatioBreaker.Rules?
    var breakerBody: String?
    var compression: CompressionRules?
    /// What each would do where a route switches it on.
    private(set) var defaults = (
        cache: AnswerCacheRules(), breaker: RatioBreaker.Rules(), compression: CompressionRules()
    )

    init(_ settings: Settings) throws(SettingsError) {
        input = try Self.input(settings)
        rates = try Self.rates(settings)
        try readCache(settings)
        try readBreaker(settings)
        try readCompression(settings)
    }

    private static func input(_ settings: Settings) throws(SettingsError) -> InputLimits? {
        var limits = InputLimits()
        func bytes(_ name: String, _ help: String) throws(SettingsError) -> Int? {
            let found: ByteCount? = try settings.read("gateway.input.\(name)", help)
            guard let found else { return nil }
            guard found.bytes > 0 else {
                throw SettingsError(
                    place: settings.fileName, key: "gateway.input.\(name)",
                    problem: "0 refuses everything: leave it out for no limit")
            }
            return found.bytes
        }
        limits.body = try bytes("max_body", "Longest body of a request.")
        limits.query = try bytes("max_query", "Longest query of a URL.")
        limits.jsonBytes = try bytes("max_json", "Longest body of JSON.")
        let depth: Int? = try settings.read("gateway.input.max_json_depth", "How deep a body of JSON may nest.")
        guard depth.map({ $0 > 0 }) ?? true else {
            throw SettingsError(
                place: settings.fileName, key: "gateway.input.max_json_depth",
                problem: "0 refuses all JSON: leave it out for no limit")
        }
        limits.jsonDepth = depth
        let types = try settings.readList(
            "gateway.input.content_types", "Types of bodies that are taken; application/* for all of a kind.")
        let methods = try settings.readList("gateway.input.methods", "Methods that are taken.")
        limits.normalisesPath = try settings.read(
            "gateway.input.normalize_paths", default: false,
            "Pass paths on as routes see them, and refuse what is encoded twice.")
        limits.contentTypes = types.isEmpty ? nil : types.map { $0.lowercased() }
        limits.methods = methods.isEmpty ? nil : Set(methods.map { $0.uppercased() })
        return limits == InputLimits() ? nil : limits
    }

    private static func rates(_ settings: Settings) throws(SettingsError) -> [RateRule] {
        let perMinute: Int? = try settings.read(
            "gateway.rate_limit.per_minute", "Requests that one client may make in a minute. Off when not set.",
            aliases: ["RATE_LIMIT_PER_MINUTE"])
        let key = try settings.readList(
            "gateway.rate_limit.key", default: ["address"],
            "What a client is: address, route, claim:NAME, header:NAME, or several together.")
        let isDryRun = try settings.read(
            "gateway.rate_limit.dry_run", default: false, "Refuse nobody, but count who would be.")
        func parts(_ words: [String]) -> [RateRule.Part]? {
            var parts: [RateRule.Part] = []
            for word in words {
                switch word {
                case "address": parts.append(.address)
                case "route": parts.append(.route)
                case _ where word.hasPrefix("claim:"): parts.append(.claim(String(word.dropFirst(6))))
                case _ where word.hasPrefix("header:"): parts.append(.header(word.dropFirst(7).lowercased()))
                default: return nil
                }
            }
            return parts.isEmpty ? nil : parts
        }
        guard let ordinary = parts(key) else {
            throw SettingsError(
                place: settings.fileName, key: "gateway.rate_limit.key",
                problem: "\"\(key.joined(separator: ","))\" is none of address, route, claim:NAME, header:NAME")
        }
        var rules: [RateRule] = []
        if let perMinute {
            guard perMinute > 0 else {
                throw SettingsError(
                    place: settings.fileName, key: "gateway.rate_limit.per_minute",
                    problem: "\(perMinute) refuses everybody: leave it out for no limit")
            }
            var rule = RateRule(count: perMinute, key: ordinary)
            rule.isDryRun = isDryRun
            rules.append(rule)
        }
        rules += try settings.readItems("gateway.rate_limit.rules", "Further limits, which all have to hold.") {
            item throws(SettingsError) in
            let name = try item.require("name", "What metrics and RateLimit call it.")
            let count = try item.read("count", default: 100, "Requests.")
            let window = try item.read("window", default: Duration.seconds(60), "In so long.")
            let words = try item.readList("key", default: key, "As gateway.rate_limit.key.")
            guard count > 0 else { throw item.failure("count", "\(count) refuses everybody") }
            guard window >= .seconds(1), window <= .seconds(86_400) else {
                throw item.failure("window", "is not between 1s and 1d")
            }
            guard name.utf8.allSatisfy(\.isTokenByte) else { throw item.failure("name", "\"\(name)\" is not one word") }
            guard let parts = parts(words) else {
                throw item.failure("key", "is none of address, route, claim:NAME, header:NAME")
            }
            var rule = RateRule(
                name: name, count: count, windowSeconds: window.milliseconds / 1000, key: parts)
            rule.isDryRun = try item.read("dry_run", default: isDryRun, "As gateway.rate_limit.dry_run.")
            return rule
        }
        guard Set(rules.map(\.name)).count == rules.count else {
            throw SettingsError(
                place: settings.fileName, key: "gateway.rate_limit.rules", problem: "two limits have one name")
        }
        return rules
    }

    private mutating func readCache(_ settings: Settings) throws(SettingsError) {
        let isOn = try settings.read(
            "gateway.cache", default: false, "Keep answers as RFC 9111 allows a shared cache.")
        var rules = AnswerCacheRules()
        rules.defaultTTL = try settings.read(
            "gateway.cache.default_ttl", default: rules.defaultTTL,
            "How long an answer is good that does not say so; 0 to believe only what is said.",
            in: .zero...(.seconds(864_000)))
        rules.isHeuristic = try settings.read(
            "gateway.cache.heuristic", default: false, "Take a tenth of the time since Last-Modified for that.")
        rules.staleWhileRevalidate = try settings.read(
            "gateway.cache.stale_while_revalidate", default: rules.staleWhileRevalidate,
            "How long beyond its time an answer is served while the service is asked anew, where it does not say so.",
            in: .zero...(.seconds(864_000)))
        rules.staleIfError = try settings.read(
            "gateway.cache.stale_if_error", default: rules.staleIfError,
            "How long beyond its time an answer is served because the service fails, where it does not say so.",
            in: .zero...(.seconds(864_000)))
        rules.keep = try settings.read(
            "gateway.cache.keep", default: rules.keep, "How long beyond its time an answer is kept to be asked about.",
            in: .zero...(.seconds(864_000)))
        rules.wait = try settings.read(
            "gateway.cache.wait", default: rules.wait, "How long a request waits for another one that is the same.",
            in: .milliseconds(1)...(.seconds(3600)))
        rules.coalesces = try settings.read(
            "gateway.cache.coalesce", default: true, "Ask the service once for many who ask for the same.")
        defaults.cache = rules
        cache = isOn ? rules : nil
    }

    private mutating func readBreaker(_ settings: Settings) throws(SettingsError) {
        let isOn = try settings.read(
            "gateway.breaker", default: false, "Leave the service alone for a while once it fails too often.")
        var rules = RatioBreaker.Rules()
        rules.failureShare = try settings.read(
            "gateway.breaker.failures", default: rules.failureShare, "Share of failures that opens it.", in: 0.01...1)
        rules.slowShare = try settings.read(
            "gateway.breaker.slow", default: rules.slowShare, "Share of slow answers that opens it; 1 for never.",
            in: 0.01...1)
        rules.slowMs = try settings.read(
            "gateway.breaker.slow_after", default: Duration.milliseconds(rules.slowMs), "What is slow.",
            in: .milliseconds(1)...(.seconds(3600))
        ).milliseconds
        rules.least = try settings.read(
            "gateway.breaker.min_requests", default: rules.least, "With fewer in the window nothing is decided.",
            in: 1...1_000_000)
        rules.windowMs = try settings.read(
            "gateway.breaker.window", default: Duration.milliseconds(rules.windowMs),
            "Of which answers the share is taken.",
            in: .milliseconds(100)...(.seconds(3600))
        ).milliseconds
        rules.pauseMs = try settings.read(
            "gateway.breaker.pause", default: Duration.milliseconds(rules.pauseMs),
            "How long the service is left alone.",
            in: .milliseconds(10)...(.seconds(3600))
        ).milliseconds
        rules.probes = try settings.read(
            "gateway.breaker.probes", default: rules.probes, "Requests that try then, and all have to succeed.",
            in: 1...1000)
        breakerBody = try settings.read(
            "gateway.breaker.body", "What is answered meanwhile, with 503, in place of the usual text.")
        defaults.breaker = rules
        breaker = isOn ? rules : nil
    }

    private mutating func readCompression(_ settings: Settings) throws(SettingsError) {
        let isOn = try settings.read("gateway.compression", default: false, "Compress answers with Brotli or gzip.")
        var rules = CompressionRules()
        rules.leastBytes = try settings.read(
            "gateway.compression.min_bytes", default: ByteCount(rules.leastBytes), "Shorter bodies pass as they are.",
            in: ByteCount(1)...ByteCount(1 << 30)
        ).bytes
        rules.types = try settings.readList(
            "gateway.compression.types", default: rules.types, "Types of bodies that are compressed, with one *."
        ).map { $0.lowercased() }
        rules.includesCookies = try settings.read(
            "gateway.compression.cookies", default: false,
            "Also answers that set cookies, where nothing secret can be guessed from their length (BREACH).")
        rules.budgetMs = Double(
            try settings.read(
                "gateway.compression.budget", default: Duration.milliseconds(5),
                "CPU time for a body, as measured; longer bodies are compressed less.",
                in: .milliseconds(1)...(.seconds(1))
            ).milliseconds)
        defaults.compression = rules
        compression = isOn ? rules : nil
    }
}

/// How requests wait, as set.
enum QueueSettings {
    static func read(
        _ settings: Settings
    ) throws(SettingsError) -> (rules: AdmissionQueue.Rules?, field: String?, claim: String?) {
        var rules = AdmissionQueue.Rules()
        let enabled: Bool = try settings.read(
            "gateway.queue", default: false,
            "Let requests wait for the service; on as well when one of the next two is set.")
        let workers: Int? = try settings.read(
            "gateway.queue.workers", "Requests that may be at the service at once; 10 where only the queue is on.",
            aliases: ["MAX_WORKERS"])
        let size: Int? = try settings.read(
            "gateway.queue.size", "Requests that may wait; 1000 where only the queue is on.",
            aliases: ["MAX_QUEUE_SIZE"])
        func check(_ value: Int?, _ key: String) throws(SettingsError) {
            guard let value, !(1...1_000_000).contains(value) else { return }
            throw SettingsError(place: settings.fileName, key: key, problem: "\(value) is not between 1 and 1000000")
        }
        try check(workers, "gateway.queue.workers")
        try check(size, "gateway.queue.size")
        (rules.workers, rules.waiting) = (workers ?? rules.workers, size ?? rules.waiting)
        rules.targetMs = try settings.read(
            "gateway.queue.target", default: Duration.milliseconds(rules.targetMs),
            "A class is overloaded while nobody in it waits less; 0 for never.", in: .zero...(.seconds(60))
        ).milliseconds
        rules.intervalMs = try settings.read(
            "gateway.queue.interval", default: Duration.milliseconds(rules.intervalMs), "Over so long.",
            in: .milliseconds(10)...(.seconds(60))
        ).milliseconds
        rules.isAdaptive = try settings.read(
            "gateway.queue.adaptive", default: false,
            "Follow the service's latency instead of staying at so many workers.")
        rules.mostWorkers = try settings.read(
            "gateway.queue.max_workers", default: rules.workers * 4 < 1_000_000 ? 40 : 1_000_000,
            "The most that may lead to.", in: 1...1_000_000)
        let deadline = try settings.read(
            "gateway.queue.deadline", default: Duration.milliseconds(30_000), "How long a request may wait.",
            in: .milliseconds(1)...(.seconds(3600))
        ).milliseconds
        let classes = try settings.readItems("gateway.queue.classes", "Who waits, the first served first.") {
            item throws(SettingsError) in
            let name = try item.require("name", "What routes, fields and claims call it.")
            let share = try item.read("share", default: 0.0, "Part of what is served that the class is owed, 0 to 1.")
            guard (0...1).contains(share) else { throw item.failure("share", "\(share) is not between 0 and 1") }
            let wait = try item.read("deadline", default: Duration.milliseconds(deadline), "As gateway.queue.deadline.")
            guard wait > .zero else { throw item.failure("deadline", "0 lets nobody wait") }
            return AdmissionQueue.ClassRules(name: name, share: share, deadlineMs: wait.milliseconds)
        }
        let field: String? = try settings.read(
            "gateway.queue.class_field", "The field of a request that names its class.")
        let claim: String? = try settings.read(
            "gateway.queue.class_claim", "The claim of a token that names its class.")
        rules.classes = classes
        if !classes.contains(where: { $0.name == "default" }) {
            rules.classes.append(AdmissionQueue.ClassRules(name: "default", deadlineMs: deadline))
        }
        guard rules.classes.reduce(0, { $0 + $1.share }) <= 1 else {
            throw SettingsError(
                place: settings.fileName, key: "gateway.queue.classes", problem: "the shares add up to more than 1")
        }
        let isOn = enabled || workers != nil || size != nil
        return (isOn ? rules : nil, field?.lowercased(), claim)
    }
}

/// Who has to show a token, and what it is checked with, as set.
struct TokenSettings: Sendable {
    let rules: TokenRules?
    private let secret: String?
    private let keyFile: String?
    private let algorithm: SignatureKey.Algorithm?
    private let source: TokenKeys.Source
    /// Whether there is anything to check tokens with.
    var hasKeys: Bool { secret != nil || keyFile != nil || source != .none }

    init(_ settings: Settings) throws(SettingsError) {
        func failure(_ key: String, _ problem: String) -> SettingsError {
            SettingsError(place: settings.fileName, key: "gateway.jwt.\(key)", problem: problem)
        }
        secret = try settings.read(
            "gateway.jwt.secret", "Secret of HS256, HS384 or HS512, as long as the digest at least.",
            aliases: ["JWT_SECRET"])
        keyFile = try settings.read("gateway.jwt.public_key_file", "PEM file with the public key.")
        let name: String? = try settings.read(
            "gateway.jwt.algorithm",
            "The one algorithm of the secret (HS256 when not set) or of the public key: HS, RS, PS or ES with 256, 384 or 512, or EdDSA."
        )
        var algorithm: SignatureKey.Algorithm?
        if let name {
            guard let known = SignatureKey.Algorithm(rawValue: name) else {
                throw failure("algorithm", "\"\(name)\" is none that signs tokens")
            }
            algorithm = known
        } else if secret != nil {
            algorithm = .hs256
        }
        self.algorithm = algorithm
        let file: String? = try settings.read("gateway.jwt.jwks_file", "File with a JSON Web Key Set.")
        let url: String? = try settings.read(
            "gateway.jwt.jwks_url", "URL of one; read again when a token names an unknown key, at most once a minute.")
        guard file == nil || url == nil else { throw failure("jwks_file", "goes without jwks_url") }
        source = file.map { .file($0) } ?? url.map { .url($0) } ?? .none
        guard keyFile == nil || algorithm != nil, keyFile == nil || algorithm?.isShared == false else {
            throw failure("algorithm", "a public key needs one: RS256, ES256, EdDSA, …")
        }
        if let secret, let algorithm {
            guard keyFile == nil else { throw failure("secret", "goes without public_key_file") }
            do throws(SignatureKey.Unusable) { _ = try SignatureKey(algorithm, secret: Array(secret.utf8)) } catch {
                throw failure("secret", "\(error)")
            }
        }
        var rules = TokenRules()
        let mode = try settings.read(
            "gateway.jwt.mode", oneOf: TokenRules.Mode.self, default: .required,
            "Who needs a token, once there is a key to check it with.")
        rules.mode = mode
        rules.issuer = try settings.read("gateway.jwt.issuer", "Who has to have issued it (iss).")
        rules.audiences = try settings.readList("gateway.jwt.audience", "For whom it has to be (aud): one of these.")
        rules.leewaySeconds =
            try settings.read(
                "gateway.jwt.leeway", default: Duration.seconds(30), "How far clocks may be apart.",
                in: .zero...(.seconds(3600))
            ).milliseconds / 1000
        rules.requiredClaims = try settings.readList(
            "gateway.jwt.required_claims", default: rules.requiredClaims, "Claims that have to be there.")
        rules.wanted = try Self.pairs(
            try settings.readList("gateway.jwt.claims", "CLAIM=VALUE that has to be in it, else the answer is 403.")
        ) { failure("claims", "\"\($0)\" is not CLAIM=VALUE") }
        rules.fields = try Self.pairs(
            try settings.readList("gateway.jwt.fields", "CLAIM=FIELD: claims that the service gets as fields.")
        ) { failure("fields", "\"\($0)\" is not CLAIM=FIELD") }.map { (claim: $0.claim, name: $0.value) }
        for (_, name) in rules.fields where !name.utf8.allSatisfy(\.isTokenByte) {
            throw failure("fields", "\"\(name)\" is no name of a field")
        }
        let hasKeys = secret != nil || keyFile != nil || source != .none
        self.rules = hasKeys && mode != .off ? rules : nil
    }

    static func pairs(
        _ texts: [String], _ failure: (String) -> SettingsError
    ) throws(SettingsError) -> [(claim: String, value: String)] {
        var pairs: [(claim: String, value: String)] = []
        for text in texts {
            guard let sign = text.firstIndex(of: "="), sign != text.startIndex else { throw failure(text) }
            pairs.append((String(text[..<sign]), String(text[text.index(after: sign)...])))
        }
        return pairs
    }

    /// Reads files.
    func makeKeys() throws -> TokenKeys? {
        guard hasKeys else { return nil }
        var fixed: [(id: String?, key: SignatureKey)] = []
        if let secret, let algorithm { fixed.append((nil, try SignatureKey(algorithm, secret: Array(secret.utf8)))) }
        if let keyFile, let algorithm {
            fixed.append((nil, try SignatureKey(algorithm, pem: try Files.read(keyFile, limitBytes: 1 << 20))))
        }
        return try TokenKeys(fixed, source)
    }
}
