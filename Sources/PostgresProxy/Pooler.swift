import Metrics
import Network
import Operations
import Runtime
import Serving

/// One loop of the proxy: its clients, and its pools of connections to Postgres. Everything but `init` happens on the
/// loop's thread.
final class Pooler: @unchecked Sendable {
    let loop: EventLoop
    let upstream: Upstream
    private(set) var rules: PoolRules
    let access: ProxyDoor
    let metrics: PostgresProxyMetrics
    let console: (any Console)?
    weak var control: PostgresProxy?
    let profiles = SettingsProfiles()
    let reported = ReportedSets()
    let texts = PreparedTexts()
    let salted: SaltedPasswords
    private(set) lazy var cancels = CancelDesk(self)
    private var pools: [PoolKey: Pool] = [:]
    private var clients: [ObjectIdentifier: ClientSession] = [:]
    private var ears: [PoolKey.Account: Ear] = [:]
    private var pids: Set<Int32> = []
    private var lobby = Lobby()
    private var lastServer = 0
    private var lastClient: Int32 = 0
    private var lastSerial: UInt64 = 0
    private(set) var hostIndex = 0
    private var pausedDatabases: Set<String> = []
    private var isPausedAll = false
    private var disabledDatabases: Set<String> = []
    private(set) var isShuttingDown = false
    private var waitingForQuiet: [(isQuiet: () -> Bool, then: () -> Void)] = []
    private var isSweeping = false
    private let operations: StatementMonitor?
    private let slow: SlowOperations
    let features: FeatureSwitches<PostgresFeature>
    /// Of pools that are gone.
    private var past: [PoolKey.Account: PoolCounts] = [:]

    private static let sweepMs = 100
    private static let forgottenAfterMs = 60_000

    init(
        _ loop: EventLoop, _ upstream: Upstream, _ rules: PoolRules, _ access: ProxyDoor, console: (any Console)?,
        metrics: PostgresProxyMetrics, operations: OperationRecorder?, slow: SlowOperations,
        features: FeatureSwitches<PostgresFeature>
    ) {
        self.features = features
        self.slow = slow
        (self.loop, self.upstream, self.rules, self.access) = (loop, upstream, rules, access)
        (self.console, self.metrics) = (console, metrics)
        salted = SaltedPasswords(on: loop)
        self.operations = operations.map { StatementMonitor($0) }
    }

    // MARK: Clients

    func accept(_ connection: StreamConnection) {
        metrics.accepted.add()
        lastClient = lastClient == .max ? 1 : lastClient + 1
        let client = ClientSession(connection, self, number: lastClient)
        clients[ObjectIdentifier(client)] = client
        connection.owner = client
        if let oldest = lobby.add(client) {
            metrics.late.add()
            oldest.connection.close()
        }
        sweepSoon()
    }

    func forget(_ client: ClientSession) {
        clients[ObjectIdentifier(client)] = nil
        lobby.remove(client)
        if let key = client.key { pids.remove(key.pid) }
        checkQuiet()
    }

    func hasRoom(for client: ClientSession) -> Bool { clients.count - lobby.count < rules.mostClients }

    /// A number that looks like that of a process, and that no client has.
    func freePID() -> Int32 {
        while true {
            let pid = Int32.random(in: 1...Int32.max)
            if pids.insert(pid).inserted { return pid }
        }
    }

    func clients(numbered pid: Int32) -> Bool { pids.contains(pid) }

    func nextSerial() -> UInt64 {
        lastSerial += 1
        return lastSerial
    }

    func isConsole(_ database: [UInt8]) -> Bool {
        guard console != nil else { return false }
        return database.elementsEqual("outrigger".utf8) || database.elementsEqual("pgbouncer".utf8)
    }

    /// Why nobody may use a database now.
    func refusal(of database: [UInt8]) -> Complaint? {
        let name = String(decoding: database, as: UTF8.self)
        guard disabledDatabases.contains(name) else { return nil }
        return .fatal("08P01", "database \"\(name)\" is disabled")
    }

    // MARK: Pools

    func pool(_ key: PoolKey) -> Pool {
        if let known = pools[key] { return known }
        let pool = Pool(self, key)
        pool.isPaused = isPaused(key.database)
        pools[key] = pool
        return pool
    }

    /// The connection that listens for all of an account.
    func ear(of account: PoolKey.Account) -> Ear {
        if let known = ears[account] { return known }
        let ear = Ear(self, account)
        ears[account] = ear
        return ear
    }

    private func isPaused(_ database: [UInt8]) -> Bool {
        isPausedAll || pausedDatabases.contains(String(decoding: database, as: UTF8.self))
    }

    func nextServerNumber() -> Int {
        lastServer += 1
        return lastServer
    }

    /// The next connection is tried elsewhere.
    func hostFailed() { hostIndex = (hostIndex + 1) % upstream.hosts.count }

    /// How many connections the pool's user may still open; an idle one of another pool of the same user makes room.
    func serversAllowed(_ account: PoolKey.Account, for pool: Pool) -> Int {
        let others = pools.values.filter { $0.key.account == account }
        let left = rules.mostServers - others.reduce(0) { $0 + $1.servers.count }
        guard left <= 0 else { return left }
        return others.contains { $0 !== pool && $0.giveUpOne() } ? 1 : 0
    }

    /// A pool has a server that nobody of its own needs.
    func poolIsQuieter(_ pool: Pool) { checkQuiet() }

    func serverGone() { checkQuiet() }

    func notePins(_ pinning: SessionEffects = []) {
        for reason in PinReason.allCases where !pinning.isDisjoint(with: reason.effect) {
            metrics.pins.with([reason.rawValue]).add()
        }
    }

    func statementEnded(tookNs: Int, _ statement: LastStatement) {
        metrics.duration.observe(Double(tookNs) / 1e9)
        operations?.note(statement, tookNs: tookNs)
        guard tookNs >= LastStatement.slowNs else { return }
        slow.add(statement.fingerprint, durationNs: tookNs, replyBytes: 0)
    }

    // MARK: Time

    /// Whoever waits, or takes too long, is looked at several times a second, as long as there is anybody.
    private func sweepSoon() {
        guard !isSweeping else { return }
        isSweeping = true
        loop.after(milliseconds: Self.sweepMs) { [weak self] in
            guard let self else { return }
            isSweeping = false
            sweep()
            if !clients.isEmpty || !pools.isEmpty { sweepSoon() }
        }
    }

    private func sweep() {
        let now = loop.nowMs
        if rules.loginLimit > .zero {
            for client in lobby.late(before: now - rules.loginLimit.milliseconds) {
                metrics.late.add()
                client.refuse(.fatal("08P01", "client_login_timeout"))
            }
        }
        for pool in Array(pools.values) {
            pool.sweep(nowMs: now)
            guard pool.isUnused, now - pool.lastUsedMs > Self.forgottenAfterMs else { continue }
            past[pool.key.account, default: PoolCounts()].add(pool.counts)
            pools[pool.key] = nil
        }
        for (account, ear) in ears {
            ear.sweep(nowMs: now)
            guard ear.isUnused else { continue }
            ear.end()
            ears[account] = nil
        }
        for client in Array(clients.values) { client.checkLimits(nowMs: now, nowNs: loop.nowNs) }
        cancels.sweep(nowMs: now)
        checkQuiet()
    }

    // MARK: Control

    func apply(_ rules: PoolRules) {
        self.rules = rules
        for pool in pools.values { pool.grow() }
    }

    private func pools(of database: String?) -> [Pool] {
        pools.values.filter { database == nil || String(decoding: $0.key.database, as: UTF8.self) == database }
    }

    /// Calls `then` once no server of these pools is given out.
    func pause(_ database: String?, then: @escaping () -> Void) {
        if let database { pausedDatabases.insert(database) } else { isPausedAll = true }
        for pool in pools(of: database) { pool.isPaused = true }
        waitingForQuiet.append(({ [unowned self] in pools(of: database).allSatisfy(\.isQuiet) }, then))
        checkQuiet()
    }

    func resume(_ database: String?) {
        if let database { pausedDatabases.remove(database) } else { (isPausedAll, pausedDatabases) = (false, []) }
        for pool in pools(of: database) where !isPaused(pool.key.database) {
            pool.isPaused = false
            pool.serve()
        }
    }

    func disable(_ database: String) { disabledDatabases.insert(database) }

    func enable(_ database: String) { disabledDatabases.remove(database) }

    func reconnect(_ database: String?) { for pool in pools(of: database) { pool.reconnect() } }

    func kill(_ database: String?) {
        for client in Array(clients.values) {
            guard let pool = client.pool, pools(of: database).contains(where: { $0 === pool }) else { continue }
            client.refuse(.fatal("57P01", "terminating connection due to administrator command"))
        }
        for pool in pools(of: database) { pool.end() }
    }

    func killClient(_ number: Int32) -> Bool {
        guard let client = clients.values.first(where: { $0.number == number }) else { return false }
        client.refuse(.fatal("57P01", "terminating connection due to administrator command"))
        return true
    }

    /// Lets nobody in any more; whoever is between transactions has to go, the others once they are.
    func shutDown(then: @escaping () -> Void) {
        isShuttingDown = true
        for client in Array(clients.values) { client.leaveIfIdle() }
        waitingForQuiet.append(({ [unowned self] in !clients.values.contains { $0.isIn } }, then))
        checkQuiet()
    }

    private func checkQuiet() {
        guard !waitingForQuiet.isEmpty else { return }
        let done = waitingForQuiet.filter { $0.isQuiet() }
        guard !done.isEmpty else { return }
        waitingForQuiet.removeAll { $0.isQuiet() }
        for entry in done { entry.then() }
    }

    /// Every connection is closed; the loop ends after it.
    func end() {
        for pool in pools.values { pool.end() }
        for ear in ears.values { ear.end() }
        for client in Array(clients.values) { client.connection.close() }
        (pools, ears) = ([:], [:])
    }

    // MARK: Looking

    func snapshot() -> PoolSnapshot {
        var snapshot = PoolSnapshot()
        var statistics: [PoolKey.Account: PoolCounts] = past
        var databases: [String: PoolSnapshot.Database] = [:]
        var users: Set<String> = []
        for pool in pools.values {
            snapshot.pools.append(pool.snapshot(nowNs: loop.nowNs))
            snapshot.servers += pool.servers.values.map { $0.snapshot(nowMs: loop.nowMs) }
            statistics[pool.key.account, default: PoolCounts()].add(pool.counts)
            users.insert(String(decoding: pool.key.user, as: UTF8.self))
            let name = String(decoding: pool.key.database, as: UTF8.self)
            var database = databases[name] ?? PoolSnapshot.Database()
            database.name = name
            database.host = upstream.hosts[hostIndex].name
            database.port = Int(upstream.hosts[hostIndex].port)
            (database.poolSize, database.overflow, database.warm) = (rules.size, rules.overflow, rules.warm)
            database.mode = rules.mode
            database.mostConnections = rules.mostServers
            database.connections += pool.servers.count
            database.isPaused = isPaused(pool.key.database)
            database.isDisabled = disabledDatabases.contains(name)
            databases[name] = database
        }
        snapshot.clients = clients.values.map { $0.snapshot(nowMs: loop.nowMs, nowNs: loop.nowNs) }
        snapshot.statistics = statistics.map { account, counts in counts.statistics(of: account) }
        snapshot.databases = databases.values.sorted { $0.name < $1.name }
        snapshot.users = users.sorted()
        snapshot.configuration = rules.settings
        (snapshot.guests, snapshot.preparedTexts, snapshot.isShuttingDown) = (lobby.count, texts.count, isShuttingDown)
        return snapshot
    }
}
