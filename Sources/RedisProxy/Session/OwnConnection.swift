import Runtime

/// A client with a connection to Redis of its own for the rest of its life: bytes are passed as they are, and Redis itself
/// answers, to the letter. What the client writes is noticed all the same, so that the local level forgets it.
final class OwnConnection {
    private let client: StreamConnection
    private let relay: Relay
    private let lane: Lane
    private let upstream: Upstream
    private var reader = CommandReader()
    /// After bytes that are no command, Redis is left to say so.
    private var isOpaque = false
    /// What was written lately. Replies are not told from messages here, so with everything that comes it is dropped anew.
    private var unsettled: [(settlement: Settlement, sentMs: Int)] = []
    private var isCatchingUp = false
    private var hasEnded = false

    private static let mostUnsentBytes = 1 << 20
    /// A reply takes no longer than this to come; later changes are told of by the feed alone.
    private static let settlingMs = 5000

    /// - Parameters:
    ///   - upstream: lent by the lane; what others asked there is still answered to them.
    ///   - name: that the client has given itself; nil where the connection has it.
    init(_ client: StreamConnection, _ relay: Relay, _ lane: Lane, on upstream: Upstream, name: [UInt8]?) {
        self.client = client
        self.relay = relay
        self.lane = lane
        self.upstream = upstream
        if let name { upstream.setName(name) }
        upstream.give(to: self)
    }

    /// Passes whole commands.
    ///
    /// - Returns: how many bytes were taken.
    func take(_ input: Span<UInt8>) -> Int {
        var taken = 0
        while !isOpaque, taken < input.count, upstream.unsentBytes < Self.mostUnsentBytes {
            let rest = input.extracting(droppingFirst: taken)
            switch reader.next(in: rest) {
            case .incomplete: return taken
            case .empty(let length), .inline(let length):
                note(Settlement.caughtUp)
                pass(rest.extracting(first: length))
                taken += length
            case .command(let length):
                note(settlement(in: rest))
                pass(rest.extracting(first: length))
                taken += length
            case .failed: isOpaque = true
            }
        }
        if isOpaque {
            pass(input.extracting(droppingFirst: taken))
            taken = input.count
        }
        if upstream.unsentBytes >= Self.mostUnsentBytes { client.pause() }
        return taken
    }

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
        unsettled.append((settlement, relay.loop.nowMs))
    }

    /// What Redis says.
    func passed(_ bytes: Span<UInt8>) {
        let mayHoldUnnamed = settle()
        guard mayHoldUnnamed, let feed = upstream.node.feed, feed.isLive else { return answer(bytes) }
        isCatchingUp = true
        upstream.pause()
        let copy = bytes.copy(0..<bytes.count)
        feed.whenCaughtUp(on: relay.loop) { [self] in
            isCatchingUp = false
            upstream.resume()
            answer(copy.span)
        }
    }

    private func answer(_ bytes: Span<UInt8>) {
        client.send(bytes)
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

    func upstreamDrained() { client.resume() }
    func clientDrained() { if !isCatchingUp { upstream.resume() } }

    /// The client sends no more: so Redis is told, which answers what it was sent and closes.
    func clientEnded() { upstream.finish() }

    /// Redis has closed the connection.
    func lost() {
        guard !hasEnded else { return }
        client.closeWhenSent()
    }

    /// The client has gone.
    func end() {
        hasEnded = true
        lane.discard(upstream)
    }
}
