import Network
import Runtime
import Serving

/// The steps of a request, in their order. Each answers, waits, or goes on to the next.
extension Relay {
    func applySteps(_ fresh: GatewayRules) {
        tokenCheck = fresh.tokenKeys.map { TokenCheck($0) }
        identityNames = Set(
            fresh.routes.flatMap { $0.token?.fields ?? [] }.map { ForwardingNames.canonical(Array($0.name.utf8).span) })
        var kept: [String: (rule: RateRule, window: SlidingWindow)] = [:]
        for route in fresh.routes {
            for rule in route.rates {
                let name = "\(route.name) \(rule.name)"
                if let known = windows[name], known.rule == rule {
                    kept[name] = known
                } else {
                    kept[name] = (
                        rule, SlidingWindow(count: rule.count, windowMs: rule.windowSeconds * 1000, nowMs: nowMs)
                    )
                }
            }
        }
        windows = kept
        if fresh.queue != queue?.rules {
            // Who waits is let through: the new queue begins with those who ask.
            let waiting = waiting
            (self.waiting, leaving) = ([:], [:])
            queue = fresh.queue.map { AdmissionQueue($0) }
            queueEpoch += 1
            for each in waiting.values { each() }
        }
        breakers = [:]
        applyCache(fresh)
    }

    func lookAfterSteps() {
        cache?.tick(nowMs: nowMs)
        for refresh in refreshes.values { refresh.check() }
        if let keys = rules.tokenKeys { keys.renew(nowMs: nowMs) }
        turnQueue()
        metrics.queueWaiting.set(Double(queue?.waiting ?? 0))
        metrics.queueWorkers.set(Double(queue?.workers ?? 0))
        metrics.rateKeys.set(Double(windows.values.reduce(0) { $0 + $1.window.keys }))
    }

    // MARK: 1. Input limits

    func limitInput(_ session: ClientSession, _ exchange: Exchange) {
        if let input = exchange.route.rules.input, isOn(.inputLimits, exchange) {
            if let refusal = input.refusal(of: exchange.request) {
                note(.oversize, refusal.reason.rawValue, exchange)
                return session.answer(refusal, exchange)
            }
            exchange.inputCheck = InputCheck(input, exchange.request)
        }
        checkToken(session, exchange)
    }

    /// A look at a piece of a body before it goes on.
    func check(_ bytes: Span<UInt8>, of exchange: Exchange) -> Refusal? {
        guard exchange.inputCheck != nil, let refusal = exchange.inputCheck?.refusal(of: bytes) else { return nil }
        note(.oversize, refusal.reason.rawValue, exchange)
        return refusal
    }

    // MARK: 2. Tokens

    private func checkToken(_ session: ClientSession, _ exchange: Exchange, hasRefreshed: Bool = false) {
        guard let rules = exchange.route.rules.token, rules.mode != .off, let check = tokenCheck, isOn(.jwt, exchange)
        else { return limitRate(session, exchange) }
        let token = TokenCheck.token(of: exchange.request)
        switch check.judge(token, rules, now: Double(wallMs) / 1000) {
        case .good(let claims):
            metrics.tokens.with(["good"]).add()
            guard rules.allows(claims) else {
                note(.forbidden, "claims", exchange)
                return session.answer(
                    Refusal(
                        403, .forbidden, "the token does not allow this",
                        [("WWW-Authenticate", "Bearer realm=\"outrigger\", error=\"insufficient_scope\"")]), exchange)
            }
            exchange.claims = claims
        case .absent:
            metrics.tokens.with(["absent"]).add()
            guard rules.mode != .required else { return refuseToken(nil, session, exchange) }
        case .malformed:
            metrics.tokens.with([Token.Fault.malformed.rawValue]).add()
            guard rules.mode == .optional else { return refuseToken(.malformed, session, exchange) }
        case .bad(.unknownKey) where !hasRefreshed && refreshKeys(session, exchange): return
        case .bad(let fault):
            metrics.tokens.with([fault.rawValue]).add()
            guard rules.mode == .optional else { return refuseToken(fault, session, exchange) }
        }
        limitRate(session, exchange)
    }

    /// The key may have come since the set was read.
    private func refreshKeys(_ session: ClientSession, _ exchange: Exchange) -> Bool {
        guard let keys = rules.tokenKeys else { return false }
        let waiter = Waiter { [weak self, weak session, weak exchange] in
            guard let self, let session, let exchange, session.exchange === exchange else { return }
            checkToken(session, exchange, hasRefreshed: true)
        }
        return keys.refresh(nowMs: nowMs) { [loop] in loop.post { waiter.go() } }
    }

    private func refuseToken(_ fault: Token.Fault?, _ session: ClientSession, _ exchange: Exchange) {
        note(.token, fault?.rawValue ?? "absent", exchange)
        let challenge =
            fault == nil
            ? "Bearer realm=\"outrigger\""
            : "Bearer realm=\"outrigger\", error=\"invalid_token\", error_description=\"\(fault?.rawValue ?? "")\""
        session.answer(
            Refusal(
                401, .token, fault == nil ? "a token is needed" : "the token is not good",
                [("WWW-Authenticate", challenge)]),
            exchange)
    }

    // MARK: 3. Rates

    private func limitRate(_ session: ClientSession, _ exchange: Exchange) {
        let rates = exchange.route.rules.rates
        guard !rates.isEmpty, isOn(.rateLimit, exchange) else { return consultCache(session, exchange) }
        var keys: [(name: String, key: UInt64)] = []
        var lines: [UInt8] = []
        var refused: (rule: RateRule, verdict: SlidingWindow.Verdict)?
        for rule in rates {
            let name = "\(exchange.route.rules.name) \(rule.name)"
            let key = hash(rateKey(rule, exchange))
            guard let verdict = windows[name]?.window.look(key, nowMs: nowMs) else { continue }
            if verdict.isAllowed {
                keys.append((name, key))
            } else if rule.isDryRun {
                metrics.rateDecisions.with([rule.name, "dry_run"]).add()
            } else {
                metrics.rateDecisions.with([rule.name, "refused"]).add()
                if (refused?.verdict.resetSeconds ?? 0) < verdict.resetSeconds { refused = (rule, verdict) }
            }
            lines.append(
                field: "RateLimit", Array("\"\(rule.name)\";r=\(verdict.remaining);t=\(verdict.resetSeconds)".utf8))
            lines.append(
                field: "RateLimit-Policy", Array("\"\(rule.name)\";q=\(rule.count);w=\(rule.windowSeconds)".utf8))
        }
        exchange.extra += lines
        if let refused {
            note(.rateLimit, refused.rule.name, exchange)
            return session.answer(
                Refusal(
                    429, .rateLimit, "more than \(refused.rule.count) requests in \(refused.rule.windowSeconds) s",
                    [("Retry-After", "\(refused.verdict.resetSeconds)")]), exchange)
        }
        for (name, key) in keys { windows[name]?.window.add(key, nowMs: nowMs) }
        consultCache(session, exchange)
    }

    private func rateKey(_ rule: RateRule, _ exchange: Exchange) -> [UInt8] {
        var key: [UInt8] = []
        for part in rule.key {
            key.append(0)
            switch part {
            case .address:
                if let bytes = IPAddress.bytes(exchange.client) {
                    key.append(contentsOf: bytes.count == 16 ? bytes.prefix(8) : bytes[...])
                }
            case .route: key.append(contentsOf: exchange.route.rules.name.utf8)
            case .claim(let name):
                if let claim = exchange.claims?[name] {
                    var writer = JSONWriter()
                    writer.value(claim)
                    key.append(contentsOf: writer.bytes)
                }
            case .header(let name): key.append(contentsOf: exchange.request.head.list(named: Array(name.utf8)) ?? [])
            }
        }
        return key
    }

    // MARK: 5. Queue

    func enterQueue(_ session: ClientSession, _ exchange: Exchange) {
        guard var queue, isOn(.queue, exchange) else { return passBreaker(session, exchange) }
        let index = queueClass(of: exchange, queue.rules)
        let entry = queue.enter(index, nowMs: nowMs)
        self.queue = queue
        switch entry {
        case .admitted:
            exchange.admittedBy = queueEpoch
            passBreaker(session, exchange)
        case .full:
            metrics.queueLeft.with([queue.rules.classes[index].name, "full"]).add()
            session.answer(Refusal(503, .queueFull, "too many requests wait already", [("Retry-After", "1")]), exchange)
        case .waits(let ticket):
            (exchange.ticket, exchange.queuedNs) = (ticket, loop.nowNs)
            let epoch = queueEpoch
            waiting[ticket] = { [weak self, weak session, weak exchange] in
                guard let self, let session, let exchange, session.exchange === exchange else { return }
                exchange.ticket = nil
                exchange.admittedNs = loop.nowNs
                exchange.admittedBy = epoch
                passBreaker(session, exchange)
            }
            leaving[ticket] = { [weak self, weak session, weak exchange] why in
                guard let self, let session, let exchange, session.exchange === exchange else { return }
                exchange.ticket = nil
                exchange.admittedNs = loop.nowNs
                let reason: Refusal.Reason = why == .deadline ? .queueDeadline : .queueShed
                metrics.queueLeft.with([
                    self.queue?.rules.classes[index].name ?? "", why == .deadline ? "deadline" : "shed",
                ]).add()
                session.answer(
                    Refusal(503, reason, "the service is too busy", [("Retry-After", "1")]), exchange)
            }
        }
    }

    private func queueClass(of exchange: Exchange, _ queueRules: AdmissionQueue.Rules) -> Int {
        func place(_ name: String?) -> Int? {
            name.flatMap { name in queueRules.classes.firstIndex { $0.name == name } }
        }
        if let index = place(exchange.route.rules.queueClass) { return index }
        if let field = rules.queueClassField, let value = exchange.request.head.list(named: Array(field.utf8)),
            let index = place(String(decoding: value, as: UTF8.self))
        {
            return index
        }
        if let claim = rules.queueClassClaim, let index = place(exchange.claims?[claim]?.string) { return index }
        return place("default") ?? queueRules.classes.count - 1
    }

    func turnQueue() {
        guard var queue else { return }
        let turn = queue.turn(nowMs: nowMs)
        self.queue = queue
        for ticket in turn.admitted {
            leaving[ticket] = nil
            guard let go = waiting.removeValue(forKey: ticket) else {
                // Its client left between.
                self.queue?.finished(latencyMs: nil, nowMs: nowMs)
                continue
            }
            go()
        }
        for (ticket, why) in turn.leaving {
            waiting[ticket] = nil
            leaving.removeValue(forKey: ticket)?(why)
        }
    }

    func leaveQueue(_ ticket: Int) {
        guard waiting.removeValue(forKey: ticket) != nil else { return }
        leaving[ticket] = nil
        queue?.left(ticket: ticket)
    }

    // MARK: 6. Breaker

    private func passBreaker(_ session: ClientSession, _ exchange: Exchange) {
        let rules = exchange.route.rules
        guard let breakerRules = rules.breaker, isOn(.breaker, exchange) else { return ask(session, exchange) }
        var breaker = breakers[rules.name] ?? RatioBreaker(breakerRules)
        let isAdmitted = breaker.admits(nowMs: nowMs)
        breakers[rules.name] = breaker
        tellBreaker(rules.name, breaker)
        guard isAdmitted else {
            finished(exchange, failed: nil)
            if serveOnError(session, exchange) { return }
            var refusal = Refusal(
                503, .breaker, "the service fails too often now",
                [("Retry-After", "\(breaker.retryAfter(nowMs: nowMs))")])
            if let body = rules.breakerBody {
                refusal.body = Array(body.utf8)
                refusal.contentType =
                    body.first == "{" || body.first == "[" ? "application/json" : "text/plain; charset=utf-8"
            }
            return session.answer(refusal, exchange)
        }
        exchange.isProbing = true
        ask(session, exchange)
    }

    private func tellBreaker(_ route: String, _ breaker: RatioBreaker) {
        metrics.breakerIsOpen.with(["gateway:\(route)"]).set(breaker.isOpen ? 1 : 0)
        let counter = metrics.breakerOpenings.with(["gateway:\(route)"])
        if counter.count < breaker.openings { counter.add(breaker.openings - counter.count) }
    }

    /// A request has ended, as far as the service has to do with it.
    ///
    /// - Parameter failed: nil when that says nothing about the service.
    func finished(_ exchange: Exchange, failed: Bool?) {
        let tookMs = exchange.fetch.map { (loop.nowNs - $0.startedNs) / 1_000_000 } ?? 0
        if exchange.isProbing {
            exchange.isProbing = false
            let name = exchange.route.rules.name
            if let failed {
                breakers[name]?.answered(failed: failed, tookMs: tookMs, nowMs: nowMs)
            } else {
                breakers[name]?.gaveUp()
            }
            if let breaker = breakers[name] { tellBreaker(name, breaker) }
        }
        if let epoch = exchange.admittedBy {
            exchange.admittedBy = nil
            guard epoch == queueEpoch else { return }
            queue?.finished(latencyMs: failed == false ? tookMs : nil, nowMs: nowMs)
            if queue?.waiting ?? 0 > 0 { turnQueue() }
        }
    }

    // MARK: The service

    private func ask(_ session: ClientSession, _ exchange: Exchange) {
        guard let facts = exchange.facts else { return }
        let request = exchange.request
        let rules = exchange.route.rules
        var writer = RequestWriter(request: request, facts: facts, ids: freshIDs())
        if rules.input?.normalisesPath == true, isOn(.inputLimits, exchange) {
            writer.target = exchange.path
            if let query = request.query {
                writer.target?.append(0x3F)
                writer.target?.append(contentsOf: request.head.bytes[query])
            }
        }
        writer.identityNames = identityNames
        if let claims = exchange.claims, let token = rules.token { writer.identity = token.identity(claims) }
        writer.ask(about: exchange.stored)
        var head: [UInt8] = []
        head.reserveCapacity(request.head.bytes.count + 320)
        writer.write(into: &head)
        let mayRepeat = (request.method.isIdempotent || request.head.has(.idempotencyKey)) && isOn(.retries, exchange)
        exchange.askedMs = wallMs
        let fetch = Fetch(
            self, exchange.route.pool, head: head, method: request.method, framing: request.framing,
            mayRepeat: mayRepeat, timing: rules.timing, owner: session)
        exchange.route.metrics.inFlight.move(by: 1)
        session.ask(fetch, exchange)
    }

    // MARK: 7. Compression

    func compress(_ head: ResponseHead, _ exchange: Exchange, _ shape: inout AnswerShape) {
        guard let rules = exchange.route.rules.compression, isOn(.compression, exchange),
            exchange.mode == .length || exchange.mode == .chunked || exchange.mode == .untilClose
        else { return }
        let fields = head.head
        let isCoded = fields.first(.contentEncoding).map { !$0.elementsEqual("identity".utf8) } ?? false
        let control = CacheControl(fields.list(.cacheControl))
        guard
            rules.suit(
                head.status, length: head.length, type: fields.first(.contentType), isCoded: isCoded,
                noTransform: control.noTransform, setsCookie: fields.has(.setCookie))
        else { return }
        shape.dropped.append(.vary)
        shape.extra.append(field: "Vary", VaryField.adding("Accept-Encoding", to: fields.list(.vary)))
        guard let coding = AcceptedCoding.best(exchange.request.head.list(.acceptEncoding)) else { return }
        let level = levels.choose(coding, bytes: head.length, budgetMs: rules.budgetMs)
        guard let encoder = BodyEncoder(coding, level: level, sizeHint: head.length ?? 0) else { return }
        (exchange.encoder, exchange.coding) = (encoder, (coding, level))
        shape.mode = exchange.request.isHTTP11 ? .chunked : .untilClose
        shape.dropped += [.etag, .acceptRanges, .contentEncoding]
        shape.extra.append(field: "Content-Encoding", Array(coding.rawValue.utf8))
        if let etag = fields.first(.etag) { shape.extra.append(field: "ETag", EntityTags.weak(etag)) }
        metrics.compressed.with([coding.rawValue]).add()
    }

    /// - Returns: nil when the body is lost.
    func code(_ bytes: Span<UInt8>, _ ending: BodyEncoder.Ending, _ exchange: Exchange) -> [UInt8]? {
        guard let encoder = exchange.encoder, let coding = exchange.coding else { return nil }
        let startedNs = MonotonicClock.nowNs
        var output: [UInt8] = []
        // Of a body whose length is not known, nobody knows when the next piece comes.
        let isStream = ending == .none && exchange.fetch?.answerHasLength == false
        guard encoder.add(bytes, isStream ? .flush : ending, into: &output) else { return nil }
        exchange.plainBytes += bytes.count
        exchange.codingNs += MonotonicClock.nowNs - startedNs
        if ending == .finish {
            exchange.encoder = nil
            levels.took(coding.coding, level: coding.level, bytes: exchange.plainBytes, ns: exchange.codingNs)
            metrics.compressionPlain.add(exchange.plainBytes)
            metrics.compressionCoded.add(exchange.sent + output.count)
            metrics.compressionTime.observe(Double(exchange.codingNs) / 1e9)
        }
        return output
    }

    // MARK: Telling

    func note(_ kind: SecurityEvent.Kind, _ reason: String, _ exchange: Exchange) {
        security.add(kind, reason, client: exchange.client, route: exchange.route.rules.name)
    }

    /// Lines of fields that say how the answer came about.
    func lines(_ exchange: Exchange) -> [UInt8] {
        var lines: [UInt8] = []
        if let note = exchange.cacheNote {
            lines.append(
                field: "Cache-Status",
                Array(("outrigger; " + note + (exchange.cacheDetail.map { "; detail=\($0)" } ?? "")).utf8))
        }
        guard rules.hasServerTiming else { return lines }
        var parts: [String] = []
        func ms(_ ns: Int) -> String { "\(ns / 1_000_000).\(String(1000 + ns / 1000 % 1000).dropFirst())" }
        if let queued = exchange.queuedNs {
            parts.append("queue;dur=\(ms((exchange.admittedNs ?? loop.nowNs) - queued))")
        }
        if let note = exchange.cacheNote { parts.append("cache;desc=\"\(note.split(separator: ";").first ?? "")\"") }
        if let fetch = exchange.fetch, let answered = fetch.answeredNs {
            parts.append("upstream;dur=\(ms(answered - fetch.startedNs))")
        }
        if exchange.codingNs > 0 { parts.append("compression;dur=\(ms(exchange.codingNs))") }
        parts.append("total;dur=\(ms(MonotonicClock.nowNs - exchange.startedNs))")
        if rules.hasServerTimingDetails {
            let (hits, misses) = (metrics.cacheHits.count, metrics.cacheMisses.count)
            parts.append("operations;desc=\"\(hits + misses)\"")
            parts.append("hit_ratio;desc=\"\(hits + misses == 0 ? 0 : hits * 100 / (hits + misses))%\"")
        }
        lines.append(field: "Server-Timing", Array(parts.joined(separator: ", ").utf8))
        return lines
    }

    func logAccess(_ exchange: Exchange, status: Int, seconds: Double, wasCut: Bool) {
        guard rules.accessLogShare > 0, Double(next() >> 11) / Double(1 << 53) < rules.accessLogShare else { return }
        let request = exchange.request
        var members = [
            JSON.Member(
                "time",
                .string(
                    RFC3339.text(
                        seconds: Int64(wallMs / 1000), nanoseconds: wallMs % 1000 * 1_000_000, fractionDigits: 3))),
            JSON.Member("route", .string(exchange.route.rules.name)),
            JSON.Member("method", .string(request.method.label)),
            JSON.Member("path", .string(String(decoding: exchange.path, as: UTF8.self))),
            JSON.Member("status", .integer(Int64(status))),
            JSON.Member("seconds", .number(seconds)),
            JSON.Member("request_bytes", .integer(Int64(exchange.received))),
            JSON.Member("response_bytes", .integer(Int64(exchange.sent))),
        ]
        if let note = exchange.cacheNote { members.append(JSON.Member("cache", .string(note))) }
        if let refusal = exchange.refusal { members.append(JSON.Member("refused", .string(refusal.rawValue))) }
        if wasCut { members.append(JSON.Member("cut", .bool(true))) }
        var writer = JSONWriter()
        writer.value(.object(members))
        Log.write(line: writer.text)
    }
}

/// Something to be done on the loop's thread, which may be carried there by another.
final class Waiter: @unchecked Sendable {
    private let work: () -> Void
    init(_ work: @escaping () -> Void) { self.work = work }
    func go() { work() }
}

/// `Vary`, with a name more.
enum VaryField {
    static func adding(_ name: String, to list: [UInt8]?) -> [UInt8] {
        guard let list, !list.isEmpty else { return Array(name.utf8) }
        let wanted = name.lowercased()
        let isThere = list.split(separator: 0x2C).contains { part in
            let word = String(decoding: part.filter { !$0.isBlank }, as: UTF8.self).lowercased()
            return word == wanted || word == "*"
        }
        return isThere ? list : list + Array(", \(name)".utf8)
    }
}

extension EntityTags {
    static func weak(_ tag: ArraySlice<UInt8>) -> [UInt8] {
        tag.starts(with: [0x57, 0x2F]) ? Array(tag) : [0x57, 0x2F] + tag
    }
}
