import Runtime

/// One client in front of a Redis.
///
/// Commands that depend on nothing but themselves go over a connection that many clients share, in order, without waiting
/// for one another. With the first command that belongs to a connection (`MULTI`, `SUBSCRIBE`, `BLPOP`, `SELECT`, `HELLO`,
/// anything slow, unknown or malformed) the client gets an upstream connection of its own, and from there on bytes are
/// passed as they are: Redis itself answers, to the letter.
final class RelaySession: StreamOwner {
    private let client: StreamConnection
    private let relay: RedisRelay
    private let shared: SharedUpstream
    private var own: OwnUpstream?
    private var reader = CommandReader()
    /// Commands on the shared connection whose replies have not come.
    private var inFlight = 0
    private var wantsOwn = false
    private var isHeldBack = false

    /// A client that has so many commands under way, or so much unread, is not read from.
    private static let mostInFlight = 1024
    private static let mostUnsentBytes = 1 << 20

    init(_ client: StreamConnection, _ relay: RedisRelay, _ shared: SharedUpstream) {
        self.client = client
        self.relay = relay
        self.shared = shared
    }

    func received(_ connection: StreamConnection) { advance() }
    func drained(_ connection: StreamConnection) {
        own?.clientDrained()
        goOn()
    }

    /// What held the client back may be over.
    func goOn() { if isHeldBack { advance() } }

    func closed(_ connection: StreamConnection) {
        own?.close()
        relay.forget(self)
    }

    // MARK: Asking

    private func advance() {
        if let own {
            return client.takeInput { input in
                own.send(input)
                return input.count
            }
        }
        var isWaiting = false
        client.takeInput { input in
            var taken = 0
            while !wantsOwn, !isWaiting, !mustWait {
                let rest = input.extracting(droppingFirst: taken)
                switch reader.next(in: rest) {
                case .incomplete: isWaiting = true
                case .empty(let length): taken += length
                case .inline, .failed: wantsOwn = true
                case .command(let length):
                    guard isShareable(rest) else {
                        wantsOwn = true
                        continue
                    }
                    inFlight += 1
                    taken += length
                    relay.metrics.shared.add()
                    shared.ask(rest.extracting(first: length), for: self)
                }
            }
            return taken
        }
        holdBack(!isWaiting && (wantsOwn ? inFlight > 0 : mustWait))
        if wantsOwn, inFlight == 0 { takeOwn() }
    }

    private var mustWait: Bool {
        inFlight >= Self.mostInFlight || client.unsentBytes >= Self.mostUnsentBytes || shared.isCongested
    }

    private func holdBack(_ holds: Bool) {
        guard holds != isHeldBack else { return }
        isHeldBack = holds
        if holds { client.pause() } else { client.resume() }
    }

    private func isShareable(_ bytes: Span<UInt8>) -> Bool {
        guard let command = CommandTable.shared.command(reader.arguments, in: bytes) else { return false }
        return command.lane == .shared && !command.has(.container)
    }

    private func takeOwn() {
        relay.metrics.pinned.add()
        holdBack(false)
        guard let own = OwnUpstream(relay, answering: client) else {
            client.send { $0.append(error: RedisRelay.unreachable) }
            return client.closeWhenSent()
        }
        self.own = own
        advance()
    }

    // MARK: Being answered

    /// A reply, or an error in its place, to the oldest command under way.
    func answer(_ reply: Span<UInt8>) {
        inFlight -= 1
        client.send(reply)
        if wantsOwn ? inFlight == 0 : isHeldBack && inFlight <= Self.mostInFlight / 2 { advance() }
    }

    /// The connection was lost: whether the commands under way were carried out, nobody knows, and no reply could say so.
    func lost() { client.close() }
}
