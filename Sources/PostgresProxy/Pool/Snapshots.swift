import Runtime

extension PoolCounts {
    mutating func add(_ other: PoolCounts) {
        queries += other.queries
        queryNs += other.queryNs
        transactions += other.transactions
        transactionNs += other.transactionNs
        waits += other.waits
        waitNs += other.waitNs
        receivedBytes += other.receivedBytes
        sentBytes += other.sentBytes
        clientParses += other.clientParses
        serverParses += other.serverParses
        binds += other.binds
        replays += other.replays
        resets += other.resets
        captures += other.captures
        opened += other.opened
        refused += other.refused
        lost += other.lost
        timeouts += other.timeouts
    }

    func statistics(of account: PoolKey.Account) -> PoolSnapshot.Statistics {
        var result = PoolSnapshot.Statistics()
        result.database = String(decoding: account.database, as: UTF8.self)
        result.user = String(decoding: account.user, as: UTF8.self)
        (result.queries, result.transactions) = (queries, transactions)
        (result.queryMicroseconds, result.transactionMicroseconds) = (queryNs / 1000, transactionNs / 1000)
        (result.waits, result.waitMicroseconds) = (waits, waitNs / 1000)
        (result.receivedBytes, result.sentBytes) = (receivedBytes, sentBytes)
        (result.clientParses, result.serverParses, result.binds) = (clientParses, serverParses, binds)
        (result.replays, result.resets, result.captures) = (replays, resets, captures)
        (result.serversOpened, result.serversRefused, result.serversLost) = (opened, refused, lost)
        result.timeouts = timeouts
        return result
    }
}

extension Pool {
    /// Whether no server is given out.
    var isQuiet: Bool { servers.values.allSatisfy { $0.state != .active } }

    func snapshot(nowNs: Int) -> PoolSnapshot.Pool {
        var result = PoolSnapshot.Pool()
        result.database = String(decoding: key.database, as: UTF8.self)
        result.user = String(decoding: key.user, as: UTF8.self)
        result.mode = key.mode
        for server in servers.values {
            switch server.state {
            case .active: result.serversActive += 1
            case .idle: result.serversIdle += 1
            case .settling:
                if server.cancels > 0 { result.serversBeingCancelled += 1 } else { result.serversTested += 1 }
            case .askingForTLS, .loggingIn: result.serversLogin += 1
            case .closed: break
            }
        }
        result.clientsActive = result.serversActive
        result.clientsWaiting = waiting.count
        result.clientsIdle = max(0, clients - result.clientsActive - result.clientsWaiting)
        result.longestWaitMicroseconds = waiting.first.map { max(0, nowNs - $0.waitsSinceNs) / 1000 } ?? 0
        result.isPaused = isPaused
        return result
    }
}

extension ServerConnection {
    var usesTLS: Bool { connection?.usesTLS ?? false }

    func snapshot(nowMs: Int) -> PoolSnapshot.Server {
        var result = PoolSnapshot.Server()
        result.number = number
        result.user = String(decoding: pool.key.user, as: UTF8.self)
        result.database = String(decoding: pool.key.database, as: UTF8.self)
        switch state {
        case .active: result.state = "active"
        case .idle: result.state = "idle"
        case .settling: result.state = "tested"
        case .askingForTLS, .loggingIn, .closed: result.state = "login"
        }
        (result.host, result.port, result.usesTLS) = (host.name, Int(host.port), usesTLS)
        (result.pid, result.openedForMs, result.leases) = (welcome.pid, nowMs - openedAtMs, leases)
        (result.client, result.preparedStatements) = (client?.number, statements.count)
        return result
    }
}

extension ClientSession {
    func snapshot(nowMs: Int, nowNs: Int) -> PoolSnapshot.Client {
        var result = PoolSnapshot.Client()
        result.number = number
        result.user = String(decoding: request?.user ?? [], as: UTF8.self)
        result.database = String(decoding: request?.database ?? [], as: UTF8.self)
        result.applicationName = String(
            decoding: parameters.values[Array("application_name".utf8)] ?? [], as: UTF8.self)
        result.state = isWaiting ? "waiting" : server != nil ? "active" : isIn ? "idle" : "login"
        (result.peer, result.usesTLS) = ("\(connection.peer)", connection.usesTLS)
        (result.connectedForMs, result.idleForMs) = (nowMs - connectedAtMs, nowMs - lastActiveMs)
        result.waitMicroseconds = isWaiting ? max(0, nowNs - waitsSinceNs) / 1000 : 0
        (result.server, result.preparedStatements) = (server?.number, preparedCount)
        result.pins = PinReason.allCases.filter { !pins.isDisjoint(with: $0.effect) }
        return result
    }
}

extension PoolRules {
    /// For the console.
    var settings: [(name: String, value: String)] {
        [
            ("pool_mode", mode.rawValue), ("default_pool_size", "\(size)"), ("reserve_pool_size", "\(overflow)"),
            ("min_pool_size", "\(warm)"), ("query_wait_timeout", "\(waitLimit.seconds)"),
            ("server_lifetime", "\(recycle.seconds)"), ("server_idle_timeout", "\(idleLimit.seconds)"),
            ("server_connect_timeout", "\(connectLimit.seconds)"), ("max_client_conn", "\(mostClients)"),
            ("max_user_connections", "\(mostServers)"), ("query_timeout", "\(statementLimit.seconds)"),
            ("transaction_timeout", "\(transactionLimit.seconds)"),
            ("idle_transaction_timeout", "\(idleTransactionLimit.seconds)"),
            ("client_idle_timeout", "\(clientIdleLimit.seconds)"), ("client_login_timeout", "\(loginLimit.seconds)"),
            ("max_prepared_statements", "\(mostPrepared)"),
        ]
    }
}
