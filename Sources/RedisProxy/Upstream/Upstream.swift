import Network
import Runtime
import Serving

/// One connection to Redis. Replies come in the order of the commands, and each goes to whoever is next in line; a client
/// that has gone keeps its place there, so that its reply goes to nobody else. Connects when it is first asked, and again
/// after it was lost. For the loop's thread.
final class Upstream: StreamOwner {
    enum Use { case fast, slow, leased, writes }

    private let relay: Relay
    let node: RedisNode
    let identity: Identity
    let use: Use
    private var connection: StreamConnection?
    private var skimmer = ReplySkimmer()
    private var line = FIFO<Pending>()
    /// What is asked before Redis has agreed to the greeting; nil once it has. On a connection that is not who it is for,
    /// nothing is asked: it would be the default user's.
    private var withheld: [UInt8]?
    /// Answers to the greeting that are still to come.
    private var greetings = 0
    /// The database that the connection is for is not selected yet; what Redis said about that.
    private var selecting: (isNeeded: Bool, refusal: [UInt8]) = (false, [])
    /// What its only client has sent while others are still in line: Redis is to see it on a connection on which nothing is
    /// owed, as if it were the client's own.
    private var passLater: [UInt8] = []
    /// Nothing more is to be sent after that.
    private var endsWhenPassed = false
    /// Redis lets nobody more in: another connection, which stands, does this one's work.
    private var deputy: Upstream?
    /// Of those in line, what is no read.
    private var writesInLine = 0
    /// The oldest has waited for long though Redis answers others: `CLIENT PAUSE … WRITE` holds it back. Reads of clients that
    /// wait for nothing here go this way meanwhile.
    private(set) var detour: Upstream?
    /// Somebody waits because so much is unsent.
    private var holdsBack = false
    /// When the connection was begun, until it has answered for the first time.
    private var greetedMs: Int?
    private var progress = ReplyProgress(nowMs: 0)
    /// Once nobody is in line, everything goes to this client as it is.
    private weak var only: OwnConnection?
    /// That it closes says nothing about Redis.
    private var isGivenUp = false
    /// Redis has let nobody more in: it has seen none of the commands.
    private var isTurnedAway = false
    /// The client's that it was lent to last.
    private var name: [UInt8] = []

    /// What Redis says to one connection too many, before it closes it.
    static let full = Array("-ERR max number of clients reached".utf8)
    /// With so much unsent, clients wait.
    private static let mostUnsentBytes = 4 << 20

    init(_ relay: Relay, _ node: RedisNode, _ identity: Identity, _ use: Use) {
        self.relay = relay
        self.node = node
        self.identity = identity
        self.use = use
    }

    var isConnected: Bool { connection != nil }
    /// Whoever is told so is told of `upstreamDrained`, too.
    var isCongested: Bool {
        let worker = deputy ?? self
        guard worker.unsentBytes >= Self.mostUnsentBytes else { return false }
        worker.holdsBack = true
        return true
    }
    var isIdle: Bool { line.isEmpty }

    // MARK: Asking

    /// Sends a command; `pending` is answered whatever happens.
    func ask(_ command: Span<UInt8>, _ pending: consuming Pending) {
        if let deputy {
            // Only when nothing is under way there may what comes next go another way.
            if deputy.isConnected, !deputy.isIdle || node.isFull(nowMs: relay.loop.nowMs) {
                return deputy.ask(command, pending)
            }
            self.deputy = nil
        }
        guard let connection = connected() else {
            guard node.isFull(nowMs: relay.loop.nowMs) else { return lose(pending, mayHaveRun: false) }
            deputy = standIn
            guard let deputy else { return refuse(pending, Self.full + [13, 10]) }
            return deputy.ask(command, pending)
        }
        if use != .leased { relay.metrics.pipelineDepth.observe(Double(line.count)) }
        if pending.sentNs == 0 { pending.sentNs = relay.loop.nowNs }
        // Behind a write that Redis may hold back it has to be able to go another way.
        if writesInLine > 0, !pending.isWrite, pending.session != nil, isShared, pending.command.isEmpty {
            pending.command = command.copy(0..<command.count)
        }
        enqueue(pending)
        send(command, on: connection)
    }

    private func send(_ bytes: Span<UInt8>, on connection: StreamConnection) {
        if withheld == nil { connection.send(bytes) } else { withheld?.append(bytes: bytes) }
    }

    private func enqueue(_ pending: consuming Pending) {
        relay.metrics.inFlight.move(by: 1)
        if pending.isWrite { writesInLine += 1 }
        line.append(pending)
    }

    /// Asks on the proxy's own behalf.
    func ask(_ command: [UInt8], _ taken: @escaping (_ reply: [UInt8]?, _ kind: ReplySkimmer.Kind) -> Void) {
        var pending = Pending()
        pending.taken = taken
        ask(command.span, pending)
    }

    /// Gives the connection a client's name, or none.
    func setName(_ name: [UInt8]) {
        guard name != self.name || !isConnected else { return }
        self.name = name
        // A fresh connection begins with it.
        if isConnected { ask(Greeting.setName(name)) { _, _ in } } else { _ = connected() }
    }

    private func connected() -> StreamConnection? {
        if let connection { return connection }
        let nowMs = relay.loop.nowMs
        guard node.address != nil, !node.isFull(nowMs: nowMs), node.mayConnect(nowMs: nowMs) else { return nil }
        guard let fresh = relay.connect(to: node) else {
            relay.failedToConnect(to: node)
            return nil
        }
        fresh.owner = self
        (connection, skimmer, isTurnedAway) = (fresh, ReplySkimmer(), false)
        (greetedMs, progress) = (relay.loop.nowMs, ReplyProgress(nowMs: relay.loop.nowMs))
        relay.metrics.upstreams.opened(use)
        greet(fresh)
        return fresh
    }

    private func greet(_ connection: StreamConnection) {
        let all = relay.greeting(for: identity, named: name)
        // What many clients send waits until Redis has let the connection in: if it does not, another one takes it over.
        withheld = all.isEmpty && use == .leased ? nil : []
        (greetings, selecting) = (all.count + 1, (identity.database != 0, []))
        for greeting in all {
            var pending = Pending()
            pending.taken = { [self] reply, kind in
                guard let reply else { return }
                greetings -= 1
                heard(reply, kind, to: greeting)
            }
            enqueue(pending)
            connection.send(greeting.command.span)
        }
        var pending = Pending()
        pending.taken = { [self] reply, _ in
            guard reply != nil else { return }
            (greetings, greetedMs) = (0, nil)
            relay.connectionAnswered(by: node)
            guard !selecting.isNeeded else { return refused(selecting.refusal) }
            sendWithheld()
        }
        enqueue(pending)
        connection.send { bytes in
            bytes.append(arrayOf: 1)
            bytes.append(bulk: "PING")
        }
    }

    private func sendWithheld() {
        guard let bytes = withheld else { return }
        withheld = nil
        connection?.send(bytes.span)
    }

    private func heard(_ reply: [UInt8], _ kind: ReplySkimmer.Kind, to greeting: Greeting) {
        if greeting.selectsDatabase {
            if kind == .error { selecting.refusal = reply } else { selecting.isNeeded = false }
        }
        guard !greeting.isTried, greeting.isRefused(by: reply.span, kind) else { return }
        if greeting.isOwnLogin { relay.noteRefusedGreeting(reply, by: node) }
        refused(reply)
    }

    /// Redis does not want the connection to be what it is for: whoever asked there is told so, and nothing was sent.
    private func refused(_ reply: [UInt8]) {
        only?.refused(reply.span)
        var waiting = giveUp()
        while let pending = waiting.popFirst() { refuse(pending, reply) }
    }

    /// Redis has let nobody more in, and seen nothing: what was to be sent goes over a connection that stands.
    private func turnedAway() {
        relay.noteFull(node)
        let bytes = withheld
        guard use != .writes, only == nil, let bytes, let standIn else { return refused(Self.full + [13, 10]) }
        deputy = standIn
        standIn.adopt(giveUp(), bytes)
    }

    /// Closes a connection that has not begun.
    ///
    /// - Returns: who waits for more than the greeting.
    private func giveUp() -> FIFO<Pending> {
        var waiting = line
        relay.metrics.inFlight.move(by: -Double(waiting.count))
        (line, writesInLine, detour) = (FIFO(), 0, nil)
        let greetings = greetings
        close()
        for _ in 0..<greetings { _ = waiting.popFirst() }
        return waiting
    }

    private func adopt(_ waiting: FIFO<Pending>, _ bytes: [UInt8]) {
        var waiting = waiting
        guard let connection else { return lose(all: waiting, mayHaveRun: false) }
        while let pending = waiting.popFirst() { enqueue(pending) }
        send(bytes.span, on: connection)
    }

    private var standIn: Upstream? {
        use == .leased || use == .writes
            ? nil : relay.lane(of: identity)?.connections(to: node).standIn(for: self)
    }

    /// Whether what is asked is sent at once.
    var hasBegun: Bool { isConnected && greetedMs == nil }

    private func refuse(_ pending: Pending, _ reply: [UInt8]) {
        // Pending writes are sent again when Redis lets us.
        pending.taken?(use == .writes ? nil : reply, .error)
        guard let session = end(pending) else { return }
        relay.noteUnanswered(pending, isError: true)
        session.refused(pending, reply, by: self)
    }

    // MARK: Being answered

    func received(_ connection: StreamConnection) {
        var fault: ReplyFault?
        connection.takeInput { input in
            var taken = 0
            progress.sees(input.count, nowMs: relay.loop.nowMs)
            defer { progress.leaves(input.count - taken) }
            while taken < input.count {
                let rest = input.extracting(droppingFirst: taken)
                if let only, line.isEmpty {
                    only.passed(rest)
                    return input.count
                }
                switch skimmer.next(in: rest) {
                case .incomplete: return taken
                case .failed(let found):
                    fault = found
                    return input.count
                case .reply(let reply):
                    taken += reply.length
                    progress.tookReply(nowMs: relay.loop.nowMs)
                    guard reply.kind != .push else { continue }
                    let text = rest.extracting(first: reply.length)
                    if greetedMs != nil, reply.kind == .error,
                        Self.full.span.hasSameBytes(as: text.extracting(first: Self.full.count))
                    {
                        isTurnedAway = true
                        return input.count
                    }
                    deliver(text, reply.kind)
                    guard connection.isOpen else { return input.count }
                    if line.isEmpty, only != nil { sendPassed() }
                }
            }
            return taken
        }
        guard !isTurnedAway else { return turnedAway() }
        guard let fault else { return }
        Log.error("Redis sent what is no reply", ["upstream": "\(node)", "fault": "\(fault)"])
        connection.close()
    }

    private func deliver(_ reply: Span<UInt8>, _ kind: ReplySkimmer.Kind) {
        guard let pending = line.popFirst() else { return }
        relay.metrics.inFlight.move(by: -1)
        if pending.isWrite { writesInLine -= 1 }
        if detour != nil { detour = nil }
        if let rare = pending.rare {
            if let taken = rare.taken { return taken(reply.copy(0..<reply.count), kind) }
            guard !pending.isLifetime else {
                for fetch in rare.fetches { fetch?.takeLifetime(reply) }
                return
            }
        }
        if kind == .error, relay.hasTopology, wasTurnedAway(pending, reply) { return }
        if let rare = pending.rare {
            if pending.hasParts {
                Fetch.takeParts(of: reply, kind, for: rare.fetches, nowMs: relay.loop.nowMs)
            } else {
                rare.fetches.first??.take(reply, kind, nowMs: relay.loop.nowMs)
            }
            relay.gate?.release(rare.claim)
        }
        guard let session = pending.session else { return }
        defer { relay.writeAnswered(pending.settlement, isError: kind == .error) }
        relay.note(pending, replyBytes: reply.count, isError: kind == .error)
        guard !pending.settlement.isNone else { return session.answer(pending.sequence, reply) }
        if case .caughtUp = pending.settlement, let feed = node.feed {
            let copy = reply.copy(0..<reply.count)
            return feed.whenCaughtUp(on: relay.loop) {
                session.settled()
                session.answer(pending.sequence, copy.span)
            }
        }
        relay.reader?.local.apply(pending.settlement)
        session.settled()
        session.answer(pending.sequence, reply)
    }

    /// - Returns: whether the command goes elsewhere, so that its answer is still to come.
    private func wasTurnedAway(_ pending: Pending, _ reply: Span<UInt8>) -> Bool {
        if let errand = pending.errand, let session = pending.session,
            session.wasTurnedAway(pending, errand, reply, by: node)
        {
            for fetch in pending.fetches { fetch?.abandon() }
            return true
        }
        // The client's answer, but for us a hint as well.
        if Redirect(reply, from: node.name) != nil { relay.doubtTopology() }
        return false
    }

    func drained(_ connection: StreamConnection) {
        holdsBack = false
        relay.upstreamDrained()
    }

    // MARK: Being lost

    func closed(_ connection: StreamConnection) {
        let hasSentCommands = connection.hasSent && !isTurnedAway && withheld == nil
        (self.connection, name, withheld, passLater, endsWhenPassed) = (nil, [], nil, [], false)
        relay.metrics.upstreams.closed(use)
        if isGivenUp {
            if greetedMs != nil { node.gaveUp(nowMs: relay.loop.nowMs) }
        } else {
            if greetedMs != nil { relay.failedToConnect(to: node) }
            node.feed?.doubt()
            relay.doubtTopology()
        }
        greetedMs = nil
        let waiting = line
        relay.metrics.inFlight.move(by: -Double(waiting.count))
        (line, writesInLine, detour) = (FIFO(), 0, nil)
        lose(all: waiting, mayHaveRun: hasSentCommands)
        only?.lost()
        guard holdsBack else { return }
        holdsBack = false
        relay.upstreamDrained()
    }

    private func lose(all waiting: FIFO<Pending>, mayHaveRun: Bool) {
        var waiting = waiting
        while let pending = waiting.popFirst() { lose(pending, mayHaveRun: mayHaveRun) }
    }

    private func lose(_ pending: Pending, mayHaveRun: Bool) {
        pending.taken?(nil, .error)
        if let errand = pending.errand, let session = pending.session,
            session.wasLost(pending, errand, on: node, hasLeft: mayHaveRun)
        {
            for fetch in pending.fetches { fetch?.abandon() }
            return
        }
        end(pending)?.lost(pending, mayHaveRun: mayHaveRun && pending.isWrite)
    }

    /// Undoes what a command without a reply was to have brought about.
    ///
    /// - Returns: who waits for the reply.
    private func end(_ pending: Pending) -> RelaySession? {
        for fetch in pending.fetches { fetch?.abandon() }
        guard !pending.isLifetime, let session = pending.session else { return nil }
        relay.gate?.release(pending.claim)
        relay.writeAnswered(pending.settlement, isError: true)
        if !pending.settlement.isNone {
            relay.reader?.local.apply(pending.settlement)
            session.settled()
        }
        return session
    }

    /// Closes the connection when Redis owes an answer for too long.
    func checkDeadline(nowMs: Int) {
        guard let connection else { return }
        if let greetedMs, nowMs - greetedMs > relay.options.connectTimeoutMs {
            Log.warn("Redis does not answer", ["upstream": "\(node)"])
            return connection.close()
        }
        guard let oldest = line.first, !oldest.waits else { return }
        let limitMs = use == .fast ? relay.options.timeoutMs : relay.options.slowTimeoutMs
        guard nowMs - max(oldest.sentNs / 1_000_000, progress.lastMs) > limitMs else { return }
        relay.metrics.timeouts.add()
        node.failed(nowMs: nowMs)
        Log.warn("Redis owes a reply for too long", ["upstream": "\(node)"])
        connection.close()
    }

    /// Closes what nobody needs any more.
    func close() {
        isGivenUp = true
        connection?.close()
        isGivenUp = false
    }

    // MARK: Behind a write that is held back

    private var isShared: Bool { use == .fast || use == .slow }

    /// Whether a write that Redis may be holding back is the oldest in line.
    ///
    /// - Returns: which, to be told to `isHeldBack` once Redis has answered somebody else.
    func suspect(nowMs: Int) -> Int? {
        guard isShared, detour == nil, greetedMs == nil, line.count > 1, let oldest = line.first, oldest.isWrite,
            oldest.session != nil, nowMs - oldest.sentNs / 1_000_000 > Self.heldBackMs
        else { return nil }
        return oldest.sentNs
    }

    /// Redis has answered what it was asked later: if the same is still the oldest, it is held back, and reads behind it go
    /// over another connection. Not those of clients that have a write in line themselves.
    func isHeldBack(_ suspect: Int, detour: Upstream) {
        guard let oldest = line.first, oldest.sentNs == suspect, oldest.isWrite, self.detour == nil else { return }
        self.detour = detour
        var writers: Set<ObjectIdentifier> = []
        var moved: [Pending] = []
        line = line.map { pending in
            guard let session = pending.session else { return pending }
            guard !pending.isWrite, pending.settlement.isNone, pending.errand == nil, !pending.command.isEmpty,
                !writers.contains(ObjectIdentifier(session))
            else {
                writers.insert(ObjectIdentifier(session))
                return pending
            }
            moved.append(pending)
            // Its reply will come here, too, and is nobody's.
            var nobodys = Pending()
            (nobodys.taken, nobodys.sentNs) = ({ _, _ in }, pending.sentNs)
            return nobodys
        }
        for var pending in moved {
            for fetch in pending.fetches { fetch?.abandon() }
            (pending.fetches, pending.hasParts) = ([], false)
            if let session = pending.session, !writers.contains(ObjectIdentifier(session)) { session.goes(to: detour) }
            let command = pending.command
            detour.ask(command.span, pending)
        }
    }

    private static let heldBackMs = 100

    // MARK: One client's alone

    /// From the next reply that nobody in line waits for, everything is passed to this client.
    func give(to only: OwnConnection) {
        self.only = only
        connection?.isReadToTheEnd = true
    }

    func pass(_ bytes: Span<UInt8>) {
        guard line.isEmpty else { return passLater.append(bytes: bytes) }
        connection?.send(bytes)
    }

    func finish() {
        if line.isEmpty { connection?.finishWhenSent() } else { endsWhenPassed = true }
    }

    private func sendPassed() {
        let bytes = passLater
        passLater = []
        if !bytes.isEmpty { connection?.send(bytes.span) }
        if endsWhenPassed { connection?.finishWhenSent() }
    }

    var unsentBytes: Int { (connection?.unsentBytes ?? 0) + (withheld?.count ?? 0) + passLater.count }
    func pause() { connection?.pause() }
    func resume() { connection?.resume() }
}
