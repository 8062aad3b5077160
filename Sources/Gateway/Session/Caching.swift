import Cache
import Network
import Runtime

/// The step that answers from memory, and keeps what the service answers.
extension Relay {
    func applyCache(_ fresh: GatewayRules) {
        let kept = fresh.routes.filter { $0.cache != nil }
        guard !kept.isEmpty else {
            cache = nil
            return
        }
        // Another set of routes, or another size, begins empty.
        let identity = kept.map(\.name) + ["\(fresh.cacheBytes) \(fresh.mostCachedBody)"]
        guard cache == nil || identity != cacheIdentity else { return }
        cacheIdentity = identity
        let classes = kept.map {
            CacheClass(name: "http:\($0.name)", ttl: .seconds(86_400), maxAge: .seconds(20 * 86_400))
        }
        var limits = LocalCache.Limits(
            bytes: fresh.cacheBytes, compressFromBytes: nil, mostValueBytes: fresh.mostCachedBody + (64 << 10),
            jitter: 0,
            estimatesHitRatios: false)
        limits.bytes = fresh.cacheBytes
        cache = AnswerCache(
            LocalCache(classes: classes, limits: limits, nowMs: nowMs), mostBodyBytes: fresh.mostCachedBody)
    }

    func cacheClass(of route: Route) -> CacheClass.ID? { cache?.cacheClass(named: "http:\(route.rules.name)") }

    func consultCache(_ session: ClientSession, _ exchange: Exchange) {
        let request = exchange.request
        guard let rules = exchange.route.rules.cache, let cache, let id = cacheClass(of: exchange.route),
            isOn(.cache, exchange)
        else { return enterQueue(session, exchange) }
        exchange.primary = AnswerCache.primary(request)
        guard request.method == .get || request.method == .head, request.framing == .none, !request.wantsWebSocket
        else {
            exchange.cacheNote = request.method.isSafe ? "fwd=bypass" : "fwd=method"
            return enterQueue(session, exchange)
        }
        switch cache.find(request, exchange.primary, in: id, nowMs: nowMs) {
        case .answer(let stored, let key):
            exchange.cacheKey = key
            use(stored, session, exchange, rules)
        case .nothing(let key):
            exchange.cacheKey = key
            miss("uri-miss", session, exchange, rules, mayWait: true)
        case .otherVariant(let key):
            exchange.cacheKey = key
            miss("vary-miss", session, exchange, rules, mayWait: true)
        case .pass(let key):
            exchange.cacheKey = key
            miss("uri-miss", session, exchange, rules, mayWait: false)
        }
    }

    private func use(
        _ stored: StoredAnswer, _ session: ClientSession, _ exchange: Exchange, _ rules: AnswerCacheRules
    ) {
        switch CachePolicy.use(stored, for: exchange.request, nowMs: wallMs) {
        case .fresh, .staleAllowed: hit(stored, session, exchange)
        case .staleWhileAsking:
            refresh(stored, exchange, rules)
            hit(stored, session, exchange)
        case .mustAsk(let why):
            exchange.stored = stored
            miss(why == .stale ? "stale" : "request", session, exchange, rules, mayWait: why == .stale)
        }
    }

    private func hit(_ stored: StoredAnswer, _ session: ClientSession, _ exchange: Exchange) {
        metrics.cacheHits.add()
        exchange.cacheNote = "hit; ttl=\(stored.remaining(nowMs: wallMs))"
        session.serve(coded(stored, exchange), exchange)
    }

    private func miss(
        _ why: String, _ session: ClientSession, _ exchange: Exchange, _ rules: AnswerCacheRules, mayWait: Bool
    ) {
        exchange.cacheNote = "fwd=\(why)"
        if CacheControl(exchange.request.head.list(.cacheControl)).onlyIfCached {
            return session.answer(Refusal(504, .onlyIfCached, "nothing is kept that may be used"), exchange)
        }
        metrics.cacheMisses.add()
        let request = exchange.request
        let isPlain =
            request.method == .get && !request.head.has(.range) && !request.head.has(.ifNoneMatch)
            && !request.head.has(.ifModifiedSince) && !request.head.has(.ifMatch)
            && !request.head.has(.ifUnmodifiedSince)
        guard mayWait, rules.coalesces, isPlain, let cache, isOn(.coalescing, exchange) else {
            return enterQueue(session, exchange)
        }
        if let flight = cache.lead(exchange.cacheKey) {
            exchange.flight = flight
            return enterQueue(session, exchange)
        }
        var isOver = false
        let goOn = { [weak self, weak session, weak exchange] (mayUse: Bool) in
            guard let self, let session, let exchange, session.exchange === exchange, !isOver else { return }
            isOver = true
            exchange.stored = nil
            metrics.cacheCollapsed.add()
            exchange.cacheDetail = "collapsed"
            if mayUse { consultCache(session, exchange) } else { enterQueue(session, exchange) }
        }
        guard cache.wait(for: exchange.cacheKey, { goOn(true) }) else { return enterQueue(session, exchange) }
        loop.after(milliseconds: rules.wait.milliseconds) { goOn(false) }
    }

    // MARK: What the service answers

    /// The head of an answer is there.
    func began(_ head: ResponseHead, _ exchange: Exchange) {
        exchange.upstreamStatus = head.status
        guard let rules = exchange.route.rules.cache, let cache, !exchange.primary.isEmpty else { return }
        let request = exchange.request
        if !request.method.isSafe {
            if (200..<400).contains(head.status) { invalidate(head, exchange) }
            return
        }
        guard let id = cacheClass(of: exchange.route), request.framing == .none, exchange.cacheNote != "fwd=bypass"
        else { return }
        if let stored = exchange.stored {
            if head.status == 304, request.method == .get, exchange.asksAboutStored {
                let fresh = CachePolicy.updated(stored, by: head, rules, askedMs: exchange.askedMs, nowMs: wallMs)
                cache.keep(fresh, for: request, exchange.primary, in: id, rules, wallMs: wallMs, nowMs: nowMs)
                exchange.replacement = coded(fresh, exchange)
                exchange.cacheNote = (exchange.cacheNote ?? "") + "; fwd-status=304; stored"
                metrics.cacheValidated.add()
                return endFlight(exchange)
            }
            if [500, 502, 503, 504].contains(head.status),
                CachePolicy.mayServeOnError(stored, for: request, nowMs: wallMs)
            {
                exchange.replacement = coded(stored, exchange)
                exchange.cacheNote = "hit; ttl=\(stored.remaining(nowMs: wallMs)); fwd=stale; fwd-status=\(head.status)"
                metrics.cacheStale.add()
                return endFlight(exchange)
            }
            if request.method == .head, head.status == 200 { updateByHead(stored, head, exchange, rules, cache, id) }
        }
        switch CachePolicy.store(head, to: request, rules, askedMs: exchange.askedMs, nowMs: wallMs) {
        case .success(let stored):
            if let length = head.length, length > cache.mostBodyBytes {
                return refuseToKeep(.tooLong, exchange, cache, id)
            }
            let fill = CacheFill(stored, request, exchange.primary, in: id, rules, most: cache.mostBodyBytes)
            exchange.fill = fill
            cache.begin(fill)
            exchange.cacheNote = (exchange.cacheNote ?? "") + "; fwd-status=\(head.status); stored"
        case .failure(let refused): refuseToKeep(refused.reason, exchange, cache, id)
        }
    }

    private func refuseToKeep(
        _ reason: CachePolicy.Reason, _ exchange: Exchange, _ cache: AnswerCache, _ id: CacheClass.ID
    ) {
        exchange.cacheDetail = reason.rawValue
        metrics.cacheRefused.with([reason.rawValue]).add()
        guard exchange.request.method == .get else { return }
        // Others who ask for it need not wait for what they cannot share.
        if exchange.flight != nil { cache.keepPass(exchange.cacheKey, in: id, nowMs: nowMs) }
        endFlight(exchange)
    }

    private func updateByHead(
        _ stored: StoredAnswer, _ head: ResponseHead, _ exchange: Exchange, _ rules: AnswerCacheRules,
        _ cache: AnswerCache,
        _ id: CacheClass.ID
    ) {
        guard CachePolicy.isSame(stored, as: head) else {
            cache.purge(url: exchange.primary)
            return
        }
        let fresh = CachePolicy.updated(stored, by: head, rules, askedMs: exchange.askedMs, nowMs: wallMs)
        cache.keep(fresh, for: exchange.request, exchange.primary, in: id, rules, wallMs: wallMs, nowMs: nowMs)
    }

    /// An answer is whole.
    func ended(_ exchange: Exchange) {
        finished(exchange, failed: exchange.upstreamStatus >= 500)
        guard let fill = exchange.fill, let cache, let rules = exchange.route.rules.cache else { return }
        exchange.fill = nil
        cache.forget(fill)
        if !fill.isWorthless {
            cache.keep(fill.stored, for: fill.request, fill.primary, in: fill.id, rules, wallMs: wallMs, nowMs: nowMs)
            metrics.cacheStored.add()
        }
        endFlight(exchange)
    }

    /// Whatever became of an exchange, nobody waits for it any more, and nothing half is kept.
    func endCaching(_ exchange: Exchange) {
        if let fill = exchange.fill {
            cache?.forget(fill)
            exchange.fill = nil
        }
        endFlight(exchange)
    }

    private func endFlight(_ exchange: Exchange) {
        guard let flight = exchange.flight else { return }
        exchange.flight = nil
        // Not within what is being read: those who waited begin anew.
        loop.after(milliseconds: 0) { [cache] in cache?.end(flight) }
    }

    /// Answers with what is kept because the service does not.
    ///
    /// - Returns: false when there is nothing that may be used.
    func serveOnError(_ session: ClientSession, _ exchange: Exchange) -> Bool {
        guard let stored = exchange.stored, CachePolicy.mayServeOnError(stored, for: exchange.request, nowMs: wallMs)
        else {
            return false
        }
        metrics.cacheStale.add()
        exchange.cacheNote = "hit; ttl=\(stored.remaining(nowMs: wallMs)); fwd=stale"
        session.serve(coded(stored, exchange), exchange)
        return true
    }

    private func refresh(_ stored: StoredAnswer, _ exchange: Exchange, _ rules: AnswerCacheRules) {
        guard let cache, let flight = cache.lead(exchange.cacheKey), let id = cacheClass(of: exchange.route) else {
            return
        }
        guard refreshes.count < 100 else { return cache.end(flight) }
        let refresh = CacheRefresh(stored, exchange, rules, self, cache, flight, id)
        refreshes[ObjectIdentifier(refresh)] = refresh
        refresh.start()
    }

    // MARK: Forgetting

    private func invalidate(_ head: ResponseHead, _ exchange: Exchange) {
        guard let cache else { return }
        cache.purge(url: exchange.primary)
        let host = Array(exchange.primary.prefix { $0 != 0 })
        for id in [FieldName.location, .contentLocation] {
            guard let value = head.head.first(id) else { continue }
            if let target = Self.target(of: value, on: host) { cache.purge(url: host + [0] + target) }
        }
    }

    /// The target of a URL, or of a path, of the same host; nil for another's.
    static func target(of url: ArraySlice<UInt8>, on host: [UInt8]) -> [UInt8]? {
        if url.first == 0x2F, url.dropFirst().first != 0x2F { return Array(url) }
        for scheme in ["http://", "https://"] where url.starts(with: scheme.utf8) {
            let rest = url.dropFirst(scheme.utf8.count)
            guard rest.count > host.count, rest.prefix(host.count).map(\.lowercased) == host else { return nil }
            let target = rest.dropFirst(host.count)
            return target.first == 0x2F ? Array(target) : nil
        }
        return nil
    }

    func purge(_ what: Gateway.Purge) -> Int {
        guard let cache else { return 0 }
        switch what {
        case .url(let host, let target): return cache.purge(url: AnswerCache.primary(host: host, target: target))
        case .prefix(let host, let path): return cache.purge(prefix: AnswerCache.primary(host: host, target: path))
        case .surrogateKey(let key): return cache.purge(key: key)
        case .everything:
            cache.purgeAll(nowMs: nowMs)
            return 0
        }
    }

    // MARK: Serving what is kept

    /// The answer in the coding that the client takes, which is made once for all.
    private func coded(_ stored: StoredAnswer, _ exchange: Exchange) -> StoredAnswer {
        guard let rules = exchange.route.rules.compression, isOn(.compression, exchange), let cache,
            let id = cacheClass(of: exchange.route), !exchange.request.head.has(.range)
        else { return stored }
        let isCoded = stored.value("content-encoding").map { !$0.elementsEqual("identity".utf8) } ?? false
        guard
            rules.suit(
                stored.status, length: stored.body.count, type: stored.value("content-type"), isCoded: isCoded,
                noTransform: stored.noTransform, setsCookie: stored.value("set-cookie") != nil)
        else { return stored }
        var result = stored
        result.replace("Vary", VaryField.adding("Accept-Encoding", to: stored.value("vary").map { Array($0) }))
        guard let coding = AcceptedCoding.best(exchange.request.head.list(.acceptEncoding)) else { return result }
        result.coding = Array(coding.rawValue.utf8)
        if case .answer(let known) = cache.record(AnswerCache.codedKey(exchange.cacheKey, result), id, nowMs) {
            return known
        }
        let level = levels.choose(coding, bytes: stored.body.count, budgetMs: rules.budgetMs)
        guard let encoder = BodyEncoder(coding, level: level, sizeHint: stored.body.count) else { return stored }
        let startedNs = MonotonicClock.nowNs
        var body: [UInt8] = []
        guard encoder.add(stored.body.span, .finish, into: &body) else { return stored }
        exchange.codingNs = MonotonicClock.nowNs - startedNs
        levels.took(coding, level: level, bytes: stored.body.count, ns: exchange.codingNs)
        metrics.compressed.with([coding.rawValue]).add()
        metrics.compressionPlain.add(stored.body.count)
        metrics.compressionCoded.add(body.count)
        metrics.compressionTime.observe(Double(exchange.codingNs) / 1e9)
        result.body = body
        result.replace("Content-Encoding", result.coding)
        result.remove("Accept-Ranges")
        if !stored.etag.isEmpty { result.replace("ETag", EntityTags.weak(stored.etag[...])) }
        cache.keepCoded(result, exchange.cacheKey, exchange.primary, in: id, wallMs: wallMs, nowMs: nowMs)
        return result
    }

    struct KeptAnswer {
        let status: Int
        /// Up to, and without, what tells the ends.
        let head: [UInt8]
        /// Of the stored body, what is sent.
        let body: Range<Int>
        /// For `Content-Length`.
        let length: Int
    }

    func answer(_ stored: StoredAnswer, _ exchange: Exchange) -> KeptAnswer {
        let isNotModified = CachePolicy.isNotModified(stored, for: exchange.request)
        let part = isNotModified ? CachePolicy.Part.whole : CachePolicy.part(stored, for: exchange.request)
        var status = isNotModified ? 304 : stored.status
        var body = isNotModified || exchange.isHead ? 0..<0 : 0..<stored.body.count
        var length = stored.body.count
        var extra: [UInt8] = []
        switch part {
        case .whole: break
        case .range(let range):
            (status, body, length) = (206, range, range.count)
            extra.append(
                field: "Content-Range",
                Array("bytes \(range.lowerBound)-\(range.upperBound - 1)/\(stored.body.count)".utf8))
        case .unsatisfiable:
            (status, body, length) = (416, 0..<0, 0)
            extra.append(field: "Content-Range", Array("bytes */\(stored.body.count)".utf8))
        }
        var head: [UInt8] = []
        head.reserveCapacity(stored.fields.count + 200)
        head.append(contentsOf: "HTTP/1.1 ".utf8)
        head.append(decimal: status)
        head.append(0x20)
        head.append(contentsOf: StatusPhrase.text(status).utf8)
        head.append(contentsOf: "\r\n".utf8)
        if isNotModified {
            for line in FieldLines.split(stored.fields) {
                switch FieldName(stored.fields.span.extracting(line.name)) {
                case .cacheControl, .contentLocation, .date, .etag, .expires, .vary, .cdnCacheControl, .lastModified:
                    head.append(contentsOf: stored.fields[line.whole])
                default: break
                }
            }
        } else {
            head.append(contentsOf: stored.fields)
        }
        head.append(field: "Age", number: stored.age(nowMs: wallMs))
        head.append(contentsOf: extra)
        head.append(contentsOf: exchange.extra)
        head.append(contentsOf: lines(exchange))
        return KeptAnswer(status: status, head: head, body: body, length: length)
    }
}

extension StoredAnswer {
    mutating func remove(_ name: String) {
        let word = Array(name.lowercased().utf8)
        var lines: [UInt8] = []
        for line in FieldLines.split(fields) where !fields.span.extracting(line.name).isSameWord(as: word) {
            lines.append(contentsOf: fields[line.whole])
        }
        fields = lines
    }

    mutating func replace(_ name: String, _ value: [UInt8]) {
        remove(name)
        fields.append(field: name, value)
    }
}

extension Exchange {
    /// Whether the service is asked whether what is kept is still good.
    var asksAboutStored: Bool { request.method == .get && stored?.canBeValidated == true && !request.head.has(.range) }
}

extension RequestWriter {
    /// Asks about what is kept, in place of the client's own conditions.
    mutating func ask(about stored: StoredAnswer?) {
        guard let stored, request.method == .get, stored.canBeValidated, !request.head.has(.range) else { return }
        dropsConditions = true
        if !stored.etag.isEmpty { conditions.append(("If-None-Match", stored.etag)) }
        if let modified = stored.lastModified { conditions.append(("If-Modified-Since", HTTPDate.text(modified))) }
    }
}

/// Asks the service, for nobody in particular, about an answer whose time is over while it is still served. Only for the
/// loop's thread.
final class CacheRefresh: FetchOwner {
    private let stored: StoredAnswer
    private let exchange: Exchange
    private let rules: AnswerCacheRules
    private unowned let relay: Relay
    private let cache: AnswerCache
    private let flight: AnswerCache.Flight
    private let id: CacheClass.ID
    private var fetch: Fetch?
    private var fill: CacheFill?
    private let askedMs: Int

    init(
        _ stored: StoredAnswer, _ exchange: Exchange, _ rules: AnswerCacheRules, _ relay: Relay, _ cache: AnswerCache,
        _ flight: AnswerCache.Flight, _ id: CacheClass.ID
    ) {
        (self.stored, self.exchange, self.rules, self.relay) = (stored, exchange, rules, relay)
        (self.cache, self.flight, self.id, askedMs) = (cache, flight, id, relay.wallMs)
    }

    func start() {
        guard let facts = exchange.facts else { return end() }
        var writer = RequestWriter(request: exchange.request, facts: facts, ids: relay.freshIDs())
        (writer.method, writer.dropsRange, writer.dropsConditions) = (.get, true, true)
        writer.identityNames = relay.identityNames
        if let claims = exchange.claims, let token = exchange.route.rules.token {
            writer.identity = token.identity(claims)
        }
        if !stored.etag.isEmpty { writer.conditions.append(("If-None-Match", stored.etag)) }
        if let modified = stored.lastModified {
            writer.conditions.append(("If-Modified-Since", HTTPDate.text(modified)))
        }
        var head: [UInt8] = []
        writer.write(into: &head)
        let fetch = Fetch(
            relay, exchange.route.pool, head: head, method: .get, framing: .none, mayRepeat: true,
            timing: exchange.route.rules.timing, owner: self)
        self.fetch = fetch
        fetch.finishBody(trailers: [])
        fetch.start()
    }

    func check() { fetch?.checkDeadline(nowMs: relay.loop.nowMs) }

    private func end() {
        if let fill { cache.forget(fill) }
        fill = nil
        relay.refreshes[ObjectIdentifier(self)] = nil
        relay.loop.after(milliseconds: 0) { [cache, flight] in cache.end(flight) }
    }

    func fetchBegan(_ head: ResponseHead) {
        let request = exchange.request
        if head.status == 304 {
            let fresh = CachePolicy.updated(stored, by: head, rules, askedMs: askedMs, nowMs: relay.wallMs)
            cache.keep(fresh, for: request, exchange.primary, in: id, rules, wallMs: relay.wallMs, nowMs: relay.nowMs)
            relay.metrics.cacheValidated.add()
            return
        }
        // A service that fails takes nothing away that may still be served.
        guard head.status < 500 else { return }
        switch CachePolicy.store(head, to: request, rules, askedMs: askedMs, nowMs: relay.wallMs) {
        case .success(let stored):
            let fill = CacheFill(stored, request, exchange.primary, in: id, rules, most: cache.mostBodyBytes)
            self.fill = fill
            cache.begin(fill)
        case .failure: cache.purge(url: exchange.primary)
        }
    }

    func fetchReceived(_ bytes: Span<UInt8>) { fill?.add(bytes) }

    func fetchEnded(trailers: [UInt8]) {
        if let fill, !fill.isWorthless {
            cache.keep(
                fill.stored, for: fill.request, fill.primary, in: id, rules, wallMs: relay.wallMs, nowMs: relay.nowMs)
            relay.metrics.cacheStored.add()
        }
        end()
    }

    func fetchFailed(_ failure: FetchFailure) { end() }
    func fetchTold(_ head: ResponseHead) {}
    func fetchDrained() {}
    func fetchSwitched(_ head: ResponseHead, _ connection: StreamConnection) {
        connection.close()
        end()
    }
}
