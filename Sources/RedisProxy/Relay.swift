import Cache
import Operations
import Runtime

/// One loop of the proxy: its clients, and its connections to Redis. Everything but `init` happens on the loop's thread.
final class Relay: @unchecked Sendable {
    let loop: EventLoop
    let options: RelayOptions
    let metrics: RedisProxyMetrics
    let features: Features
    let slowCommands: SlowCommands
    let monitor: CommandMonitor?
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
    private var lanes: [Identity: Lane] = [:]
    private var sessions: [ObjectIdentifier: RelaySession] = [:]
    private var accepted = 0

    init(_ loop: EventLoop, _ options: RelayOptions, _ shared: SharedParts) {
        self.loop = loop
        self.options = options
        if case .fixed(let address) = options.place { home = RedisNode(at: address) } else { home = RedisNode() }
        metrics = shared.metrics
        features = shared.features
        slowCommands = shared.slowCommands
        monitor = shared.operations.map { CommandMonitor($0) }
    }

    /// To be called before `start`.
    func use(_ local: LocalLevel) {
        let chorus = FeedChorus(local.freshness)
        (reader, self.chorus) = (LocalReader(local), chorus)
        if case .cluster = options.place { return }
        home.feed = InvalidationFeed(self, home, local, chorus.voice())
    }

    /// To be called on the loop's thread, before the first client.
    func start() {
        switch options.place {
        case .fixed: break
        case .sentinel(let settings): sentinel = SentinelMaster(settings, self)
        case .cluster(let settings): cluster = ClusterNodes(settings, self)
        }
        home.feed?.start()
        sentinel?.start()
        cluster?.start()
        watch()
    }

    func end() {
        home.feed?.end()
        sentinel?.stop()
        cluster?.stop()
    }

    private func watch() {
        loop.after(milliseconds: 100) { [weak self] in
            guard let self else { return }
            for lane in Array(lanes.values) { lane.checkDeadlines(nowMs: loop.nowMs) }
            cluster?.forgetRetired { node in lanes.values.contains { $0.isIn(contactWith: node) } }
            monitor?.flush()
            watch()
        }
    }

    // MARK: Clients

    func accept(_ client: StreamConnection) {
        accepted += 1
        metrics.accepted.add()
        let session = RelaySession(client, self, number: accepted)
        sessions[ObjectIdentifier(session)] = session
        metrics.clients.move(by: 1)
        client.owner = session
    }

    func forget(_ session: RelaySession) {
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        metrics.clients.move(by: -1)
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

    /// Connections of clients' own users and of databases that nobody is in any more are closed.
    func leave(_ lane: Lane) {
        lane.clients -= 1
        guard lane.clients == 0, lane.identity != Identity(database: options.database) else { return }
        lanes[lane.identity] = nil
        lane.close()
    }

    /// Closes all connections to Redis; whatever waits for a reply is told.
    func closeConnections() { for lane in Array(lanes.values) { lane.close() } }

    /// What to say first on a connection, and whether a refusal is worth a line in the log.
    func greeting(for identity: Identity) -> [(command: [UInt8], isCritical: Bool)] {
        var commands: [(command: [UInt8], isCritical: Bool)] = []
        if let credentials = identity.credentials ?? options.credentials {
            var command: [UInt8] = []
            credentials.append(to: &command)
            commands.append((command, identity.credentials == nil))
        }
        if identity.version == .three {
            var command: [UInt8] = []
            command.append(command: ["HELLO", "3"])
            commands.append((command, false))
        }
        if identity.database != 0 {
            var command: [UInt8] = []
            command.append(command: ["SELECT", "\(identity.database)"])
            commands.append((command, false))
        }
        return commands
    }

    func noteRefusedGreeting(_ reply: [UInt8], by node: RedisNode) {
        Log.error(
            "Redis refused us",
            ["upstream": "\(node)", "reply": String(decoding: reply.prefix(200), as: UTF8.self)])
    }

    func failedToConnect(to node: RedisNode) {
        doubtTopology()
        let openings = node.breaker.openings
        node.breaker.failed(nowMs: loop.nowMs)
        guard node.breaker.openings > openings else { return }
        metrics.breakerOpenings.add()
        metrics.breakerIsOpen.set(1)
        Log.error("Redis cannot be reached: it is left alone for a while", ["upstream": "\(node)"])
    }

    /// Perhaps the master is another by now.
    func doubtTopology() {
        sentinel?.doubted()
        cluster?.doubted()
    }

    func connectionAnswered(by node: RedisNode) {
        if !node.breaker.isClosed { Log.info("Redis is back", ["upstream": "\(node)"]) }
        node.breaker.succeeded()
        metrics.breakerIsOpen.set(cluster?.hasOpenBreaker == true ? 1 : 0)
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

    /// Fetches what is here anew, for nobody in particular.
    func refresh(_ question: LocalReader.Question, _ identity: Identity) {
        guard let reader, features.isOn(.refreshAhead), let lane = lanes[identity] else { return }
        guard case .fetches(let fetches) = reader.begin(question, identity, isRefresh: true, nowMs: loop.nowMs),
            fetches.contains(where: { $0 != nil })
        else { return }
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

    func noteHit(_ command: Command) {
        metrics.received(command.family)
        metrics.answered(from: .local)
        monitor?.noteHit(command.family)
    }

    /// Counts a command that Redis has answered.
    func note(_ pending: Pending, replyBytes: Int, isError: Bool) {
        let durationNs = loop.nowNs - pending.sentNs
        metrics.note(pending.family, durationNs: durationNs, isError: isError)
        monitor?.note(pending.family, durationNs: durationNs, isError: isError)
        if durationNs >= options.slowCommandMs * 1_000_000 {
            slowCommands.add(pending.name, durationNs: durationNs, replyBytes: replyBytes)
        }
    }

    /// Something was changed; called on the feed's loop.
    func heardInvalidation(of key: Span<UInt8>) {}
}

/// What all loops of a proxy share.
struct SharedParts: Sendable {
    let metrics: RedisProxyMetrics
    let features: Features
    let slowCommands: SlowCommands
    /// The monitor's instrument, if it is there.
    let operations: OperationRecorder?
}
