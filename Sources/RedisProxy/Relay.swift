import Cache
import Network
import Operations
import Runtime
import Serving

/// One loop of the proxy: its clients, and its connections to Redis. Everything but `init` happens on the loop's thread.
final class Relay: @unchecked Sendable {
    let loop: EventLoop
    let options: RelayOptions
    let metrics: RedisProxyMetrics
    let features: Features
    let slowCommands: SlowOperations
    let monitor: CommandMonitor?
    private let lobby: Lobby
    /// Nil without a local level.
    private(set) var reader: LocalReader?
    /// The server behind the proxy; in front of a cluster it is nobody.
    let home: RedisNode
    /// Nil unless there are several nodes.
    private(set) var cluster: ClusterNodes?
    private var sentinel: SentinelMaster?
    /// Whether Redis may be elsewhere the next moment.
    var hasTopology: Bool { sentinel != nil || cluster != nil }
    /// Nil without a local level.
    private(set) var chorus: FeedChorus?
    /// Nil without writing behind.
    private(set) var gate: WriteGate?
    private var sink: RedisWriteSink?
    /// Nil where no class is written through.
    private var through: ThroughWrites?
    /// Answers while Redis is gone.
    private var fallback: Fallback?
    private var lanes: [Identity: Lane] = [:]
    private var hotKeys: HotKeys?
    /// Nil without a local level.
    private var touches: KeyTouches?
    /// Nil without a local level.
    private var rights: RightsWatch?
    /// Nil without a local level, and in front of a cluster.
    private var swaps: SwapWatch?
    private var sessions: [ObjectIdentifier: RelaySession] = [:]
    private let buffers: ClientBuffers
    private var accepted = 0
    /// Of the name of the Redis behind, those that were followed.
    private var followedMoves = 0
    /// Who waits until everybody has gone.
    private var drained: (() -> Void)?
    private var nextFullLogMs = 0

    init(_ loop: EventLoop, _ options: RelayOptions, _ shared: SharedParts) {
        self.loop = loop
        self.options = options
        if case .fixed(let address) = options.place { home = RedisNode(at: address) } else { home = RedisNode() }
        metrics = shared.metrics
        features = shared.features
        slowCommands = shared.slowCommands
        monitor = shared.operations.map { CommandMonitor($0) }
        lobby = Lobby(shared.access, on: loop)
        buffers = ClientBuffers(limitBytes: options.clientBytes, shared.metrics, on: loop)
        home.breakerTurned = { [unowned self] in breakerTurned($0) }
    }

    /// To be called before `start`.
    ///
    /// - Parameter fallback: is left out in front of a cluster, of which seldom all is gone.
    func use(_ local: LocalLevel, _ fallback: Fallback?) {
        let chorus = FeedChorus(local.freshness)
        let reader = LocalReader(local, touchEvery: options.touchEvery)
        (self.reader, self.chorus) = (reader, chorus)
        (touches, rights) = (KeyTouches(self, reader), RightsWatch(self, local))
        if local.cache.classes.contains(where: { $0.writeMode == .through }) { through = ThroughWrites() }
        if case .cluster = options.place { return }
        swaps = SwapWatch(self, local)
        self.fallback = fallback
        home.feed = InvalidationFeed(self, home, local, chorus.voice())
    }

    /// To be called before `start`, and not in front of a cluster.
    func use(_ gate: WriteGate, _ sink: RedisWriteSink) { (self.gate, self.sink) = (gate, sink) }

    /// To be called on the loop's thread, before the first client.
    func start(warming hotKeys: HotKeys?) {
        self.hotKeys = hotKeys
        switch options.place {
        case .fixed: break
        case .sentinel(let settings): sentinel = SentinelMaster(settings, self)
        case .cluster(let settings): cluster = ClusterNodes(settings, self)
        }
        home.feed?.start()
        sentinel?.start()
        cluster?.start()
        rights?.start()
        watch()
    }

    func end() {
        home.feed?.end()
        sentinel?.stop()
        cluster?.stop()
        // They hold the relay.
        lanes = [:]
    }

    /// The local level has come into use.
    func localLevelBegins() { hotKeys?.warm(self) }

    /// Asks again what Redis tells nobody by itself.
    func askForSwaps() { swaps?.ask() }

    /// Calls `then` once it is known, as far as Redis tells, what the proxy's user may do at a master, and how often databases
    /// were swapped.
    func learnRights(at node: RedisNode, then: @escaping () -> Void) {
        guard let rights else { return then() }
        rights.ask(node) { [swaps] in
            if let swaps { swaps.ask(then: then) } else { then() }
        }
    }

    private func watch() {
        loop.after(milliseconds: 100) { [weak self] in
            guard let self else { return }
            for lane in Array(lanes.values) { lane.checkDeadlines(nowMs: loop.nowMs) }
            cluster?.forgetRetired { node in lanes.values.contains { $0.isIn(contactWith: node) } }
            sink?.checkDeadline(nowMs: loop.nowMs)
            touches?.tell()
            monitor?.flush()
            followName()
            watch()
        }
    }

    /// Connections to where a name no longer leads are given up, and with them what is under way there.
    private func followName() {
        guard case .fixed(let address) = options.place else { return }
        address.refresh(olderThan: options.resolveInterval)
        let moves = address.moves
        guard moves != followedMoves else { return }
        followedMoves = moves
        Log.info("the name of Redis leads elsewhere: connecting there", ["upstream": "\(address)"])
        closeConnections()
        home.become(home.name, at: address)
    }

    // MARK: Clients

    func accept(_ client: StreamConnection) {
        accepted += 1
        metrics.accepted.add()
        guard let admission = lobby.admit(client) else { return }
        let session = RelaySession(client, self, admission, number: accepted)
        sessions[ObjectIdentifier(session)] = session
        metrics.clients.move(by: 1)
        client.owner = session
    }

    /// Lets nobody in any more, and lets those who are in go once they have their replies.
    ///
    /// - Parameter done: called once, when nobody is left.
    func drain(_ done: @escaping () -> Void) {
        drained = done
        for session in Array(sessions.values) { session.drain() }
        noteGone()
    }

    /// Sends those away whose user there is no more, as Redis does.
    func dropRevoked() {
        for session in Array(sessions.values) where session.admission.isRevoked { session.client.close() }
    }

    private func noteGone() {
        guard sessions.isEmpty, let drained else { return }
        self.drained = nil
        drained()
    }

    var hasClients: Bool { !sessions.isEmpty }

    /// What a client has here may have changed much.
    func tellBuffers(of session: RelaySession) {
        guard session.isClientOpen else { return buffers.forget(session) }
        buffers.tell(session) { Array(sessions.values) }
    }

    func forget(_ session: RelaySession) {
        buffers.forget(session)
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        metrics.clients.move(by: -1)
        noteGone()
    }

    /// Clients that were held back because of an upstream go on.
    func upstreamDrained() { for session in Array(sessions.values) { session.upstreamDrained() } }

    // MARK: Redis

    /// The connections of an identity; to be left again.
    func enter(_ identity: Identity) -> Lane {
        let lane = lanes[identity] ?? Lane(self, identity)
        lanes[identity] = lane
        lane.clients += 1
        return lane
    }

    /// The connections of an identity that some client has; nil where none does.
    func lane(of identity: Identity) -> Lane? { lanes[identity] }

    /// The proxy's own connections, which are not closed when nobody is in them.
    func ownConnections(to node: RedisNode) -> NodeConnections {
        let lane = enter(Identity(database: options.database))
        lane.clients -= 1
        return lane.connections(to: node)
    }

    /// Connections of clients' own users and of databases that nobody is in any more are closed.
    func leave(_ lane: Lane) {
        lane.clients -= 1
        guard lane.clients == 0, lane.identity != Identity(database: options.database) else { return }
        lanes[lane.identity] = nil
        lane.close()
    }

    /// Closes all connections to Redis; whatever waits for a reply is told.
    func closeConnections() {
        for lane in Array(lanes.values) { lane.close() }
        sink?.close()
    }

    func connect(to node: RedisNode) -> StreamConnection? {
        guard let tls = options.tls else { return node.address?.connect(on: loop) }
        guard let client = tls.client(for: node.name.host) else { return nil }
        return node.address?.connect(on: loop, tls: client)
    }

    /// What to say first on a connection. Nothing else may be asked there before Redis has agreed.
    ///
    /// A client came to its state step by step, and each step was allowed to who it was then: it may have selected a database
    /// before it became a user who must not. So the proxy's own user lays what it may, the client's user comes after that,
    /// and what the one was refused the other tries.
    ///
    /// - Parameter name: of the client that the connection is for.
    func greeting(for identity: Identity, named name: [UInt8] = []) -> [Greeting] {
        var greetings: [Greeting] = []
        let isOthers = identity.credentials != nil
        if let own = options.credentials {
            greetings.append(
                Greeting(
                    command: own.command, isOwnLogin: !isOthers, isForDefaultUser: own.user == nil, isTried: isOthers))
        }
        let select = Greeting(["SELECT", "\(identity.database)"], isTried: true, selectsDatabase: true)
        if identity.database != 0 { greetings.append(select) }
        if !name.isEmpty { greetings.append(Greeting(naming: name)) }
        if let credentials = identity.credentials {
            greetings.append(Greeting(command: credentials.command, isForDefaultUser: credentials.user == nil))
            if identity.database != 0 { greetings.append(select) }
        }
        if identity.version == .three { greetings.append(Greeting(["HELLO", "3"])) }
        return greetings
    }

    func noteRefusedGreeting(_ reply: [UInt8], by node: RedisNode) {
        Log.error(
            "Redis refused us",
            ["upstream": "\(node)", "reply": String(decoding: reply.prefix(200), as: UTF8.self)])
    }

    /// A server is there, and lets nobody more in.
    func noteFull(_ node: RedisNode) {
        node.saidFull(nowMs: loop.nowMs)
        metrics.full.add()
        guard loop.nowMs >= nextFullLogMs else { return }
        nextFullLogMs = loop.nowMs + 10_000
        Log.error(
            "Redis has as many clients as it lets in (maxclients): connections that stand do the work of those that are refused",
            ["upstream": "\(node)"])
    }

    func failedToConnect(to node: RedisNode) {
        doubtTopology()
        node.failed(nowMs: loop.nowMs)
    }

    /// A breaker has opened or closed.
    func breakerTurned(_ node: RedisNode) {
        tellBreakers()
        guard !node.breaker.isClosed else { return }
        metrics.breakerOpenings.add()
        Log.error("Redis cannot be reached: it is left alone for a while", ["upstream": "\(node)"])
    }

    func tellBreakers() {
        metrics.breakerIsOpen.set(!home.breaker.isClosed || cluster?.hasOpenBreaker == true ? 1 : 0)
    }

    /// Perhaps the master is another by now.
    func doubtTopology() {
        sentinel?.doubted()
        cluster?.doubted()
    }

    func connectionAnswered(by node: RedisNode) {
        if !node.breaker.isClosed { Log.info("Redis is back", ["upstream": "\(node)"]) }
        node.succeeded()
        gate?.writeBehind.redisIsBack()
        fallback?.end()
    }

    // MARK: While Redis is gone

    /// Whether a command may be answered in Redis' place.
    func mayFallBack(_ command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>) -> Bool {
        fallback?.mode(of: command, words, in: bytes) != nil
    }

    /// Appends a reply in Redis' place; false when there is none.
    func fallBack(_ command: Span<UInt8>, _ identity: Identity, into reply: inout [UInt8]) -> Bool {
        guard let fallback, let reader else { return false }
        return fallback.answer(command, identity, reader, nowMs: loop.nowMs, into: &reply)
    }

    /// What Redis would say to `SELECT` and `HELLO`, where somebody answers in its place.
    func agree(to identity: Identity, insteadOfRedis question: [UInt8], number: Int) -> [UInt8]? {
        guard fallback != nil, features.isOn(.fallback), identity.mayShareLocalLevel else { return nil }
        var parser = CommandReader()
        var reply: [UInt8] = []
        guard case .command = parser.next(in: question.span) else { return nil }
        if question.span.isWord("hello", parser.arguments[0]) {
            HelloReply.append(identity.version, id: number, to: &reply)
        } else {
            reply.append(status: "OK")
        }
        return reply
    }

    // MARK: Fetching

    /// Asks how long the keys of a question live, in front of the question itself.
    func askLifetimes(_ question: LocalReader.Question, _ fetches: [Fetch?], _ upstream: Upstream) {
        for (place, key) in question.keys.enumerated() {
            guard let fetch = question.hasParts ? fetches[place] : fetches[0] else { continue }
            var pending = Pending()
            pending.fetches = [fetch]
            pending.isLifetime = true
            var command: [UInt8] = []
            command.append(arrayOf: 2)
            command.append(bulk: "PTTL")
            command.append(bulk: key.span)
            upstream.ask(command.span, pending)
        }
    }

    /// Fetches what is here anew before it ends, for nobody in particular.
    func refresh(_ question: LocalReader.Question, _ identity: Identity) {
        guard features.isOn(.refreshAhead) else { return }
        fetch(question, identity, isRefresh: true)
    }

    /// Fetches an entry that was hot once.
    func fetch(_ meaning: EntryKey.Meaning) {
        var parser = CommandReader()
        var places: [Int] = []
        guard meaning.command.count > 0, case .command = parser.next(in: meaning.command.span),
            let command = CommandTable.shared.command(parser.arguments, in: meaning.command.span),
            command.has(.cacheable),
            command.keys.append(of: parser.arguments, in: meaning.command.span, to: &places), !places.isEmpty
        else { return }
        let keys = places.map { meaning.command.span.copy(parser.arguments[$0]) }
        let question = LocalReader.Question(keys: keys, command: meaning.isValue ? nil : meaning.command)
        fetch(question, Identity(database: meaning.database, version: meaning.version), isRefresh: false)
    }

    private func fetch(_ question: LocalReader.Question, _ identity: Identity, isRefresh: Bool) {
        guard let reader, reader.local.freshness.isLive, gate?.holds(question.keys, identity) != true else { return }
        guard case .fetches(let fetches) = reader.begin(question, identity, isRefresh: isRefresh, nowMs: loop.nowMs),
            fetches.contains(where: { $0 != nil })
        else { return }
        let lane = enter(identity)
        defer { lane.clients -= 1 }
        let key = question.keys[0]
        let node = cluster?.node(of: KeySlot.of(key.span)) ?? home
        let upstream = lane.connections(to: node).fast[0]
        askLifetimes(question, fetches, upstream)
        var pending = Pending()
        pending.fetches = fetches
        pending.hasParts = question.hasParts
        var command: [UInt8] = []
        if let whole = question.command {
            command = whole
        } else {
            command.append(arrayOf: question.keys.count + 1)
            command.append(bulk: question.hasParts ? "MGET" : "GET")
            for key in question.keys { command.append(bulk: key.span) }
        }
        upstream.ask(command.span, pending)
    }

    // MARK: Telling

    /// Whether every client's `GET`s may be answered from the local level, if they are there.
    var answersGets: Bool { cluster == nil && gate == nil && features[.cache] == 100 && features.isOn(.pipelining) }

    /// Counts `GET`s that were answered locally.
    func noteHits(_ count: Int) {
        guard count > 0 else { return }
        metrics.received(.string, count)
        metrics.answered(from: .local, count)
        noteQuick(.string, count)
    }

    func noteHit(_ command: Command) {
        metrics.received(command.family)
        metrics.answered(from: .local)
        noteQuick(command.family)
    }

    /// Counts what was answered at once. It took as long as the loop has been busy since it woke up.
    func noteQuick(_ family: Command.Family, _ count: Int = 1) {
        monitor?.noteHit(family, count, roundNs: MonotonicClock.nowNs - loop.nowNs)
    }

    /// Counts a command that Redis did not answer: somebody else did in its place, or nobody.
    func noteUnanswered(_ pending: Pending, isError: Bool) {
        monitor?.note(pending.family, durationNs: max(0, loop.nowNs - pending.sentNs), isError: isError)
    }

    /// Counts a command that Redis has answered.
    func note(_ pending: Pending, replyBytes: Int, isError: Bool) {
        let durationNs = loop.nowNs - pending.sentNs
        metrics.note(pending.family, durationNs: durationNs, isError: isError)
        monitor?.note(pending.family, durationNs: durationNs, isError: isError)
        if durationNs >= options.slowCommandMs * 1_000_000 {
            let name = pending.name.map { CommandTable.shared.fullName(of: CommandTable.shared[$0]) } ?? "unknown"
            slowCommands.add(name, durationNs: durationNs, replyBytes: replyBytes)
        }
    }

    // MARK: Writing through

    /// A write is about to be passed on.
    func writeSent(_ settlement: Settlement, _ command: Command?, _ identity: Identity) {
        guard through != nil, let local = reader?.local, command?.family == .string, identity.mayShareLocalLevel
        else { return }
        for key in settlement.keys where features.isOn(.cache, for: key.span) {
            let id = local.cache.cacheClass(for: key.span)
            if local.cache.classes[id.index].writeMode == .through { through?.sent(key, identity) }
        }
    }

    func writeAnswered(_ settlement: Settlement, isError: Bool) {
        guard through != nil else { return }
        for key in settlement.keys {
            if isError { through?.failed(key) } else if let identity = through?.answered(key) { fetch(key, identity) }
        }
    }

    /// Something was changed; called on the feed's loop.
    func heardInvalidation(of key: Span<UInt8>) {
        guard through != nil else { return }
        let key = key.copy(0..<key.count)
        if let identity = through?.heard(key) { fetch(key, identity) }
    }

    /// What Redis has under a key now, for whoever asks next.
    private func fetch(_ key: [UInt8], _ identity: Identity) {
        fetch(LocalReader.Question(keys: [key], command: nil), identity, isRefresh: false)
    }
}

/// What all loops of a proxy share.
struct SharedParts: Sendable {
    let metrics: RedisProxyMetrics
    let features: Features
    let slowCommands: SlowOperations
    /// The monitor's instrument, if it is there.
    let operations: OperationRecorder?
    let access: ProxyAccess
}
