import Network
import Runtime

/// One client's connection: reads its requests one after the other, and writes their answers in that order. Only for the
/// loop's thread.
final class ClientSession: StreamOwner {
    enum Phase: Equatable {
        /// Between requests, or within a head.
        case head
        /// A request is under way.
        case exchange
        /// Another protocol, which is passed on as it comes.
        case tunnel
        /// The last answer is written; what still comes is thrown away, so that the client gets to read it.
        case lingering
        case closed
    }

    let client: StreamConnection
    let relay: Relay
    /// What its connections are counted by.
    private(set) var network: String
    private(set) var phase = Phase.head
    var exchange: Exchange?
    private var reader: HeadReader
    private var body = BodyReader(.none, MessageLimits())
    private var tunnel: Tunnel?
    /// When a head, or the wait for one, began.
    private var sinceMs: Int
    private var (bodySinceMs, bodyBefore) = (0, 0)
    private var isProcessing = false
    private var isHeldByBody = false
    private var isHeldByOutput = false
    private var isCrowded = false
    private var hasEnded = false
    private var lingerBytes = 0
    /// Since when output waits, and how much had gone by then.
    private var stall: (sinceMs: Int, sentBytes: Int)?
    /// The address that a header of the PROXY protocol gave.
    private(set) var proxied: String?
    private var awaitsProxyHeader: Bool

    private static let holdBytes = 256 << 10
    /// Of requests that came ahead of their turn.
    private static let aheadBytes = 64 << 10
    private static let mostLingerBytes = 1 << 20
    private static let lingerMs = 2000

    init(_ client: StreamConnection, _ relay: Relay) {
        self.client = client
        self.relay = relay
        network = client.peer.network
        awaitsProxyHeader = relay.rules.expectsProxyHeader
        reader = HeadReader(relay.limits.message, isRequest: true)
        sinceMs = relay.loop.nowMs
    }

    // MARK: The connection

    func received(_ connection: StreamConnection) {
        switch phase {
        case .head, .exchange: process()
        case .tunnel: tunnel?.fromClient()
        case .lingering: discard()
        case .closed: break
        }
    }

    func ended(_ connection: StreamConnection) {
        hasEnded = true
        switch phase {
        case .tunnel: tunnel?.clientEnded()
        case .lingering, .closed: client.close()
        case .head:
            process()
            // What is not a whole head by now will never be one.
            if phase == .head { client.closeWhenSent() }
        case .exchange:
            guard let exchange else { return client.close() }
            if !body.isDone {
                exchange.fetch?.cancel()
                client.close()
            } else {
                relay.clientEnded(self)
            }
        }
    }

    func drained(_ connection: StreamConnection) {
        if phase == .tunnel { tunnel?.clientDrained() }
        guard isHeldByOutput else { return }
        isHeldByOutput = false
        exchange?.fetch?.resume()
        process()
    }

    func closed(_ connection: StreamConnection) {
        phase = .closed
        tunnel?.clientClosed()
        tunnel = nil
        if let exchange {
            exchange.fetch?.cancel()
            finishTelling(exchange, wasCut: true)
        }
        exchange = nil
        relay.forget(self)
    }

    // MARK: Requests

    /// Goes as far as what has come allows.
    func process() {
        guard !isProcessing else { return }
        isProcessing = true
        defer { isProcessing = false }
        var isGoing = true
        while isGoing, !isHeldByOutput {
            isGoing = false
            switch phase {
            case .head:
                client.takeInput { input in
                    guard !input.isEmpty else { return 0 }
                    let taken = awaitsProxyHeader ? readProxyHeader(input) : readHead(input)
                    isGoing = taken > 0
                    return taken
                }
            case .exchange:
                guard !isHeldByBody else { break }
                client.takeInput { input in
                    guard let exchange else { return 0 }
                    // A request that waits costs its head: its body stays where it is.
                    guard !body.isDone, exchange.fetch != nil || exchange.hasBegun else {
                        holdCrowd(input.count)
                        return 0
                    }
                    let taken = readBody(input, exchange)
                    isGoing = taken > 0 && phase == .head
                    return taken
                }
                if phase == .head { isGoing = true }
            default: break
            }
        }
    }

    /// - Returns: the bytes that it took.
    private func readProxyHeader(_ input: Span<UInt8>) -> Int {
        switch ProxyHeader.read(input) {
        case .needsMore: return 0
        case .failed:
            relay.noteMalformed(.proxyHeader, self)
            client.close()
            return 0
        case .done(let length, let address):
            awaitsProxyHeader = false
            if let address {
                proxied = address
                let peer = StreamPeer.internet(host: address, port: 0, isLoopback: false)
                guard relay.recount(self, from: network, to: peer.network) else { return length }
                network = peer.network
            }
            return length
        }
    }

    /// Requests that come ahead of their turn wait in the kernel, but for the first.
    private func holdCrowd(_ count: Int) {
        guard count >= Self.aheadBytes, !isCrowded else { return }
        isCrowded = true
        client.pause()
    }

    /// - Returns: the bytes that it took.
    private func readHead(_ input: Span<UInt8>) -> Int {
        if !reader.hasBegun { sinceMs = relay.loop.nowMs }
        switch reader.read(input) {
        case .needsMore: return 0
        case .failed(let fault):
            refuse(fault)
            return input.count
        case .done(let length):
            switch RequestHead.understand(input, length: length, reader) {
            case .failure(let fault):
                refuse(fault)
                return input.count
            case .success(let request):
                reader.reset()
                begin(request)
                return length
            }
        }
    }

    private func begin(_ request: RequestHead) {
        phase = .exchange
        body = BodyReader(request.framing, relay.limits.message)
        (bodySinceMs, bodyBefore) = (relay.loop.nowMs, 0)
        relay.metrics.inFlight.move(by: 1)
        relay.begin(request, self)
    }

    /// - Returns: the bytes that it took.
    private func readBody(_ input: Span<UInt8>, _ exchange: Exchange) -> Int {
        var place = 0
        while phase == .exchange {
            switch body.next(input, from: place) {
            case .data(let range, let next):
                place = next
                exchange.received += range.count
                guard exchange.received <= exchange.route.rules.bodyLimit(relay.limits) else {
                    refuse(.bodyTooLong)
                    return input.count
                }
                if let refusal = relay.check(input.extracting(range), of: exchange) {
                    refuseBody(refusal)
                    return input.count
                }
                // An answer that is whole already needs no more of the question.
                guard let fetch = exchange.fetch, !fetch.isOver else { continue }
                if !fetch.send(input.extracting(range)) {
                    if body.isDone { fetch.finishBody(trailers: []) }
                    isHeldByBody = true
                    client.pause()
                    return place
                }
            case .needsMore(let from): return from
            case .failed(let fault):
                refuse(fault)
                return input.count
            case .end(let at):
                exchange.fetch?.finishBody(trailers: body.trailers)
                if exchange.isAnswered { next() }
                return at
            }
        }
        return place
    }

    /// The request may go on to the service.
    func ask(_ fetch: Fetch, _ exchange: Exchange) {
        exchange.fetch = fetch
        if body.isDone { fetch.finishBody(trailers: body.trailers) }
        fetch.start()
        if !body.isDone { process() }
    }

    var bodyIsDone: Bool { body.isDone }

    // MARK: Answers

    /// The gateway answers itself, in place of the service.
    func answer(_ refusal: Refusal, _ exchange: Exchange) {
        guard phase == .exchange, self.exchange === exchange else { return }
        guard !exchange.hasBegun else { return cut() }
        exchange.refusal = refusal.reason
        relay.metrics.refused.with([refusal.reason.rawValue]).add()
        // A body that nobody reads would be taken for the next request.
        if !body.isDone { exchange.keepsAlive = false }
        (exchange.status, exchange.hasBegun, exchange.mode) = (refusal.status, true, .length)
        var refusal = refusal
        refusal.lines = exchange.extra + relay.lines(exchange)
        client.send { $0.append(refusal, isHead: exchange.isHead, keepsAlive: exchange.keepsAlive, relay.date) }
        answered(exchange)
    }

    /// What was sent last of the answer was all of it.
    func answered(_ exchange: Exchange) {
        guard !exchange.isAnswered else { return }
        exchange.isAnswered = true
        if let fetch = exchange.fetch, !fetch.isOver { fetch.cancel() }
        guard body.isDone, exchange.keepsAlive else { return end() }
        next()
    }

    /// Ready for the next request.
    private func next() {
        guard let exchange, phase == .exchange else { return }
        finishTelling(exchange, wasCut: false)
        self.exchange = nil
        guard exchange.keepsAlive else { return linger() }
        phase = .head
        sinceMs = relay.loop.nowMs
        isHeldByBody = false
        isCrowded = false
        client.resume()
        holdOutput()
        if !isProcessing { process() }
        if phase == .head, hasEnded { client.closeWhenSent() }
    }

    private func end() {
        guard let exchange else { return }
        finishTelling(exchange, wasCut: false)
        self.exchange = nil
        linger()
    }

    /// The answer cannot be finished: only the end of the connection tells the client so.
    func cut() {
        exchange?.fetch?.cancel()
        client.close()
    }

    /// Asks no more of whoever produces the answer while the client does not read.
    func holdOutput() {
        guard client.unsentBytes >= Self.holdBytes, !isHeldByOutput else { return }
        isHeldByOutput = true
        client.tellWhenDrained()
        exchange?.fetch?.pause()
    }

    func bodyDrained() {
        guard isHeldByBody else { return }
        isHeldByBody = false
        client.resume()
        process()
    }

    // MARK: Refusing

    private func refuse(_ fault: HTTPFault) {
        relay.noteMalformed(fault, self)
        if let exchange {
            refuseBody(Refusal(fault.status, fault == .bodyTooLong ? .bodyTooLong : .malformed, fault.explanation))
            if self.exchange === exchange { cut() }
            return
        }
        relay.metrics.refused.with([Refusal.Reason.malformed.rawValue]).add()
        let refusal = Refusal(fault.status, .malformed, fault.explanation)
        client.send { $0.append(refusal, isHead: false, keepsAlive: false, relay.date) }
        linger()
    }

    /// Within the body: the service is told nothing more, and the connection ends.
    private func refuseBody(_ refusal: Refusal) {
        guard let exchange else { return }
        exchange.keepsAlive = false
        exchange.fetch?.cancel()
        answer(refusal, exchange)
    }

    /// Closes, but reads for a while what still comes: the client would otherwise lose the answer with a reset.
    private func linger() {
        guard phase != .closed else { return }
        phase = .lingering
        (sinceMs, exchange) = (relay.loop.nowMs, nil)
        guard !hasEnded else { return client.closeWhenSent() }
        client.resume()
        client.finishWhenSent()
        discard()
    }

    private func discard() {
        guard !isProcessing else { return }
        client.takeInput { input in
            lingerBytes += input.count
            return input.count
        }
        if lingerBytes > Self.mostLingerBytes { client.close() }
    }

    // MARK: Tunnels

    func switchProtocols(_ head: ResponseHead, _ upstream: StreamConnection, _ exchange: Exchange) {
        exchange.status = 101
        exchange.hasBegun = true
        client.send { $0.append(answer: head, AnswerShape(mode: .none, keepsAlive: true, isUpgrade: true), relay.date) }
        finishTelling(exchange, wasCut: false)
        self.exchange = nil
        phase = .tunnel
        client.resume()
        let tunnel = Tunnel(client: client, upstream: upstream, on: relay.loop)
        self.tunnel = tunnel
        tunnel.start()
    }

    // MARK: Time

    /// To be called a few times a second.
    func check(nowMs: Int) {
        let limits = relay.limits
        checkStall(nowMs: nowMs, limits)
        switch phase {
        case .head:
            if reader.hasBegun {
                guard nowMs - sinceMs >= limits.headTimeout.milliseconds else { return }
                relay.metrics.clientsClosed.with([CloseReason.slowHead.rawValue]).add()
                let refusal = Refusal(408, .malformed, "the head of the request did not come in time")
                client.send { $0.append(refusal, isHead: false, keepsAlive: false, relay.date) }
                linger()
            } else if nowMs - sinceMs >= limits.idle.milliseconds || relay.isDraining {
                relay.metrics.clientsClosed.with([(relay.isDraining ? CloseReason.draining : .idle).rawValue]).add()
                client.closeWhenSent()
            }
        case .exchange:
            exchange?.fetch?.checkDeadline(nowMs: nowMs)
            guard let exchange, !body.isDone, !exchange.hasBegun else { return }
            // A body that is held back is not slow: its clock begins anew.
            guard !isHeldByBody else {
                (bodySinceMs, bodyBefore) = (nowMs, exchange.received)
                return
            }
            let elapsedMs = nowMs - bodySinceMs
            guard elapsedMs >= 10_000,
                exchange.received - bodyBefore < (elapsedMs - 10_000) / 1000 * limits.bodyRate + 1
            else {
                return
            }
            relay.metrics.clientsClosed.with([CloseReason.slowBody.rawValue]).add()
            refuseBody(Refusal(408, .malformed, "the body of the request comes too slowly"))
        case .tunnel: if tunnel?.isOver == true { client.close() }
        case .lingering: if nowMs - sinceMs >= Self.lingerMs { client.close() }
        case .closed: break
        }
    }

    private func checkStall(nowMs: Int, _ limits: ClientLimits) {
        guard client.unsentBytes > 0 else {
            stall = nil
            return
        }
        guard let known = stall, client.sentBytes == known.sentBytes else {
            stall = (nowMs, client.sentBytes)
            return
        }
        guard nowMs - known.sinceMs >= limits.writeStall.milliseconds else { return }
        relay.metrics.clientsClosed.with([CloseReason.writeStall.rawValue]).add()
        client.close()
    }

    private func finishTelling(_ exchange: Exchange, wasCut: Bool) {
        relay.metrics.inFlight.move(by: -1)
        relay.tell(exchange, wasCut: wasCut)
    }
}

// MARK: - What the service answers

extension ClientSession: FetchOwner {
    func fetchTold(_ head: ResponseHead) {
        guard let exchange, !exchange.hasBegun, exchange.request.isHTTP11 else { return }
        // 100 only for who waits for it.
        guard head.status == 103 || head.status == 100 && exchange.request.expectsContinue && !bodyIsDone else {
            return
        }
        client.send { $0.append(answer: head, AnswerShape(mode: .none, keepsAlive: true, isInterim: true), relay.date) }
    }

    func fetchBegan(_ head: ResponseHead) {
        guard let exchange else { return }
        relay.began(head, exchange)
        // What is kept is served in its place, once it is whole.
        guard exchange.replacement == nil else { return }
        exchange.status = head.status
        exchange.hasBegun = true
        exchange.mode = mode(of: head, exchange)
        var shape = AnswerShape(mode: exchange.mode, length: head.length, keepsAlive: false)
        relay.compress(head, exchange, &shape)
        exchange.mode = shape.mode
        // The rest of the body may never come.
        if !bodyIsDone || exchange.mode == .untilClose || relay.isDraining { exchange.keepsAlive = false }
        (shape.keepsAlive, shape.isHTTP10) = (exchange.keepsAlive, !exchange.request.isHTTP11)
        shape.extra += exchange.extra + relay.lines(exchange)
        client.send { $0.append(answer: head, shape, relay.date) }
    }

    private func mode(of head: ResponseHead, _ exchange: Exchange) -> Exchange.BodyMode {
        switch head.framing {
        case .none: .none
        case .length: .length
        case .chunked, .untilClose: exchange.request.isHTTP11 ? .chunked : .untilClose
        }
    }

    func fetchReceived(_ bytes: Span<UInt8>) {
        guard let exchange, exchange.replacement == nil, !bytes.isEmpty else { return }
        exchange.fill?.add(bytes)
        guard exchange.encoder == nil else { return sendCoded(bytes, .none, exchange) }
        exchange.sent += bytes.count
        if exchange.mode == .chunked {
            client.send { $0.append(chunk: bytes) }
        } else {
            client.send(bytes)
        }
        holdOutput()
    }

    private func sendCoded(_ bytes: Span<UInt8>, _ ending: BodyEncoder.Ending, _ exchange: Exchange) {
        guard let coded = relay.code(bytes, ending, exchange) else { return cut() }
        guard !coded.isEmpty else { return }
        exchange.sent += coded.count
        client.send {
            if exchange.mode == .chunked { $0.append(chunk: coded.span) } else { $0.append(contentsOf: coded) }
        }
        holdOutput()
    }

    func fetchEnded(trailers: [UInt8]) {
        guard let exchange else { return }
        relay.ended(exchange)
        if let replacement = exchange.replacement { return serve(replacement, exchange) }
        if exchange.encoder != nil { sendCoded(Span(), .finish, exchange) }
        guard self.exchange === exchange else { return }
        if exchange.mode == .chunked { client.send { $0.append(lastChunkWith: trailers) } }
        answered(exchange)
    }

    /// Answers with what is kept.
    func serve(_ stored: StoredAnswer, _ exchange: Exchange) {
        guard phase == .exchange, self.exchange === exchange, !exchange.hasBegun else { return }
        if !body.isDone { exchange.keepsAlive = false }
        exchange.hasBegun = true
        let answer = relay.answer(stored, exchange)
        (exchange.status, exchange.sent) = (answer.status, answer.body.count)
        client.send { output in
            output.append(contentsOf: answer.head)
            output.append(
                framing: AnswerShape(
                    mode: answer.status == 304 ? .none : .length, length: answer.status == 304 ? nil : answer.length,
                    keepsAlive: exchange.keepsAlive, isHTTP10: !exchange.request.isHTTP11), status: answer.status)
            output.append(contentsOf: "\r\n".utf8)
            output.append(contentsOf: stored.body[answer.body])
        }
        holdOutput()
        answered(exchange)
    }

    func fetchFailed(_ failure: FetchFailure) {
        guard let exchange else { return }
        relay.fetchFailed(failure, self, exchange)
    }

    func fetchDrained() { bodyDrained() }

    func fetchSwitched(_ head: ResponseHead, _ connection: StreamConnection) {
        guard let exchange, exchange.request.wantsWebSocket, phase == .exchange else {
            connection.close()
            if let exchange { relay.fetchFailed(.unclear, self, exchange) }
            return
        }
        switchProtocols(head, connection, exchange)
    }
}
