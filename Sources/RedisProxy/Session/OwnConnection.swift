import Network
import Runtime

/// A client with a connection to Redis of its own for the rest of its life: bytes are passed as they are, and Redis itself
/// answers, to the letter. What the client writes is noticed all the same, so that the local level forgets it.
final class OwnConnection {
    private let client: StreamConnection
    private let relay: Relay
    private let lane: Lane
    private let upstream: Upstream
    /// The client had to say who it is: what would change that, or cannot be understood, ends it.
    private let isGuarded: Bool
    private var reader = CommandReader()
    /// After bytes that are no command, Redis is left to say so.
    private var isOpaque = false
    /// What was written lately. Replies are not told from messages here, so with everything that comes it is dropped anew.
    private var unsettled: [(settlement: Settlement, sentMs: Int)] = []
    private var isCatchingUp = false
    /// Redis has closed the connection while its last words wait for the feed.
    private var isLost = false
    private var hasEnded = false
    /// What was passed on lately, and may not have been carried out yet.
    private var claims: [(claim: WriteScope, sentMs: Int)] = []
    /// What the command at hand has claimed, while it waits for pending writes.
    private var claim: WriteScope?
    private var isFlushing = false
    /// Whose connection it is.
    weak var session: RelaySession?
    /// More of what the client sends can be taken.
    var goOn: (() -> Void)?

    private static let mostUnsentBytes = 1 << 20
    private static let mostUnsettled = 1024
    /// A reply takes no longer than this to come; later changes are told of by the feed alone.
    private static let settlingMs = 5000

    /// - Parameters:
    ///   - upstream: lent by the lane; what others asked there is still answered to them.
    ///   - isGuarded: the client had to say who it is, and stays that.
    init(_ client: StreamConnection, _ relay: Relay, _ lane: Lane, on upstream: Upstream, isGuarded: Bool) {
        self.client = client
        self.isGuarded = isGuarded
        self.relay = relay
        self.lane = lane
        self.upstream = upstream
        upstream.give(to: self)
    }

    /// Passes whole commands.
    ///
    /// - Returns: how many bytes were taken.
    func take(_ input: Span<UInt8>) -> Int {
        var taken = 0
        while !isOpaque, !isFlushing, taken < input.count, upstream.unsentBytes < Self.mostUnsentBytes {
            let rest = input.extracting(droppingFirst: taken)
            let step = reader.next(in: rest)
            guard !isGuarded || isHarmless(step, rest) else {
                client.closeWhenSent()
                return input.count
            }
            switch step {
            case .incomplete: return taken
            case .empty(let length), .inline(let length):
                note(Settlement.caughtUp)
                pass(rest.extracting(first: length))
                taken += length
            case .command(let length):
                guard admit(in: rest) else { return taken }
                note(settlement(in: rest))
                pass(rest.extracting(first: length))
                taken += length
            case .failed: isOpaque = true
            }
        }
        if isOpaque, !isFlushing {
            // Redis may see commands in it where none are seen here.
            note(.everything)
            pass(input.extracting(droppingFirst: taken))
            taken = input.count
        }
        if upstream.unsentBytes >= Self.mostUnsentBytes { client.pause() }
        return taken
    }

    /// Whether a client that had to say who it is stays who it is.
    private func isHarmless(_ step: CommandReader.Step, _ bytes: Span<UInt8>) -> Bool {
        switch step {
        case .incomplete, .empty: return true
        case .command: return !ClientAccess.isAboutAccess(bytes.extracting(reader.arguments[0]))
        case .inline:
            let rewritten = reader.rewritten
            return !ClientAccess.isAboutAccess(rewritten.span.extracting(reader.arguments[0]))
        case .failed: return false
        }
    }

    // MARK: Pending writes

    /// Whether the command can be passed on: not while writes are pending for what it touches.
    private func admit(in bytes: Span<UInt8>) -> Bool {
        guard let gate = relay.gate else { return true }
        if let claim {
            remember(claim, gate)
            return true
        }
        let command = CommandTable.shared.command(reader.arguments, in: bytes)
        let scope = scope(of: command, in: bytes)
        let claim = gate.claim(scope)
        let own = Returning(connection: self)
        let waits = gate.whenFlushed(scope, database: nil, on: relay.loop) { end in own.connection.flushed(end) }
        guard waits else {
            remember(claim, gate)
            return true
        }
        self.claim = claim
        isFlushing = true
        client.pause()
        return false
    }

    /// Which database the client has selected, and what its transaction holds, is not known here.
    private func scope(of command: Command?, in bytes: Span<UInt8>) -> WriteScope {
        guard let command else { return .everything }
        guard command.lane == .transaction, bytes.isWord("exec", reader.arguments[0]) else {
            return WriteScope(command, reader.arguments, in: bytes)
        }
        return .everything
    }

    /// Replies are not told from messages here: after a while, it has been carried out.
    private func remember(_ claim: WriteScope, _ gate: WriteGate) {
        self.claim = nil
        if case .none = claim { return }
        claims.append((claim, relay.loop.nowMs))
        guard claims.count == 1 else { return }
        forgetClaims(gate)
    }

    private func forgetClaims(_ gate: WriteGate) {
        let pastMs = relay.loop.nowMs - Self.settlingMs
        let old = claims.prefix { $0.sentMs <= pastMs }
        for (claim, _) in old { gate.release(claim) }
        claims.removeFirst(old.count)
        guard let next = claims.first else { return }
        relay.loop.after(milliseconds: next.sentMs - pastMs) { [weak self] in self?.forgetClaims(gate) }
    }

    private func flushed(_ end: WriteBehind.FlushEnd) {
        guard !hasEnded else { return }
        isFlushing = false
        // An error would have to find its place among replies that are not told apart here.
        if case .failed = end { return client.closeWhenSent() }
        client.resume()
        goOn?()
    }

    private func releaseClaims() {
        guard let gate = relay.gate else { return }
        for (claim, _) in claims { gate.release(claim) }
        if let claim { gate.release(claim) }
        (claims, claim) = ([], nil)
    }

    /// A connection on its way through another thread, which does not touch it.
    private struct Returning: @unchecked Sendable {
        let connection: OwnConnection
    }

    // MARK: Passing

    private func settlement(in bytes: Span<UInt8>) -> Settlement {
        let command = CommandTable.shared.command(reader.arguments, in: bytes)
        // What a transaction has queued is not remembered here.
        if let command, command.lane == .transaction, command.keys == .none { return .caughtUp }
        return Settlement(command, reader.arguments, in: bytes)
    }

    private func pass(_ bytes: Span<UInt8>) { upstream.pass(bytes) }

    private func note(_ settlement: Settlement) {
        guard let local = relay.reader?.local, !settlement.isNone else { return }
        local.apply(settlement)
        // Those who want no replies would have it grow for ever.
        if unsettled.count >= Self.mostUnsettled { unsettled = [(.caughtUp, relay.loop.nowMs)] }
        unsettled.append((settlement, relay.loop.nowMs))
    }

    /// What Redis says.
    func passed(_ bytes: Span<UInt8>) {
        let mayHoldUnnamed = settle()
        guard mayHoldUnnamed, let feed = upstream.node.feed else { return answer(bytes) }
        isCatchingUp = true
        upstream.pause()
        let copy = bytes.copy(0..<bytes.count)
        feed.whenCaughtUp(on: relay.loop) { [self] in
            isCatchingUp = false
            upstream.resume()
            answer(copy.span)
            if isLost { lost() }
        }
    }

    private func answer(_ bytes: Span<UInt8>) {
        client.send(bytes)
        session?.tellBuffers()
        if client.unsentBytes >= Self.mostUnsentBytes { upstream.pause() }
    }

    /// - Returns: whether keys may have been changed that no command named.
    private func settle() -> Bool {
        guard !unsettled.isEmpty, let local = relay.reader?.local else { return false }
        var mayHoldUnnamed = false
        for (settlement, _) in unsettled {
            local.apply(settlement)
            if case .caughtUp = settlement { mayHoldUnnamed = true }
        }
        let nowMs = relay.loop.nowMs
        unsettled.removeAll { nowMs - $0.sentMs > Self.settlingMs }
        return mayHoldUnnamed
    }

    func upstreamDrained() { if !isFlushing { client.resume() } }
    func clientDrained() { if !isCatchingUp { upstream.resume() } }

    /// The client sends no more: so Redis is told, which answers what it was sent and closes.
    func clientEnded() { upstream.finish() }

    /// Redis does not accept whom the client speaks for; nothing was sent.
    func refused(_ reply: Span<UInt8>) {
        guard !hasEnded else { return }
        client.send(reply)
        client.closeWhenSent()
    }

    /// Redis has closed the connection.
    func lost() {
        guard !hasEnded else { return }
        if isCatchingUp { isLost = true } else { client.closeWhenSent() }
    }

    /// The client has gone.
    func end() {
        hasEnded = true
        releaseClaims()
        lane.discard(upstream)
    }
}
