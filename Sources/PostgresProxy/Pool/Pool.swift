import Network
import Runtime

/// What a pool has counted since it was made.
struct PoolCounts {
    var queries = 0
    var queryNs = 0
    var transactions = 0
    var transactionNs = 0
    var waits = 0
    var waitNs = 0
    var receivedBytes = 0
    var sentBytes = 0
    var clientParses = 0
    var serverParses = 0
    var binds = 0
    var replays = 0
    var resets = 0
    var captures = 0
    var opened = 0
    var refused = 0
    var lost = 0
    var timeouts = 0
}

/// The server connections of one user in one database with the same start-up settings, and the clients that use them.
/// For the loop's thread.
final class Pool {
    unowned let pooler: Pooler
    let key: PoolKey
    private(set) var servers: [ObjectIdentifier: ServerConnection] = [:]
    /// The one that was used last comes last.
    private(set) var idle: [ServerConnection] = []
    private(set) var waiting = WaitingLine()
    /// Clients that are let in as soon as it is known what the server says about itself.
    private var entering: [ClientSession] = []
    private(set) var clients = 0
    private(set) var connecting = 0
    private var backoff = ConnectBackoff()
    private(set) var welcome: ServerLogin.Welcome?
    var counts = PoolCounts()
    var isPaused = false
    /// Whose only server this pool has; nil for a pool of clients.
    weak var ear: Ear?
    private var willGrow = false
    private(set) var lastUsedMs: Int
    /// Why the last connection was refused, for those who wait too long.
    private var lastRefusal = ""

    init(_ pooler: Pooler, _ key: PoolKey) {
        (self.pooler, self.key) = (pooler, key)
        lastUsedMs = pooler.loop.nowMs
    }

    private var rules: PoolRules { pooler.rules }
    private var loop: EventLoop { pooler.loop }

    var isUnused: Bool { clients == 0 && servers.isEmpty }

    // MARK: Clients

    func join() { clients += 1 }

    /// A client has left; it has given back its server before.
    func leave(_ client: ClientSession) {
        clients -= 1
        lastUsedMs = loop.nowMs
        waiting.remove(client)
        entering.removeAll { $0 === client }
    }

    /// Lets a client in once the server's words for it are known.
    func enter(_ client: ClientSession) {
        if let welcome { return client.enter(welcome) }
        guard entering.count + waiting.count < rules.mostWaiting else { return client.refuse(Self.queueIsFull) }
        client.waitsSinceNs = loop.nowNs
        entering.append(client)
        openForEntering()
    }

    /// The first connection of a pool shows what the server says about itself.
    private func openForEntering() {
        guard !entering.isEmpty, connecting == 0, pooler.serversAllowed(key.account, for: self) > 0 else { return }
        open()
    }

    /// A server for a client: at once, or later by its `leased`.
    ///
    /// - Returns: whether it has one.
    func lease(to client: ClientSession) -> Bool {
        lastUsedMs = loop.nowMs
        if !isPaused, waiting.isEmpty || client.holder != nil, let server = pick(for: client) {
            server.lease(to: client)
            return true
        }
        guard waiting.count < rules.mostWaiting else {
            client.refuse(Self.queueIsFull)
            return false
        }
        client.waitsSinceNs = loop.nowNs
        waiting.append(client)
        grow()
        return false
    }

    func stopWaiting(_ client: ClientSession) { waiting.remove(client) }

    private static let queueIsFull = Complaint.fatal("53300", "sorry, too many clients wait for a server connection")

    private func pick(for client: ClientSession) -> ServerConnection? {
        guard !client.isCaptured else { return nil }
        if let holder = client.holder {
            guard holder.state == .idle, let place = idle.lastIndex(where: { $0 === holder }) else { return nil }
            idle.remove(at: place)
            return holder
        }
        while let place = bestPlace(for: client) {
            let server = idle.remove(at: place)
            if rules.prePing, loop.nowMs - server.idleSinceMs >= rules.pingAfter.milliseconds {
                server.ping()
                continue
            }
            return server
        }
        return nil
    }

    /// Best is one whose session is already like the client's, then one that nobody else wants back as it is.
    private func bestPlace(for client: ClientSession) -> Int? {
        guard !idle.isEmpty else { return nil }
        if rules.selection == .leastUsed { return idle.indices.min { idle[$0].leases < idle[$1].leases } }
        let last = idle.count - 1
        if idle[last].profile === client.profile { return last }
        let near = max(0, idle.count - 16)..<idle.count
        if let same = near.last(where: { idle[$0].profile === client.profile }) { return same }
        return near.last { idle[$0].profile != nil } ?? last
    }

    /// Serves those who wait, as far as there are idle servers.
    func serve() {
        while !idle.isEmpty, !waiting.isEmpty, !isPaused {
            var found: ServerConnection?
            let client = waiting.popFirst { client in
                found = pick(for: client)
                return found != nil
            }
            guard let client, let server = found else { break }
            hand(server, to: client)
        }
        if !waiting.isEmpty { grow() }
    }

    private func hand(_ server: ServerConnection, to client: ClientSession) {
        let waited = loop.nowNs - client.waitsSinceNs
        counts.waits += 1
        counts.waitNs += waited
        pooler.metrics.wait.observe(Double(waited) / 1e9)
        server.lease(to: client)
        client.leased(server)
    }

    // MARK: Servers

    /// A client has no more use for its server, whose every reply has come.
    func giveBack(_ server: ServerConnection) {
        server.unlease()
        settled(server)
    }

    /// A client is gone and has left something behind.
    func abandon(_ server: ServerConnection, isInHaste: Bool) {
        server.settle(isInHaste: isInHaste)
        settled(server)
    }

    /// Something has come from a server that nobody has, or a cancel is through.
    func settled(_ server: ServerConnection) {
        guard server.state == .settling else { return }
        if let ear { return ear.settled(server) }
        guard server.isQuiet else {
            // Without a Sync it never becomes quiet.
            if server.replies.isEmpty { discard(server) }
            return
        }
        guard server.cancels == 0 else { return }
        if server.isSpent || isTooOld(server) || key.isReplication && server.leases > 0 { return discard(server) }
        if !server.isOutsideTransaction || server.needsCleaning { return server.clean() }
        becomesFree(server)
    }

    private func becomesFree(_ server: ServerConnection) {
        if !isPaused,
            let client = waiting.popFirst(where: { !$0.isCaptured && ($0.holder == nil || $0.holder === server) })
        {
            return hand(server, to: client)
        }
        server.rest()
        idle.append(server)
        pooler.poolIsQuieter(self)
    }

    private func isTooOld(_ server: ServerConnection) -> Bool {
        guard rules.recycle > .zero else { return server.isOutdated }
        let age = loop.nowMs - server.openedAtMs
        // Each a little earlier or later, so that not all of them go at once.
        let share = 90 + server.number &* 7 % 21
        return server.isOutdated || age > rules.recycle.milliseconds / 100 * share
    }

    /// Opens what those who wait need.
    func grow() {
        guard let first = waiting.first, !isPaused else { return }
        let demand = PoolSizing.Demand(
            waiting: waiting.count, longestWaitMs: (MonotonicClock.nowNs - first.waitsSinceNs) / 1_000_000,
            connecting: connecting, total: servers.count, allowed: pooler.serversAllowed(key.account, for: self))
        if backoff.mayConnect(nowMs: loop.nowMs) {
            for _ in 0..<PoolSizing(size: rules.size, overflow: rules.overflow).connectionsToOpen(demand) { open() }
        }
        guard !willGrow else { return }
        willGrow = true
        loop.after(milliseconds: backoff.failures == 0 ? PoolSizing.growAfterMs : ConnectBackoff.firstPauseMs) {
            [weak self] in
            guard let self else { return }
            willGrow = false
            grow()
        }
    }

    /// Opens the connection that listens, unless it is under way.
    func openEar() { if servers.isEmpty { open() } }

    private func open() {
        let hosts = pooler.upstream.hosts
        let server = ServerConnection(self, hosts[pooler.hostIndex % hosts.count], number: pooler.nextServerNumber())
        counts.opened += 1
        connecting += 1
        servers[ObjectIdentifier(server)] = server
        guard server.state == .closed else { return }
        var body: [UInt8] = []
        Complaint.fatal("08006", "connect to \(server.host.name): refused").write(to: &body)
        refused(server, body)
    }

    /// Its login is done.
    func opened(_ server: ServerConnection) {
        connecting -= 1
        backoff.succeeded()
        welcome = server.welcome
        for client in entering { client.enter(server.welcome) }
        entering = []
        settled(server)
    }

    /// It could not be reached, or did not let us in.
    ///
    /// - Parameter body: of the ErrorResponse that says why.
    func refused(_ server: ServerConnection, _ body: [UInt8]) {
        guard servers.removeValue(forKey: ObjectIdentifier(server)) != nil else { return }
        server.close()
        connecting -= 1
        counts.refused += 1
        backoff.failed(nowMs: loop.nowMs)
        pooler.hostFailed()
        lastRefusal = ComplaintFields(body.span).message
        Log.warn("no connection to Postgres", ["server": server.host.name, "error": lastRefusal])
        ear?.lost(.fatal("08006", "no connection that listens: \(lastRefusal)"))
        // Who is not in yet hears it in the server's own words, as without the proxy.
        let outside = entering + waiting.all.filter { !$0.isIn }
        entering = []
        for client in outside { client.refuse(body) }
        if !waiting.isEmpty { grow() }
    }

    /// The server, or the way to it, is gone.
    func lost(_ server: ServerConnection) {
        counts.lost += 1
        forget(server)
        ear?.lost(.fatal("57P01", "the server connection that listens is gone"))
        server.client?.serverLost()
        grow()
    }

    /// Closes it.
    func discard(_ server: ServerConnection) {
        server.close()
        forget(server)
        grow()
    }

    private func forget(_ server: ServerConnection) {
        servers[ObjectIdentifier(server)] = nil
        idle.removeAll { $0 === server }
        if let client = server.abandonCapture() { client.captureFailed() }
        if let owner = server.owner, owner.holder === server { owner.holderLost(surely: server.isSurelyChanged) }
        pooler.serverGone()
    }

    // MARK: Time

    /// Several times a second.
    func sweep(nowMs: Int) {
        for client in waiting.all + entering { client.checkWait(nowNs: loop.nowNs, lastRefusal) }
        openForEntering()
        for server in Array(servers.values) {
            switch server.state {
            case .askingForTLS, .loggingIn:
                guard nowMs - server.openedAtMs > rules.connectLimit.milliseconds else { continue }
                var body: [UInt8] = []
                Complaint.fatal("08006", "connect to \(server.host.name): no answer in time").write(to: &body)
                refused(server, body)
            case .settling: if let by = server.settleByMs, nowMs > by { discard(server) }
            case .idle: sweepIdle(server, nowMs)
            case .active, .closed: break
            }
        }
        if servers.count < rules.warm, clients > 0, connecting == 0, backoff.mayConnect(nowMs: nowMs), !isPaused {
            open()
        }
    }

    private func sweepIdle(_ server: ServerConnection, _ nowMs: Int) {
        let idleMs = nowMs - server.idleSinceMs
        if server.profile == nil, idleMs >= Self.captureAfterMs {
            idle.removeAll { $0 === server }
            return server.clean()
        }
        let isExpendable = servers.count > rules.warm
        let isIdleForLong = rules.idleLimit > .zero && idleMs > rules.idleLimit.milliseconds && isExpendable
        let isBeyondSize = servers.count > rules.size && idleMs > Self.overflowIdleMs
        guard isTooOld(server) || isIdleForLong || isBeyondSize else { return }
        guard server.profile != nil else { return }
        discard(server)
    }

    /// Closes an idle connection, so that another pool can open one.
    func giveUpOne() -> Bool {
        guard let server = idle.first(where: { $0.profile != nil }) else { return false }
        discard(server)
        return true
    }

    /// New connections in the place of those there are, as they become free.
    func reconnect() {
        for server in servers.values { server.isOutdated = true }
        for server in idle where server.profile != nil { discard(server) }
    }

    /// A server has turned out not to be the primary: its connections are looked at anew.
    func doubt() {
        reconnect()
        pooler.hostFailed()
    }

    /// Ends everything at once.
    func end() {
        for server in Array(servers.values) {
            server.close()
            forget(server)
        }
    }

    private static let captureAfterMs = 500
    private static let overflowIdleMs = 5_000
}
