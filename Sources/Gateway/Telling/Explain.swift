import Network
import Runtime

extension Gateway {
    /// What one step would do with a request.
    public struct Explanation: Sendable {
        public let step: String
        public let does: String
    }

    /// What every step would do with a request, changing nothing and asking nobody.
    ///
    /// - Parameter fields: `Name: value`.
    public func explain(
        method: String, host: String, target: String, fields: [String], client: String
    ) async -> [Explanation] {
        await onLoop { $0.explain(method: method, host: host, target: target, fields: fields, client: client) }
    }
}

extension Relay {
    func explain(
        method: String, host: String, target: String, fields: [String], client: String
    ) -> [Gateway.Explanation] {
        let text = "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n" + fields.map { $0 + "\r\n" }.joined() + "\r\n"
        let bytes = Array(text.utf8)
        var reader = HeadReader(limits.message, isRequest: true)
        var steps: [Gateway.Explanation] = []
        func say(_ step: String, _ does: String) { steps.append(Gateway.Explanation(step: step, does: does)) }
        func refused(_ fault: HTTPFault) -> [Gateway.Explanation] {
            say("reader", "answers \(fault.status): \(fault.explanation)")
            return steps
        }
        let request: RequestHead
        switch reader.read(bytes.span) {
        case .needsMore: return refused(.headTooLong)
        case .failed(let fault): return refused(fault)
        case .done(let length):
            switch RequestHead.understand(bytes.span, length: length, reader) {
            case .failure(let fault): return refused(fault)
            case .success(let head): request = head
            }
        }
        say("reader", "understands it")
        let path =
            NormalPath.normalised(request.head.bytes.span.extracting(request.path))
            ?? Array(request.head.bytes[request.path])
        guard let route = route(of: request, path) else {
            say("route", "answers 404: no route is for it")
            return steps
        }
        say("route", "\(route.rules.name) (\(route.rules.match))")
        let key = Array(client.utf8)
        func isOn(_ feature: GatewayFeature) -> Bool { features.isOn(feature, for: key.span) }
        let rules = route.rules
        if let input = rules.input {
            say(
                "input",
                isOn(.inputLimits)
                    ? input.refusal(of: request).map { "answers \($0.status): \($0.detail)" } ?? "passes"
                    : "is off by its feature")
        }
        if let token = rules.token, let check = tokenCheck {
            say(
                "jwt",
                isOn(.jwt)
                    ? describe(check.judge(TokenCheck.token(of: request), token, now: Double(wallMs) / 1000), token)
                    : "is off by its feature")
        }
        for rule in rules.rates {
            say(
                "rate_limit \(rule.name)",
                "\(rule.count) in \(rule.windowSeconds) s\(rule.isDryRun ? ", refusing nobody" : "")")
        }
        if rules.cache != nil { say("cache", isOn(.cache) ? explainCache(request, route) : "is off by its feature") }
        if let queue { say("queue", "\(queue.inFlight) of \(queue.workers) at the service, \(queue.waiting) wait") }
        if rules.breaker != nil { say("breaker", breakers[rules.name]?.isOpen == true ? "is open" : "is closed") }
        if rules.compression != nil {
            say(
                "compression",
                AcceptedCoding.best(request.head.list(.acceptEncoding)).map { "\($0.rawValue) for what suits" }
                    ?? "none, as the client asks")
        }
        let upstream = route.pool.pick(nowMs: loop.nowMs, avoiding: nil)
        say("upstream", upstream.map { "\($0.address)" } ?? "none is up")
        return steps
    }

    private func describe(_ verdict: TokenCheck.Verdict, _ rules: TokenRules) -> String {
        switch verdict {
        case .good(let claims): rules.allows(claims) ? "passes" : "answers 403: the token does not allow this"
        case .absent: rules.mode == .required ? "answers 401: a token is needed" : "passes without a token"
        case .malformed: rules.mode == .optional ? "passes without a token" : "answers 401: malformed"
        case .bad(let fault): rules.mode == .optional ? "passes without a token" : "answers 401: \(fault.rawValue)"
        }
    }

    private func explainCache(_ request: RequestHead, _ route: Route) -> String {
        guard let cache, let id = cacheClass(of: route) else { return "is empty" }
        guard request.method == .get || request.method == .head else { return "passes it on: \(request.method.label)" }
        switch cache.find(request, AnswerCache.primary(request), in: id, nowMs: nowMs) {
        case .answer(let stored, _):
            let age = "\(stored.age(nowMs: wallMs)) s old, good for \(stored.lifetimeSeconds) s"
            switch CachePolicy.use(stored, for: request, nowMs: wallMs) {
            case .fresh: return "answers, \(age)"
            case .staleAllowed: return "answers beyond its time, as the client allows, \(age)"
            case .staleWhileAsking: return "answers beyond its time and asks anew, \(age)"
            case .mustAsk(let why): return "asks the service (\(why.rawValue)), \(age)"
            }
        case .nothing: return "has nothing of this URL"
        case .otherVariant: return "has it for other fields of requests"
        case .pass: return "has seen that it cannot be kept"
        }
    }
}
