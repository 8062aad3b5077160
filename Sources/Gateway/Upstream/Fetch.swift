import Network
import Runtime

/// Whoever asked the service for something. Called on the loop's thread.
protocol FetchOwner: AnyObject {
    /// An answer ahead of the answer: 100 and 103.
    func fetchTold(_ head: ResponseHead)
    func fetchBegan(_ head: ResponseHead)
    func fetchReceived(_ bytes: Span<UInt8>)
    /// The answer is whole.
    func fetchEnded(trailers: [UInt8])
    /// There will be no answer, or no more of it. The last call.
    func fetchFailed(_ failure: FetchFailure)
    /// More of the request's body can be taken.
    func fetchDrained()
    /// The service speaks another protocol from here on, over a connection that is the owner's now.
    func fetchSwitched(_ head: ResponseHead, _ connection: StreamConnection)
}

/// Why the service did not answer.
enum FetchFailure: String, Error, CaseIterable, Sendable {
    /// No instance takes connections.
    case unreachable
    /// It did not begin to answer in time, or went quiet in the middle.
    case timedOut = "timed_out"
    /// It closed the connection instead of answering, or in the middle of the answer.
    case closed
    /// It answered what cannot be understood.
    case unclear
    /// TLS failed.
    case tls

    var status: Int { self == .timedOut ? 504 : 502 }
}

/// One request to the service, from choosing an instance to the last byte of the answer. Only for the loop's thread.
///
/// Where nothing of the request can have arrived, it is sent again elsewhere or a little later, so that a service that is
/// being restarted loses none. Where it may have arrived, it is repeated only if it may be, and if the budget allows it.
final class Fetch {
    struct Timing {
        /// How long instances that take no connections are waited for.
        var patienceMs = 5000
        /// Until the head of the answer, and between two pieces of it.
        var answerMs = 60_000
        var connectMs = 3000
    }

    private enum State {
        case idle
        /// No instance takes connections now.
        case waiting
        case asked
        /// The head of the answer is known.
        case answering
        case over
    }

    private let relay: Relay
    private let pool: UpstreamPool
    private let head: [UInt8]
    private let method: Method
    private let framing: Framing
    private let mayRepeat: Bool
    private let timing: Timing
    private weak var owner: (any FetchOwner)?
    private(set) var connection: UpstreamConnection?
    private var lastTried: Upstream?
    private var state = State.idle
    private var isReused = false
    /// What of the body was handed over, as long as it may have to be sent again. Nil once that is too much.
    private var replay: [UInt8]? = []
    private var bodyIsOver = false
    private var bodyTrailers: [UInt8] = []
    private var reader: HeadReader
    private var body: BodyReader?
    private var answerKeepsAlive = false
    private var interims = 0
    private var repeats = 0
    private var giveUpMs: Int
    private var deadlineMs: Int
    private var hasReceived = false
    /// It asks how an instance does, also one that is left alone.
    var isCheck = false
    private var isPaused = false
    private(set) var startedNs: Int
    /// When the first byte of the answer was there.
    private(set) var answeredNs: Int?

    private static let replayBytes = 64 << 10
    private static let holdBytes = 256 << 10
    private static let mostInterims = 32
    private static let retryPauseMs = 25

    init(
        _ relay: Relay, _ pool: UpstreamPool, head: [UInt8], method: Method, framing: Framing, mayRepeat: Bool,
        timing: Timing, owner: any FetchOwner
    ) {
        self.relay = relay
        self.pool = pool
        self.head = head
        self.method = method
        self.framing = framing
        self.mayRepeat = mayRepeat
        self.timing = timing
        self.owner = owner
        reader = HeadReader(.ofAnswers, isRequest: false)
        let nowMs = relay.loop.nowMs
        (giveUpMs, deadlineMs) = (nowMs + timing.patienceMs, nowMs + timing.connectMs)
        startedNs = relay.loop.nowNs
    }

    /// Whether anything of the answer has come.
    var hasBegun: Bool { hasReceived }
    /// Whether the length of the answer's body is known; nil before its head.
    private(set) var answerHasLength: Bool?
    var isOver: Bool { if case .over = state { true } else { false } }
    var upstream: Upstream? { connection?.upstream ?? lastTried }

    func start() { attempt() }

    // MARK: The request

    /// Passes a piece of the body on.
    ///
    /// - Returns: whether more may follow now; else `fetchDrained` says when.
    func send(_ bytes: Span<UInt8>) -> Bool {
        guard !isOver, !bytes.isEmpty else { return true }
        var holds = false
        if let kept = replay {
            if kept.count + bytes.count > Self.replayBytes, connection?.connection.isReady == true {
                replay = nil
            } else {
                // Beyond the limit it is kept until there is somebody to send it to, and no more is taken until then.
                replay?.append(framed: bytes, framing)
                holds = kept.count + bytes.count > Self.replayBytes
            }
        }
        guard let connection = connection?.connection else { return !holds }
        connection.send { $0.append(framed: bytes, framing) }
        guard holds || connection.unsentBytes >= Self.holdBytes else { return true }
        connection.tellWhenDrained()
        return false
    }

    /// The body is whole.
    ///
    /// - Parameter trailers: lines of fields, for a body in chunks.
    func finishBody(trailers: [UInt8]) {
        guard !bodyIsOver, !isOver else { return }
        (bodyIsOver, bodyTrailers) = (true, trailers)
        if framing == .chunked { connection?.connection.send { $0.append(lastChunkWith: trailers) } }
    }

    /// Nobody wants the answer any more.
    func cancel() {
        guard !isOver else { return }
        let connection = connection?.connection
        end()
        connection?.close()
    }

    /// Reads no more of the answer until `resume`.
    func pause() {
        isPaused = true
        connection?.connection.pause()
    }

    func resume() {
        guard isPaused else { return }
        isPaused = false
        connection?.connection.resume()
    }

    // MARK: Finding an instance

    private func attempt() {
        guard !isOver else { return }
        let nowMs = relay.loop.nowMs
        guard let upstream = isCheck ? pool.upstreams.first : pool.pick(nowMs: nowMs, avoiding: lastTried) else {
            return waitForInstance()
        }
        let kept = isCheck ? nil : upstream.takeIdle()
        guard let next = kept ?? upstream.connect() else {
            noteFailure(upstream, "it cannot be connected to")
            lastTried = upstream
            return waitForInstance()
        }
        (isReused, lastTried) = (kept != nil, upstream)
        ask(next)
    }

    private func waitForInstance() {
        guard relay.loop.nowMs < giveUpMs else { return fail(.unreachable) }
        state = .waiting
        relay.loop.after(milliseconds: Self.retryPauseMs) { [weak self] in
            guard let self, case .waiting = state else { return }
            attempt()
        }
    }

    private func ask(_ next: UpstreamConnection) {
        state = .asked
        connection = next
        next.fetch = self
        next.upstream.begin()
        reader.reset()
        (body, hasReceived) = (nil, false)
        deadlineMs = relay.loop.nowMs + (next.connection.isReady ? timing.answerMs : timing.connectMs)
        next.connection.send {
            $0.append(contentsOf: head)
            if let replay { $0.append(contentsOf: replay) }
            if bodyIsOver, framing == .chunked { $0.append(lastChunkWith: bodyTrailers) }
        }
        if !next.connection.isReady || (replay?.count ?? 0) >= Self.replayBytes { next.connection.tellWhenDrained() }
    }

    func upstreamDrained() {
        if case .asked = state, !hasReceived { deadlineMs = relay.loop.nowMs + timing.answerMs }
        owner?.fetchDrained()
    }

    // MARK: The answer

    func received() {
        guard let connection = connection?.connection else { return }
        if !hasReceived {
            hasReceived = true
            answeredNs = relay.loop.nowNs
        }
        deadlineMs = relay.loop.nowMs + timing.answerMs
        connection.takeInput { input in
            var place = 0
            while !isOver {
                guard body != nil else {
                    let length = readHead(input.extracting(place..<input.count))
                    guard length > 0 else { break }
                    place += length
                    continue
                }
                switch body?.next(input, from: place) {
                case .data(let range, let next):
                    owner?.fetchReceived(input.extracting(range))
                    place = next
                case .needsMore(let from): return from
                case .failed(let fault): unclear(fault)
                case .end(let at):
                    place = at
                    complete(isFollowed: at < input.count)
                case nil: return place
                }
            }
            return place
        }
    }

    /// - Returns: the bytes it took; 0 for none yet, or when it failed.
    private func readHead(_ input: Span<UInt8>) -> Int {
        switch reader.read(input) {
        case .needsMore: return 0
        case .failed(let fault):
            unclear(fault)
            return 0
        case .done(let length):
            switch ResponseHead.understand(input, length: length, reader, to: method) {
            case .failure(let fault):
                unclear(fault)
                return 0
            case .success(let head):
                reader.reset()
                begin(head)
                return length
            }
        }
    }

    private func begin(_ head: ResponseHead) {
        if head.isInterim {
            interims += 1
            guard interims <= Self.mostInterims else { return unclear(.tooManyInterims) }
            owner?.fetchTold(head)
            return
        }
        guard head.status != 101 else { return switchProtocols(head) }
        state = .answering
        body = BodyReader(head.framing, .ofAnswers)
        answerKeepsAlive = head.keepsAlive
        answerHasLength = head.length != nil
        if !isCheck { upstream?.answered() }
        owner?.fetchBegan(head)
    }

    private func switchProtocols(_ head: ResponseHead) {
        guard let taken = connection, let owner else { return unclear(.unwantedUpgrade) }
        upstream?.answered()
        end()
        // It is counted no more, and is nobody's until the owner has taken it.
        taken.upstream.connectionClosed()
        taken.connection.owner = nil
        owner.fetchSwitched(head, taken.connection)
    }

    private func complete(isFollowed: Bool) {
        let trailers = body?.trailers ?? []
        let isReusable = answerKeepsAlive && bodyIsOver && !isFollowed
        let (owner, taken) = (owner, connection)
        resume()
        end()
        if let taken, taken.connection.isOpen {
            if isReusable { taken.upstream.keep(taken) } else { taken.connection.close() }
        }
        owner?.fetchEnded(trailers: trailers)
    }

    func upstreamEnded() {
        guard body?.inputEnded() == true else {
            connection?.connection.close()
            return
        }
        answerKeepsAlive = false
        complete(isFollowed: false)
    }

    // MARK: When it fails

    private func unclear(_ fault: HTTPFault) {
        relay.metrics.unclearAnswers.with([fault.rawValue]).add()
        relay.warn(
            "answer of the service is not clear",
            ["upstream": "\(upstream.map { "\($0.address)" } ?? "")", "fault": fault.explanation])
        fail(.unclear)
    }

    func upstreamClosed(_ failure: StreamFailure?) {
        guard !isOver, let taken = connection else { return }
        taken.upstream.end()
        let hasSent = isReused || taken.connection.hasSent
        (connection, lastTried) = (nil, taken.upstream)
        taken.fetch = nil
        if case .answering = state { return fail(.closed) }
        if !isReused { noteFailure(taken.upstream, failure.map { "\($0)" } ?? "it closed the connection") }
        if !hasSent, replay != nil {
            if case .handshake = failure { return fail(.tls) }
            relay.metrics.retries.with(["connect"]).add()
            return waitForInstance()
        }
        guard !hasReceived, replay != nil, mayRepeat, repeats < 2, relay.retryBudget.mayRepeat() else {
            return fail(.closed)
        }
        repeats += 1
        relay.metrics.retries.with([isReused ? "stale_connection" : "closed"]).add()
        // What had been sent was lost with an instance that went: others of its connections may be as old.
        if isReused { taken.upstream.lostIdle() }
        attempt()
    }

    /// To be called now and then.
    func checkDeadline(nowMs: Int) {
        guard nowMs >= deadlineMs, !isPaused, let connection else { return }
        if case .asked = state, !connection.connection.isReady {
            // As if it had been refused.
            connection.connection.close()
            return
        }
        noteFailure(connection.upstream, "it did not answer in time")
        fail(.timedOut)
    }

    private func noteFailure(_ upstream: Upstream, _ reason: String) {
        // A check counts its failures itself.
        if !isCheck { upstream.failed(reason) }
    }

    private func fail(_ failure: FetchFailure) {
        guard !isOver else { return }
        let (owner, taken) = (owner, connection)
        end()
        taken?.connection.close()
        relay.metrics.upstreamFailures.with([failure.rawValue]).add()
        owner?.fetchFailed(failure)
    }

    private func end() {
        state = .over
        guard let taken = connection else { return }
        taken.upstream.end()
        taken.fetch = nil
        lastTried = taken.upstream
        connection = nil
    }
}

extension Array where Element == UInt8 {
    /// A piece of a body, as a chunk where the body goes in chunks.
    mutating func append(framed bytes: Span<UInt8>, _ framing: Framing) {
        guard framing == .chunked else { return append(bytes: bytes) }
        append(chunk: bytes)
    }

    /// One chunk, of one byte at least.
    mutating func append(chunk bytes: Span<UInt8>) {
        append(hexadecimal: bytes.count)
        append(contentsOf: "\r\n".utf8)
        append(bytes: bytes)
        append(contentsOf: "\r\n".utf8)
    }

    mutating func append(lastChunkWith trailers: [UInt8]) {
        append(contentsOf: "0\r\n".utf8)
        append(contentsOf: trailers)
        append(contentsOf: "\r\n".utf8)
    }

    private mutating func append(hexadecimal value: Int) {
        var shift = Swift.max(0, (Int.bitWidth - value.leadingZeroBitCount + 3) / 4 - 1) * 4
        while shift >= 0 {
            let digit = UInt8(truncatingIfNeeded: value >> shift & 15)
            append(digit < 10 ? 0x30 + digit : 0x57 + digit)
            shift -= 4
        }
    }
}
