import Cache
import Network
import Runtime

/// One client in front of a Redis.
///
/// What is known locally is answered at once. Other commands that depend on nothing but themselves go over a connection
/// that many clients share, in order, without waiting for one another. A transaction, or a command that waits, is lent a
/// connection until it ends. Clients that subscribe, or ask about their own connection, get one for good
/// (`OwnConnection`).
final class RelaySession: StreamOwner, BufferedClient {
    /// Why nothing more is read from the client.
    enum Hold {
        case nothing
        /// It has so much under way, or so much unread.
        case congestion
        /// The next command goes another way than those whose replies have not come, and has to wait for them.
        case order
        /// Somebody will say: `goOn`.
        case event
    }

    let client: StreamConnection
    let relay: Relay
    var admission: ClientAdmission
    var identity: Identity
    var lane: Lane
    let number: Int
    /// As the client has named itself.
    var name: [UInt8] = []
    var own: OwnConnection?
    var transaction: Transaction?
    /// Redis has refused the connection of a transaction that the client believes to be open: what is said of its commands.
    var refusedTransaction: [UInt8]?
    /// Lent until the command that waits is answered.
    var lease: Upstream?
    /// It may not be as it was lent.
    var isLeaseSpent = false
    /// A command is under way that waits for what others do.
    private var isWaiting = false
    var reader = CommandReader()
    var order = ReplyOrder()
    var hold = Hold.nothing
    private var isAdvancing = false
    var isEnding = false
    /// The client sends no more, and may still read.
    private var hasInputEnded = false
    /// Size of the largest replies of late, which says how many may be under way.
    private var replyBytes = RelaySession.unknownReplyBytes
    /// Bytes of the client that were not looked at.
    private var unreadBytes = 0
    var toldBytes = 0
    /// The last reply was an error.
    private var hasFailed = false
    /// Where the commands go whose replies have not come.
    private(set) var current: Upstream?
    /// The command at hand was looked for in the local level, and is not there.
    private var isNextMissing = false
    /// Somebody else's fetch brought nothing: the next command fetches for itself.
    private var hasFollowedInVain = false
    /// Writes that were taken and are on their way to the log, and their keys (`Settlement.mask`).
    var accepting = 0
    var acceptingMask: UInt64 = 0
    /// What the command at hand, which waits or is about to be passed on, has claimed.
    var claim: WriteScope?
    /// Why it cannot be passed on.
    var refusal: String?
    /// Keys that the command at hand deletes and Redis never had, and the same by the number of those under way.
    var superseded = 0
    private var supersededByNumber: [Int: Int] = [:]
    /// What the commands of the transaction touch.
    var transactionScope = WriteScope.none
    /// Own writes under way, and what they may touch (`Settlement.mask`).
    private var unsettledWrites = 0
    private var unsettledMask: UInt64 = 0

    // In front of a cluster.
    var held: HeldTransaction?
    var detours = ClusterDetours()
    /// Places of keys in a command.
    var places: [Int] = []
    /// The map by which those under way were sent.
    private(set) var sentVersion = 0
    /// One under way concerns several keys, so that it may be put off where those that follow are not.
    private(set) var isExclusive = false

    /// A client that has so many commands under way, or so much unread, is not read from.
    private static let mostInFlight = 1024
    private static let mostUnsentBytes = 1 << 20
    /// What the replies under way may come to, as far as can be foreseen.
    private static let mostExpectedBytes = 2 << 20
    private static let unknownReplyBytes = 128 << 10
    /// What a client may send ahead while it waits for others.
    private static let mostUnreadBytes = 64 << 10

    init(_ client: StreamConnection, _ relay: Relay, _ admission: ClientAdmission, number: Int) {
        self.client = client
        self.relay = relay
        self.admission = admission
        reader.isAuthenticated = !admission.mustAuthenticate
        self.number = number
        identity = Identity(database: relay.options.database)
        lane = relay.enter(identity)
    }

    // MARK: The client's connection

    func secured(_ connection: StreamConnection) { admission.secured() }
    func received(_ connection: StreamConnection) { advance() }

    func ended(_ connection: StreamConnection) {
        hasInputEnded = true
        // As Redis does, whoever waits for others is not waited for.
        if isWaiting { return client.close() }
        advance()
    }

    func drained(_ connection: StreamConnection) {
        own?.clientDrained()
        advance()
    }

    func closed(_ connection: StreamConnection) {
        own?.end()
        if let transaction, own == nil { lane.discard(transaction.upstream) }
        if let lease { lane.discard(lease) }
        (own, transaction, lease, held) = (nil, nil, nil, nil)
        detours.removeAll()
        releaseClaim()
        relay.leave(lane)
        admission.ended()
        relay.forget(self)
    }

    func upstreamDrained() {
        own?.upstreamDrained()
        advance()
    }

    /// What the client was held back for has happened.
    ///
    /// - Parameter unlessHeld: it may be held back again already.
    func goOn(unlessHeld: Bool = false) {
        if !unlessHeld, case .event = hold { hold = .nothing }
        advance()
    }

    // MARK: Asking

    /// Goes through what the client has sent, as far as that is possible now.
    private func advance() {
        guard !isAdvancing, client.isOpen, !isEnding else { return }
        if case .event = hold { return }
        isAdvancing = true
        hold = .nothing
        client.takeInput { input in
            var taken = 0
            defer { unreadBytes = input.count - taken }
            while client.isOpen, !isEnding, hold == .nothing {
                let rest = input.extracting(droppingFirst: taken)
                if let own { return taken + own.take(rest) }
                guard !isCongested else {
                    hold = .congestion
                    return taken
                }
                let hits = answerGets(rest)
                taken += hits
                if client.unsentBytes >= Self.mostUnsentBytes { continue }
                guard let length = takeOne(rest.extracting(droppingFirst: hits)) else { return taken }
                taken += length
            }
            return taken
        }
        isAdvancing = false
        relay.tellBuffers(of: self)
        if order.inFlight == 0 { everythingIsAnswered() }
        if let own {
            if hasInputEnded, hold == .nothing { own.clientEnded() }
            return
        }
        guard hold == .nothing else { return holdBack() }
        client.resume()
        if hasInputEnded { endWhenAnswered() }
    }

    /// Of a client that waits for others one wants to know when it goes, however much it has sent ahead.
    private func holdBack() {
        if isWaiting, unreadBytes < Self.mostUnreadBytes { client.resume() } else { client.pause() }
    }

    /// Answers the `GET`s at the start of `bytes` that are known locally, as long as nothing else is the matter: every
    /// condition here is one that `run`, `ask` and `look` would find for each of them.
    ///
    /// - Returns: bytes of the commands that were answered.
    private func answerGets(_ bytes: Span<UInt8>) -> Int {
        isNextMissing = false
        guard transaction == nil, refusedTransaction == nil, reader.isBetweenCommands, relay.answersGets,
            !admission.mustAuthenticate,
            identity.mayShareLocalLevel, let local = relay.reader, PlainGet.begins(bytes), local.local.freshness.isLive
        else { return 0 }
        let room = max(1, mostInFlight - order.inFlight)
        var run = LocalReader.GetRun()
        func answer(into output: inout [UInt8]) -> Int {
            let bounds = LocalReader.GetRun.Bounds(
                commands: room, outputBytes: output.count + Self.mostUnsentBytes)
            run = local.answerGets(
                bytes, identity, unsettled: unsettledMask, nowMs: relay.loop.nowMs, within: bounds, into: &output)
            return run.hits
        }
        if order.inFlight == 0 { client.send { _ = answer(into: &$0) } } else { order.answerNext { answer(into: &$0) } }
        relay.noteHits(run.hits)
        isNextMissing = run.isNextMissing
        return run.length
    }

    /// - Returns: bytes of a command that was dealt with; nil when it is not whole, or has to wait.
    private func takeOne(_ bytes: Span<UInt8>) -> Int? {
        switch reader.next(in: bytes) {
        case .incomplete: return nil
        case .empty(let length): return length
        case .command(let length): return run(reader.arguments, bytes.extracting(first: length)) ? length : nil
        case .inline(let length):
            let rewritten = reader.rewritten
            return run(reader.arguments, rewritten.span) ? length : nil
        case .failed(let fault):
            guard !admission.isGuarded else {
                answer { fault.append(to: &$0) }
                endWhenAnswered()
                return nil
            }
            // Redis itself says what is wrong with it. It may have to wait, and is looked at from its first byte again.
            reader = CommandReader()
            _ = takeOwn(transaction?.upstream)
            return nil
        }
    }

    private var isCongested: Bool {
        order.inFlight >= mostInFlight || client.unsentBytes + order.earlyBytes >= Self.mostUnsentBytes
            || current?.isCongested == true
    }

    private var mostInFlight: Int { min(Self.mostInFlight, max(1, Self.mostExpectedBytes / replyBytes)) }

    /// - Parameter words: ranges of `bytes`, which is the whole command.
    /// - Returns: false when the command has to wait; it will be looked at again.
    private func run(_ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        let command = CommandTable.shared.command(words, in: bytes)
        guard admission.admits(bytes.extracting(words[0])) || command?.lane == .refused else {
            answer { $0.append(error: ClientAccess.required) }
            return true
        }
        if let refusedTransaction { return run(command, words, bytes, insteadOf: refusedTransaction) }
        if let cluster = relay.cluster { return run(command, words, bytes, in: cluster) }
        guard let gate = relay.gate else { return route(command, words, bytes) }
        switch admit(command, words, bytes, gate) {
        case .done: return true
        case .wait: return false
        case .go:
            let isDone = route(command, words, bytes)
            if isDone { releaseClaim() }
            return isDone
        }
    }

    private func route(_ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        if transaction != nil { return runInTransaction(command, words, bytes) }
        guard let command else { return takeOwn() }
        guard
            relay.features.isOn(.pipelining) || ClientAccess.isAboutAccess(bytes.extracting(words[0]))
                || admission.mustAuthenticate
        else { return takeOwn() }
        switch command.lane {
        case .shared, .slow:
            guard command.has(.container) else { return ask(command, words, bytes, on: relay.home) }
            return runUnknown(words, bytes)
        case .blocking:
            return mayWait(command, words, bytes)
                ? wait(command, words, bytes, on: relay.home) : ask(command, words, bytes, on: relay.home)
        case .transaction:
            guard Transaction.begins(with: command, words, in: bytes) else {
                return ask(command, words, bytes, on: relay.home)
            }
            return beginTransaction(command, words, bytes, on: relay.home)
        case .session: return runOfSession(command, words, bytes)
        case .takeover: return takeOwn()
        case .refused:
            client.close()
            return true
        }
    }

    /// A subcommand that Redis 7.0 does not have may do anything to its connection, but for two that libraries say to
    /// everybody: about themselves, and to hear of maintenance, which nobody hears of through a proxy.
    private func runUnknown(_ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        guard words.count > 1, bytes.isWord("client", words[0]),
            bytes.isWord("setinfo", words[1]) || bytes.isWord("maint_notifications", words[1])
        else { return takeOwn() }
        let subcommand = String(decoding: bytes.copy(words[1]), as: UTF8.self)
        answer { $0.append(error: "ERR unknown subcommand '\(subcommand)'. Try CLIENT HELP.") }
        return true
    }

    /// `XREAD` waits only when told to.
    func mayWait(_ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        command.keys != .streams || words.contains { bytes.isWord("block", $0) }
    }

    /// - Parameter errand: in front of a cluster.
    func ask(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, on node: RedisNode,
        _ errand: ClusterErrand? = nil
    ) -> Bool {
        let connections = lane.connections(to: node)
        var upstream = command.lane == .slow ? connections.slow : connections.fast[number % connections.fast.count]
        if let detour = upstream.detour, command.has(.read), order.inFlight == 0 || current === detour {
            upstream = detour
        }
        var pending = Pending()
        pending.errand = errand
        if relay.mayFallBack(command, words, in: bytes) { pending.command = bytes.copy(0..<bytes.count) }
        if command.has(.cacheable), let reader = relay.reader {
            switch look(command, words, bytes, reader) {
            case .answered: return true
            case .answeredOld(let question):
                relay.refresh(question, identity)
                return true
            case .bypass(let reason): relay.metrics.bypassed(reason)
            case .missed(let question):
                guard mayGo(to: upstream) else { return false }
                let mayFollow = !hasFollowedInVain
                hasFollowedInVain = false
                switch reader.begin(question, identity, mayFollow: mayFollow, nowMs: relay.loop.nowMs) {
                case .follow(let wait):
                    follow(wait, reader)
                    return false
                case .fetches(let fetches):
                    relay.askLifetimes(question, fetches, upstream)
                    pending.fetches = fetches
                    pending.hasParts = question.hasParts
                }
            }
        }
        return pass(command, words, bytes, to: upstream, pending)
    }

    private func look(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ reader: LocalReader
    ) -> LocalReader.Look {
        if isNextMissing {
            isNextMissing = false
            return .missed(reader.question(get: words, bytes))
        }
        let nowMs = relay.loop.nowMs
        var found = LocalReader.Look.bypass(.keys)
        if order.inFlight == 0 {
            client.send {
                found = reader.look(
                    command, words, bytes, identity, unsettled: unsettledMask, nowMs: nowMs, into: &$0)
            }
        } else {
            let mask = unsettledMask
            order.answerNext {
                found = reader.look(command, words, bytes, identity, unsettled: mask, nowMs: nowMs, into: &$0)
                return found.isAnswer ? 1 : 0
            }
        }
        if found.isAnswer { relay.noteHit(command) }
        return found
    }

    private func follow(_ wait: FillWait, _ reader: LocalReader) {
        hold = .event
        let session = Returning(self)
        let loop = relay.loop
        reader.local.cache.wait(for: wait) { end in
            loop.post {
                session.session.hasFollowedInVain = end != .filled
                session.session.goOn()
            }
        }
    }

    /// A session on its way through another thread, which does not touch it.
    struct Returning: @unchecked Sendable {
        let session: RelaySession
        init(_ session: RelaySession) { self.session = session }
    }

    /// Whether a command may be passed to a connection now: not while others are under way elsewhere.
    private func mayGo(to upstream: Upstream) -> Bool {
        // However little the client itself has under way: what it sends would wait here a second time.
        guard !upstream.isCongested else {
            hold = .congestion
            return false
        }
        guard order.inFlight > 0 else { return true }
        if let cluster = relay.cluster {
            if mayFollow(on: upstream, in: cluster) { return true }
        } else if current === upstream {
            return true
        }
        hold = .order
        return false
    }

    func pass(
        _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, to upstream: Upstream,
        _ pending: consuming Pending
    ) -> Bool {
        guard mayGo(to: upstream) else { return false }
        let settlement = relay.reader == nil ? Settlement.none : Settlement(command, words, in: bytes)
        pass(command, bytes, to: upstream, pending, before: settlement, after: settlement)
        return true
    }

    func pass(
        _ command: Command?, _ bytes: Span<UInt8>, to upstream: Upstream, _ pending: consuming Pending,
        before: Settlement, after: Settlement
    ) {
        current = upstream
        if let cluster = relay.cluster { noteWay(in: cluster) }
        pending.session = self
        pending.sequence = order.begin()
        pending.family = command?.family ?? .unknown
        pending.name = command?.id
        pending.sentNs = relay.loop.nowNs
        pending.isWrite = command?.has(.read) != true
        pending.waits = command?.lane == .blocking
        if pending.waits { isWaiting = true }
        pending.settlement = after
        if !after.isNone {
            unsettledWrites += 1
            unsettledMask |= after.mask
        }
        if !before.isNone { relay.reader?.local.apply(before) }
        relay.metrics.received(pending.family)
        if let claim { (pending.claim, self.claim) = (claim, nil) }
        if superseded > 0 { (supersededByNumber[pending.sequence], superseded) = (superseded, 0) }
        relay.writeSent(after, command, identity)
        upstream.ask(bytes, pending)
    }

    private func noteWay(in cluster: ClusterNodes) {
        sentVersion = cluster.version
        isExclusive = places.count > 1 || order.inFlight > 0 && isExclusive
    }

    func tellBuffers() { relay.tellBuffers(of: self) }

    var bufferedBytes: Int { client.bufferBytes + order.earlyBytes + (held?.sizeBytes ?? 0) }

    func shed() {
        isEnding = true
        client.close()
    }

    var isClientOpen: Bool { client.isOpen }
    func closeClient() { client.close() }

    /// A command begins whose answer the client waits for before anything else is looked at; `goOn` when it is given.
    func beginEvent(_ command: Command) -> Int {
        hold = .event
        relay.metrics.received(command.family)
        return order.begin()
    }

    /// Everything that is under way, all of it reads, goes over another connection now.
    func goes(to upstream: Upstream) { current = upstream }

    /// A node for what concerns no key.
    var anyNode: RedisNode { relay.cluster?.anyNode(for: number) ?? relay.home }

    // MARK: Being answered

    /// An answer of the proxy's own to the command at hand.
    func answer(_ write: (inout [UInt8]) -> Void) {
        var reply: [UInt8] = []
        write(&reply)
        answer(order.begin(), reply.span)
    }

    /// The reply to a command under way, or an error in its place.
    func answer(_ number: Int, _ reply: Span<UInt8>) {
        if !supersededByNumber.isEmpty, let more = supersededByNumber.removeValue(forKey: number),
            reply.count > 3, reply[0] == UInt8(ascii: ":"), let count = reply.strictInteger(in: 1..<reply.count - 2)
        {
            var text: [UInt8] = []
            text.append(integer: count &+ more)
            return answer(number, text.span)
        }
        client.send { order.end(number, reply, to: &$0) }
        replyBytes = max(reply.count, replyBytes - replyBytes / 4, 1)
        hasFailed = reply.count > 0 && reply[0] == UInt8(ascii: "-")
        if !detours.isEmpty, detours.end(number) { goOnDetour() }
        guard !isAdvancing else { return }
        relay.tellBuffers(of: self)
        if order.inFlight == 0 { everythingIsAnswered() }
        switch hold {
        case .order: if order.inFlight == 0 { advance() }
        case .congestion: if order.inFlight <= mostInFlight / 2 { advance() }
        case .nothing, .event: break
        }
    }

    private func everythingIsAnswered() {
        (current, isWaiting) = (nil, false)
        if let transaction, transaction.isEnding {
            end(transaction)
        }
        if let lease {
            if isLeaseSpent { lane.discard(lease) } else { lane.giveBack(lease) }
            (self.lease, isLeaseSpent) = (nil, false)
        }
        if isEnding { client.closeWhenSent() }
    }

    private func end(_ transaction: Transaction) {
        guard hasFailed else {
            lane.giveBack(transaction.upstream)
            self.transaction = nil
            return
        }
        if transaction.wasExecuted {
            // Who knows what Redis still watches.
            lane.discard(transaction.upstream)
            self.transaction = nil
        } else {
            self.transaction?.goOn()
        }
    }

    /// What the local level had to forget because of one of the commands is forgotten.
    func settled() {
        unsettledWrites -= 1
        if unsettledWrites == 0 { unsettledMask = 0 }
    }

    /// The connection was lost under a command: if it may have been carried out, no reply could say so.
    ///
    func lost(_ pending: Pending, mayHaveRun: Bool) {
        guard !mayHaveRun, transaction == nil else {
            // What the client sends now may belong to what was lost.
            isEnding = true
            relay.noteUnanswered(pending, isError: true)
            return client.closeWhenSent()
        }
        var reply: [UInt8] = []
        let command = pending.command
        let isAnswered = !command.isEmpty && relay.fallBack(command.span, identity, into: &reply)
        relay.noteUnanswered(pending, isError: !isAnswered)
        guard !isAnswered else { return answer(pending.sequence, reply.span) }
        answerUnreachable(pending.sequence)
    }

    /// Says that Redis is gone, as it was set: with an error, or by closing, upon which many clients try again.
    func answerUnreachable(_ number: Int, _ text: String = RelayText.unreachable) {
        guard relay.options.whenGone == .error else {
            // Those before it are answered: they went the same way.
            isEnding = true
            return client.closeWhenSent()
        }
        var reply: [UInt8] = []
        reply.append(error: text)
        answer(number, reply.span)
    }

    /// Takes no more commands, and closes once those under way are answered and their replies have left. Whoever waits for
    /// others is not waited for: nothing was carried out for it.
    func drain() {
        guard client.isOpen else { return }
        if isWaiting { return client.close() }
        client.pause()
        // Redis answers what it was sent, and then closes.
        if let own { return own.clientEnded() }
        endWhenAnswered()
    }

    /// Nothing more is read; the connection closes after the last reply.
    func endWhenAnswered() {
        isEnding = true
        if order.inFlight == 0 { client.closeWhenSent() }
    }
}
