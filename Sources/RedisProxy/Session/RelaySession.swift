import Cache
import Runtime

/// One client in front of a Redis.
///
/// What is known locally is answered at once. Other commands that depend on nothing but themselves go over a connection
/// that many clients share, in order, without waiting for one another. A transaction, or a command that waits, is lent a
/// connection until it ends. Clients that subscribe, or ask about their own connection, get one for good
/// (`OwnConnection`).
final class RelaySession: StreamOwner {
    /// Why nothing more is read from the client.
    private enum Hold {
        case nothing
        /// It has so much under way, or so much unread.
        case congestion
        /// The next command goes another way than those whose replies have not come, and has to wait for them.
        case order
        /// Somebody will say: `goOn`.
        case event
    }

    private let client: StreamConnection
    private let relay: Relay
    private var identity: Identity
    private var lane: Lane
    private let number: Int
    /// As the client has named itself.
    private var name: [UInt8] = []
    private var own: OwnConnection?
    private var transaction: Transaction?
    /// Lent until the command that waits is answered.
    private var lease: Upstream?
    /// A command is under way that waits for what others do.
    private var isWaiting = false
    private var reader = CommandReader()
    private var order = ReplyOrder()
    private var hold = Hold.nothing
    private var isAdvancing = false
    private var isEnding = false
    /// The client sends no more, and may still read.
    private var hasInputEnded = false
    /// Size of the largest replies of late, which says how many may be under way.
    private var replyBytes = RelaySession.unknownReplyBytes
    /// Bytes of the client that were not looked at.
    private var unreadBytes = 0
    /// The last reply was an error.
    private var hasFailed = false
    /// Where the commands go whose replies have not come.
    private var current: Upstream?
    /// Somebody else's fetch brought nothing: the next command fetches for itself.
    private var hasFollowedInVain = false
    /// Own writes under way, and what they may touch (`Settlement.mask`).
    private var unsettledWrites = 0
    private var unsettledMask: UInt64 = 0

    /// A client that has so many commands under way, or so much unread, is not read from.
    private static let mostInFlight = 1024
    private static let mostUnsentBytes = 1 << 20
    /// What the replies under way may come to, as far as can be foreseen.
    private static let mostExpectedBytes = 2 << 20
    private static let unknownReplyBytes = 32 << 10
    /// What a client may send ahead while it waits for others.
    private static let mostUnreadBytes = 64 << 10

    init(_ client: StreamConnection, _ relay: Relay, number: Int) {
        self.client = client
        self.relay = relay
        self.number = number
        identity = Identity(database: relay.options.database)
        lane = relay.enter(identity)
    }

    // MARK: The client's connection

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
        (own, transaction, lease) = (nil, nil, nil)
        relay.leave(lane)
        relay.forget(self)
    }

    func upstreamDrained() {
        own?.upstreamDrained()
        advance()
    }

    /// What the client was held back for has happened.
    private func goOn() {
        if case .event = hold { hold = .nothing }
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
                guard let length = takeOne(rest) else { return taken }
                taken += length
            }
            return taken
        }
        isAdvancing = false
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

    /// - Returns: bytes of a command that was dealt with; nil when it is not whole, or has to wait.
    private func takeOne(_ bytes: Span<UInt8>) -> Int? {
        switch reader.next(in: bytes) {
        case .incomplete: return nil
        case .empty(let length): return length
        case .command(let length): return run(reader.arguments, bytes.extracting(first: length)) ? length : nil
        case .inline(let length):
            let rewritten = reader.rewritten
            return run(reader.arguments, rewritten.span) ? length : nil
        case .failed:
            // Redis itself says what is wrong with it.
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
        if transaction != nil { return runInTransaction(command, words, bytes) }
        guard let command, relay.features.isOn(.pipelining) else { return takeOwn() }
        switch command.lane {
        case .shared, .slow:
            guard command.has(.container) else { return ask(command, words, bytes) }
            return runUnknown(words, bytes)
        case .blocking:
            return mayWait(command, words, bytes) ? wait(command, words, bytes) : ask(command, words, bytes)
        case .transaction:
            guard Transaction.begins(with: command, words, in: bytes) else { return ask(command, words, bytes) }
            return beginTransaction(command, words, bytes)
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
    private func mayWait(_ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        command.keys != .streams || words.contains { bytes.isWord("block", $0) }
    }

    private func ask(_ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        let upstream = command.lane == .slow ? lane.slow : lane.fast[number % lane.fast.count]
        var pending = Pending()
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
        let nowMs = relay.loop.nowMs
        var found = LocalReader.Look.bypass(.keys)
        if order.inFlight == 0 {
            client.send {
                found = reader.look(
                    command, words, bytes, identity, unsettled: unsettledMask, nowMs: nowMs, into: &$0)
            }
        } else {
            var reply: [UInt8] = []
            found = reader.look(command, words, bytes, identity, unsettled: unsettledMask, nowMs: nowMs, into: &reply)
            if !reply.isEmpty { answer(order.begin(), reply.span) }
        }
        switch found {
        case .answered, .answeredOld: relay.noteHit(command)
        case .bypass, .missed: break
        }
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
    private struct Returning: @unchecked Sendable {
        let session: RelaySession
        init(_ session: RelaySession) { self.session = session }
    }

    /// Whether a command may be passed to a connection now: not while others are under way elsewhere.
    private func mayGo(to upstream: Upstream) -> Bool {
        guard order.inFlight > 0, current !== upstream else { return true }
        hold = .order
        return false
    }

    private func pass(
        _ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>, to upstream: Upstream, _ pending: Pending
    ) -> Bool {
        guard mayGo(to: upstream) else { return false }
        let settlement = relay.reader == nil ? Settlement.none : Settlement(command, words, in: bytes)
        pass(command, bytes, to: upstream, pending, before: settlement, after: settlement)
        return true
    }

    private func pass(
        _ command: Command?, _ bytes: Span<UInt8>, to upstream: Upstream, _ pending: Pending,
        before: Settlement, after: Settlement
    ) {
        current = upstream
        var pending = pending
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
        upstream.ask(bytes, pending)
    }

    // MARK: Commands that need a connection

    private func wait(_ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        let lease = lane.lease()
        self.lease = lease
        return pass(command, words, bytes, to: lease, Pending())
    }

    private func beginTransaction(_ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        let upstream = lane.lease(naming: name)
        transaction = Transaction(on: upstream)
        return runInTransaction(command, words, bytes)
    }

    private func runInTransaction(_ command: Command?, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        guard var transaction, !transaction.isEnding else {
            hold = .order
            return false
        }
        // What tells or changes the state of the connection is for Redis to judge, on a connection nobody uses after.
        guard let command, command.lane != .session, command.lane != .takeover, command.lane != .refused else {
            return takeOwn(transaction.upstream)
        }
        // On another connection the rest would be carried out without what was watched and queued.
        guard transaction.upstream.isConnected else {
            isEnding = true
            client.closeWhenSent()
            return false
        }
        if command.has(.cacheable), relay.reader != nil { relay.metrics.bypassed(.transaction) }
        let before = relay.reader == nil ? Settlement.none : Settlement(command, words, in: bytes)
        let after = transaction.take(command, words, in: bytes, before)
        self.transaction = transaction
        pass(command, bytes, to: transaction.upstream, Pending(), before: before, after: after)
        return true
    }

    /// From here on the client has a connection of its own.
    ///
    /// - Parameter upstream: the one it has already; nil for another.
    /// - Returns: false, for what was read is to be passed on as it is.
    private func takeOwn(_ upstream: Upstream? = nil) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        let upstream = upstream ?? lane.lease(naming: name)
        transaction = nil
        guard upstream.isConnected else {
            lane.discard(upstream)
            endWhenAnswered()
            return false
        }
        own = OwnConnection(client, relay, lane, on: upstream)
        // From here on it says itself when the client has to wait.
        client.resume()
        hold = .event
        let session = Returning(self)
        relay.loop.post { session.session.goOn() }
        return false
    }

    // MARK: Commands about the client's own connection

    private func runOfSession(_ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>) -> Bool {
        switch SessionCommand(command, words, in: bytes, identity) {
        case .become(let identity, let question, let name): return become(identity, question, name)
        case .setName(let name):
            self.name = name
            answer { $0.append(status: "OK") }
        case .tellName:
            answer { [name, identity] reply in
                if name.isEmpty { reply.append(nullIn: identity.version) } else { reply.append(bulk: name.span) }
            }
        case .refuse(let error): answer { $0.append(error: error) }
        case .quit:
            answer { $0.append(status: "OK") }
            endWhenAnswered()
        case .reset: return reset()
        case .ofTheConnection: return takeOwn()
        }
        return true
    }

    /// Speaks for another identity, once Redis has agreed.
    ///
    /// - Parameters:
    ///   - question: that Redis agrees to; it leaves a connection of that identity as it is.
    ///   - name: that the client takes with it; nil to keep the one it has.
    private func become(_ identity: Identity, _ question: [UInt8], _ name: [UInt8]?) -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        hold = .event
        let lane = relay.enter(identity)
        let number = order.begin()
        let fast = lane.fast[self.number % lane.fast.count]
        let length = question.count
        fast.ask(question) { [self] reply, kind in
            var reply = reply
            if reply == nil { reply = relay.agree(to: identity, insteadOfRedis: question, number: self.number) }
            if reply != nil, kind != .error || reply?.first != UInt8(ascii: "-"), client.isOpen {
                relay.leave(self.lane)
                (self.lane, self.identity) = (lane, identity)
                if let name { self.name = name }
            } else {
                relay.leave(lane)
            }
            var refusal: [UInt8] = []
            refusal.append(error: RelayText.unreachable)
            let text = reply ?? refusal
            answer(number, text.span)
            goOn()
        }
        return length > 0
    }

    private func reset() -> Bool {
        guard order.inFlight == 0 else {
            hold = .order
            return false
        }
        relay.leave(lane)
        identity = Identity(database: relay.options.database)
        lane = relay.enter(identity)
        name = []
        answer { $0.append(status: "RESET") }
        return true
    }

    // MARK: Being answered

    /// An answer of the proxy's own to the command at hand.
    private func answer(_ write: (inout [UInt8]) -> Void) {
        var reply: [UInt8] = []
        write(&reply)
        answer(order.begin(), reply.span)
    }

    /// The reply to a command under way, or an error in its place.
    func answer(_ number: Int, _ reply: Span<UInt8>) {
        client.send { order.end(number, reply, to: &$0) }
        replyBytes = max(reply.count, replyBytes - replyBytes / 4, 1)
        hasFailed = reply.count > 0 && reply[0] == UInt8(ascii: "-")
        guard !isAdvancing else { return }
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
            lane.giveBack(lease)
            self.lease = nil
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
    /// - Parameter command: whole, where somebody else may answer it.
    func lost(_ number: Int, _ command: [UInt8], mayHaveRun: Bool) {
        guard !mayHaveRun, transaction == nil else {
            // What the client sends now may belong to what was lost.
            isEnding = true
            return client.closeWhenSent()
        }
        var reply: [UInt8] = []
        let isAnswered =
            !command.isEmpty
            && relay.fallBack(command.span, identity, into: &reply)
        if !isAnswered { reply.append(error: RelayText.unreachable) }
        answer(number, reply.span)
    }

    /// Nothing more is read; the connection closes after the last reply.
    private func endWhenAnswered() {
        isEnding = true
        if order.inFlight == 0 { client.closeWhenSent() }
    }
}
