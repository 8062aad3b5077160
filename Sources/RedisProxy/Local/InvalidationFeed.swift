import Network
import Runtime
import Synchronization

/// The connection on which Redis tells of every change: `CLIENT TRACKING ON REDIRECT <itself> BCAST` and
/// `SUBSCRIBE __redis__:invalidate`, which works in RESP2 and makes one connection the sign of life of the whole local level.
///
/// While it is down, silent or in doubt, nothing is served from the local level; when it is back, the local level begins
/// empty. All but `whenCaughtUp`, `doubt` and `isLive` belongs to the loop's thread.
final class InvalidationFeed: StreamOwner, @unchecked Sendable {
    private enum Phase {
        case down
        /// Waits for the replies to these, and the own number.
        case greeting([Greeting])
        case tracking
        case subscribing
        /// Subscribed; what the proxy's user may do is being learnt until `hasBegun`.
        case live(hasBegun: Bool)
    }

    private let relay: Relay
    private let node: RedisNode
    private let local: LocalLevel
    private let voice: FeedChorus.Voice
    private var connection: StreamConnection?
    private var skimmer = ReplySkimmer()
    private var phase = Phase.down
    private var progress = ReplyProgress(nowMs: 0)
    private var retryMs = InvalidationFeed.firstRetryMs
    /// Numbers the pings; each pong says which.
    private var pings = 0
    private var waiting: [Int: [() -> Void]] = [:]
    /// The ping whose pong ends the doubt.
    private var doubtEnds: Int?
    /// Doubts of any thread that the loop has not taken up yet: no pong to an earlier ping ends them.
    private let newDoubts = Atomic<Int>(0)
    private var hasEnded = false
    private var willRetry = false

    private static let firstRetryMs = 50
    private static let longestRetryMs = 2000
    private static let channel = Array("__redis__:invalidate".utf8)

    /// - Parameter voice: its own; says yes while the feed is alive.
    init(_ relay: Relay, _ node: RedisNode, _ local: LocalLevel, _ voice: FeedChorus.Voice) {
        self.relay = relay
        self.node = node
        self.local = local
        self.voice = voice
    }

    var isLive: Bool { voice.isLive }

    func start() {
        connect()
        beat()
    }

    func end() {
        hasEnded = true
        voice.withdraw()
        connection?.close()
    }

    /// The server is elsewhere now.
    func reconnect() {
        connection?.close()
        retryMs = Self.firstRetryMs
        connect()
    }

    // MARK: For everybody

    /// Calls `body` on the loop once everything has been heard that Redis had told before now. Any thread.
    func whenCaughtUp(on loop: EventLoop, _ body: @escaping () -> Void) {
        let work = Handed(body)
        if loop === relay.loop { return ask { work.body() } }
        relay.loop.post { [self] in ask { loop.post { work.body() } } }
    }

    /// Another connection to the same Redis was lost: perhaps it has been restarted. Nothing is served until the feed has
    /// proved to be alive. Any thread.
    func doubt() {
        newDoubts.add(1, ordering: .sequentiallyConsistent)
        voice.set(false)
        relay.loop.post { [self] in
            newDoubts.subtract(1, ordering: .sequentiallyConsistent)
            if case .live = phase { doubtEnds = ping() }
            speak()
        }
    }

    /// Says what is so. Everything that the voice depends on ends here, so it never stays at what was so once.
    private func speak() {
        guard case .live(hasBegun: true) = phase, doubtEnds == nil else { return voice.set(false) }
        guard newDoubts.load(ordering: .sequentiallyConsistent) == 0 else { return }
        voice.set(true)
        // A doubt of another thread may have come in between, and would be heard before this.
        if newDoubts.load(ordering: .sequentiallyConsistent) > 0 { voice.set(false) }
    }

    // MARK: Connecting

    private func connect() {
        guard !hasEnded, connection == nil else { return }
        guard let fresh = relay.connect(to: node) else { return retry() }
        fresh.owner = self
        (connection, skimmer, progress) = (fresh, ReplySkimmer(), ReplyProgress(nowMs: relay.loop.nowMs))
        let greeting = relay.greeting(for: Identity())
        for one in greeting { fresh.send(one.command.span) }
        fresh.send { $0.append(command: ["CLIENT", "ID"]) }
        phase = .greeting(greeting)
    }

    private func retry() {
        guard !willRetry else { return }
        willRetry = true
        relay.loop.after(milliseconds: retryMs) { [weak self] in
            self?.willRetry = false
            self?.connect()
        }
        retryMs = min(retryMs * 2, Self.longestRetryMs)
    }

    func closed(_ connection: StreamConnection) {
        if case .live = phase { relay.metrics.feedLosses.add() }
        (self.connection, phase, doubtEnds) = (nil, .down, nil)
        speak()
        // Nothing is served now, so those who wait for news have nothing to fear.
        let waiting = waiting
        self.waiting = [:]
        for bodies in waiting.values { for body in bodies { body() } }
        if !hasEnded { retry() }
    }

    func drained(_ connection: StreamConnection) {}

    /// Proves every half second that the connection is alive.
    private func beat() {
        relay.loop.after(milliseconds: 500) { [weak self] in
            guard let self, !hasEnded else { return }
            if let connection {
                if relay.loop.nowMs - progress.lastMs > relay.options.feedTimeoutMs {
                    Log.warn("the connection that tells of changes is silent", ["upstream": "\(node)"])
                    connection.close()
                } else if case .live = phase {
                    _ = ping()
                }
            }
            beat()
        }
    }

    private func ask(_ body: @escaping () -> Void) {
        guard case .live = phase, connection != nil else { return body() }
        waiting[ping(), default: []].append(body)
    }

    private func ping() -> Int {
        pings += 1
        let number = pings
        connection?.send { $0.append(command: ["PING", "\(number)"]) }
        return number
    }

    // MARK: Hearing

    func received(_ connection: StreamConnection) {
        var isBroken = false
        connection.takeInput { input in
            var taken = 0
            progress.sees(input.count, nowMs: relay.loop.nowMs)
            defer { progress.leaves(input.count - taken) }
            while taken < input.count {
                let rest = input.extracting(droppingFirst: taken)
                switch skimmer.next(in: rest) {
                case .incomplete: return taken
                case .failed:
                    isBroken = true
                    return input.count
                case .reply(let reply):
                    taken += reply.length
                    progress.tookReply(nowMs: relay.loop.nowMs)
                    guard hear(rest.extracting(first: reply.length), reply.kind) else {
                        isBroken = true
                        return input.count
                    }
                }
            }
            return taken
        }
        if isBroken { connection.close() }
    }

    /// - Returns: false when the connection is of no use.
    private func hear(_ reply: Span<UInt8>, _ kind: ReplySkimmer.Kind) -> Bool {
        switch phase {
        case .down: return false
        case .greeting(let greeting) where !greeting.isEmpty:
            // With rights that are not the proxy's, nothing may be kept.
            guard !greeting[0].isRefused(by: reply, kind) else { return refused(reply, by: "AUTH") }
            phase = .greeting(Array(greeting.dropFirst()))
        case .greeting:
            guard kind == .integer, let id = reply.strictInteger(in: 1..<reply.count - 2) else {
                return refused(reply, by: "CLIENT ID")
            }
            connection?.send { $0.append(command: ["CLIENT", "TRACKING", "ON", "REDIRECT", "\(id)", "BCAST"]) }
            phase = .tracking
        case .tracking:
            guard kind == .status else { return refused(reply, by: "CLIENT TRACKING") }
            connection?.send { bytes in
                bytes.append(arrayOf: 2)
                bytes.append(bulk: "SUBSCRIBE")
                bytes.append(bulk: Self.channel.span)
            }
            phase = .subscribing
        case .subscribing:
            guard kind == .array else { return refused(reply, by: "SUBSCRIBE") }
            phase = .live(hasBegun: false)
            retryMs = Self.firstRetryMs
            local.invalidateAll()
            relay.metrics.invalidations.flushes.add()
            relay.learnRights(at: node) { [weak self, connection] in
                guard let self, case .live = phase, self.connection === connection else { return }
                begin()
            }
        case .live: return hearMessage(reply, kind)
        }
        return true
    }

    private func begin() {
        phase = .live(hasBegun: true)
        speak()
        if local.freshness.isLive { relay.localLevelBegins() }
        Log.info("the local level of the cache is in use", ["upstream": "\(node)"])
    }

    private func refused(_ reply: Span<UInt8>, by command: String) -> Bool {
        retryMs = Self.longestRetryMs
        Log.error(
            "the local level of the cache stays off: Redis refused \(command)",
            ["reply": String(decoding: reply.copy(0..<min(reply.count, 200)), as: UTF8.self)])
        return false
    }

    private func hearMessage(_ reply: Span<UInt8>, _ kind: ReplySkimmer.Kind) -> Bool {
        guard kind == .array else { return false }
        var parts = ReplyParts(of: reply)
        guard let head = parts.next(in: reply) else { return false }
        if reply.isWord("pong", head) {
            guard let number = parts.next(in: reply).flatMap({ reply.strictInteger(in: $0) }) else { return false }
            return heardPong(number)
        }
        guard reply.isWord("message", head), let channel = parts.next(in: reply),
            reply.extracting(channel).hasSameBytes(as: Self.channel.span)
        else { return false }
        guard var keys = parts.nextArray(in: reply) else {
            relay.metrics.invalidations.flushes.add()
            local.invalidateAll()
            return true
        }
        while let key = keys.next(in: reply) {
            relay.metrics.invalidations.heard.add()
            local.invalidate(reply.extracting(key))
            relay.heardInvalidation(of: reply.extracting(key))
        }
        return true
    }

    private func heardPong(_ number: Int) -> Bool {
        for body in waiting.removeValue(forKey: number) ?? [] { body() }
        if let end = doubtEnds, number >= end {
            doubtEnds = nil
            speak()
        }
        return true
    }
}

/// Work that one thread hands to another, and does not touch afterwards.
private final class Handed: @unchecked Sendable {
    let body: () -> Void
    init(_ body: @escaping () -> Void) { self.body = body }
}
