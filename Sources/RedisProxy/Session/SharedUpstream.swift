import Runtime

/// One connection to Redis that many clients use at once: replies come in the order of the commands, and each goes to
/// whoever is next in line. A client that has gone keeps its place in the line, so that its reply goes to nobody else.
final class SharedUpstream: StreamOwner {
    private let relay: RedisRelay
    private var connection: StreamConnection?
    private var skimmer = ReplySkimmer()
    private var line: [RelaySession] = []
    /// Places at the start of the line that were served.
    private var served = 0
    /// Replies to what was said on connecting.
    private var greetings = 0
    private var hasAnswered = false

    /// With so much unsent, clients wait.
    private static let mostUnsentBytes = 4 << 20

    init(_ relay: RedisRelay) { self.relay = relay }

    var isCongested: Bool { (connection?.unsentBytes ?? 0) >= Self.mostUnsentBytes }

    func ask(_ command: Span<UInt8>, for session: RelaySession) {
        if connection == nil { connect() }
        line.append(session)
        guard let connection else { return fail() }
        connection.send(command)
    }

    private func connect() {
        guard let fresh = relay.upstream.connect(on: relay.loop) else { return }
        fresh.owner = self
        fresh.send { $0.append(contentsOf: relay.greeting.bytes) }
        (connection, skimmer, greetings, hasAnswered) = (fresh, ReplySkimmer(), relay.greeting.replies, false)
        relay.metrics.upstreamConnections.add()
    }

    func received(_ connection: StreamConnection) {
        hasAnswered = true
        var fault: ReplyFault?
        connection.takeInput { input in
            var taken = 0
            while taken < input.count {
                let rest = input.extracting(droppingFirst: taken)
                switch skimmer.next(in: rest) {
                case .incomplete: return taken
                case .failed(let found):
                    fault = found
                    return input.count
                case .reply(let reply):
                    taken += reply.length
                    deliver(rest.extracting(first: reply.length), reply.kind)
                }
            }
            return taken
        }
        guard let fault else { return }
        Log.error("Redis sent what is no reply", ["upstream": "\(relay.upstream)", "fault": "\(fault)"])
        connection.close()
    }

    private func deliver(_ reply: Span<UInt8>, _ kind: ReplySkimmer.Kind) {
        guard kind != .push else { return }
        guard greetings == 0 else {
            greetings -= 1
            if kind == .error { relay.noteRefusedGreeting(reply) }
            return
        }
        guard served < line.count else { return }
        let session = line[served]
        served += 1
        if served == line.count {
            line.removeAll(keepingCapacity: true)
            served = 0
        } else if served > 4096 {
            line.removeFirst(served)
            served = 0
        }
        session.answer(reply)
    }

    func drained(_ connection: StreamConnection) { relay.upstreamDrained() }

    func closed(_ connection: StreamConnection) {
        self.connection = nil
        fail()
    }

    /// Nobody in line gets a reply any more.
    private func fail() {
        let waiting = line[served...]
        (line, served) = ([], 0)
        var refusal: [UInt8] = []
        refusal.append(error: RedisRelay.unreachable)
        for session in waiting {
            // Without a connection nothing was carried out, and the client may be told so.
            if hasAnswered { session.lost() } else { session.answer(refusal.span) }
        }
    }
}

/// A connection to Redis that is one client's alone.
final class OwnUpstream: StreamOwner {
    private let relay: RedisRelay
    private let client: StreamConnection
    private let connection: StreamConnection
    private var skimmer = ReplySkimmer()
    private var greetings: Int
    private static let mostUnsentBytes = 1 << 20

    /// Nil when there is no way to connect.
    init?(_ relay: RedisRelay, answering client: StreamConnection) {
        guard let connection = relay.upstream.connect(on: relay.loop) else { return nil }
        self.relay = relay
        self.client = client
        self.connection = connection
        greetings = relay.greeting.replies
        connection.owner = self
        connection.send { $0.append(contentsOf: relay.greeting.bytes) }
        relay.metrics.upstreamConnections.add()
    }

    func send(_ bytes: Span<UInt8>) {
        connection.send(bytes)
        if connection.unsentBytes >= Self.mostUnsentBytes { client.pause() }
    }

    func received(_ connection: StreamConnection) {
        connection.takeInput { input in
            var taken = 0
            while greetings > 0 {
                let rest = input.extracting(droppingFirst: taken)
                guard case .reply(let reply) = skimmer.next(in: rest) else { return taken }
                greetings -= 1
                taken += reply.length
                if reply.kind == .error { relay.noteRefusedGreeting(rest.extracting(first: reply.length)) }
            }
            client.send(input.extracting(droppingFirst: taken))
            return input.count
        }
        if client.unsentBytes >= Self.mostUnsentBytes { connection.pause() }
    }

    func drained(_ connection: StreamConnection) { client.resume() }
    func clientDrained() { connection.resume() }
    func closed(_ connection: StreamConnection) { client.closeWhenSent() }
    func close() { connection.close() }
}
