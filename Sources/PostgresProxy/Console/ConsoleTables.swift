import Runtime

/// What `SHOW` shows of one moment, in PgBouncer's columns.
struct ConsoleTables {
    private let snapshot: PoolSnapshot
    private let averages: Averages

    init(_ snapshot: PoolSnapshot, averages: Averages) { (self.snapshot, self.averages) = (snapshot, averages) }

    /// The number that exporters and scripts compare is that of the PgBouncer whose console this is.
    static let version = ConsoleAnswer.rows(["version"], [["PgBouncer 1.25.0 (Outrigger)"]])

    /// What drivers ask a server for.
    static let parameters = [
        "server_version": "15.0", "client_encoding": "UTF8", "standard_conforming_strings": "on",
        "datestyle": "ISO, MDY",
        "timezone": "UTC", "transaction_isolation": "read committed",
    ]

    // MARK: Pools and statistics

    var pools: ConsoleAnswer {
        .rows(
            [
                "database", "user", "cl_active", "cl_waiting", "cl_active_cancel_req", "cl_waiting_cancel_req",
                "sv_active", "sv_active_cancel", "sv_being_canceled", "sv_idle", "sv_used", "sv_tested", "sv_login",
                "maxwait", "maxwait_us", "pool_mode", "load_balance_hosts",
            ],
            snapshot.pools.map { pool in
                [
                    pool.database, pool.user, "\(pool.clientsActive + pool.clientsIdle)", "\(pool.clientsWaiting)", "0",
                    "0", "\(pool.serversActive)", "0", "\(pool.serversBeingCancelled)", "\(pool.serversIdle)", "0",
                    "\(pool.serversTested)", "\(pool.serversLogin)",
                ] + Self.time(pool.longestWaitMicroseconds) + [pool.mode.rawValue, nil]
            })
    }

    private static let counted = [
        "server_assignment_count", "xact_count", "query_count", "received", "sent", "xact_time", "query_time",
        "wait_time",
        "client_parse_count", "server_parse_count", "bind_count",
    ]

    private static let totalColumns = counted.map { "total_" + $0 }
    private static let averageColumns = counted.map { $0 == "received" ? "avg_recv" : "avg_" + $0 }

    func statistics(totals: Bool, averages isAveraged: Bool) -> ConsoleAnswer {
        .rows(
            ["database"] + (totals ? Self.totalColumns : []) + (isAveraged ? Self.averageColumns : []),
            Averages.perDatabase(snapshot).map { one in
                [one.database] + (totals ? one.totals.map { "\($0)" } : [])
                    + (isAveraged ? averages.row(one.database).map { "\($0)" } : [])
            })
    }

    /// Over all databases.
    var totals: ConsoleAnswer {
        var sum = PoolSnapshot.Statistics()
        for one in snapshot.statistics { sum.add(one) }
        return .rows(["name", "value"], zip(Self.totalColumns, sum.totals).map { [$0, "\($1)"] })
    }

    // MARK: Connections

    private static let socketColumns = [
        "type", "user", "database", "replication", "state", "addr", "port", "local_addr", "local_port", "connect_time",
        "request_time", "wait", "wait_us", "close_needed", "ptr", "link", "remote_pid", "tls", "application_name",
        "prepared_statements", "id",
    ]

    var clients: ConsoleAnswer { .rows(Self.socketColumns, snapshot.clients.map(row)) }
    var servers: ConsoleAnswer { .rows(Self.socketColumns, snapshot.servers.map(row)) }

    func sockets(where isWanted: (String) -> Bool) -> ConsoleAnswer {
        .rows(
            Self.socketColumns,
            snapshot.clients.filter { isWanted($0.state) }.map(row)
                + snapshot.servers.filter { isWanted($0.state) }.map(row))
    }

    private func row(_ client: PoolSnapshot.Client) -> [String?] {
        let (host, port) = Self.place(client.peer)
        let wait = Self.time(client.waitMicroseconds)
        return [
            "C", client.user, client.database, "none", client.state, host, port, "", "0", ago(client.connectedForMs),
            ago(client.idleForMs), wait[0], wait[1], "0", Self.pointer("c", Int(client.number)),
            client.server.map { Self.pointer("s", $0) } ?? "", "0", client.usesTLS ? "TLS" : "", client.applicationName,
            "\(client.preparedStatements)", "\(client.number)",
        ]
    }

    private func row(_ server: PoolSnapshot.Server) -> [String?] {
        let name = server.client.flatMap { number in snapshot.clients.first { $0.number == number } }?.applicationName
        return [
            "S", server.user, server.database, "none", server.state, server.host, "\(server.port)", "", "0",
            ago(server.openedForMs), ago(0), "0", "0", "0", Self.pointer("s", server.number),
            server.client.map { Self.pointer("c", Int($0)) } ?? "", "\(server.pid)", server.usesTLS ? "TLS" : "",
            name ?? "", "\(server.preparedStatements)", "\(server.number)",
        ]
    }

    // MARK: What is configured

    var databases: ConsoleAnswer {
        .rows(
            [
                "name", "host", "port", "database", "force_user", "pool_size", "min_pool_size", "reserve_pool_size",
                "server_lifetime", "pool_mode", "load_balance_hosts", "max_connections", "current_connections",
                "max_client_connections", "current_client_connections", "paused", "disabled",
            ],
            snapshot.databases.map { one in
                let clients = snapshot.clients.count { $0.database == one.name }
                return [
                    one.name, one.host, "\(one.port)", one.name, nil, "\(one.poolSize)", "\(one.warm)",
                    "\(one.overflow)", setting("server_lifetime"), one.mode.rawValue, nil, "\(one.mostConnections)",
                    "\(one.connections)", "0", "\(clients)", one.isPaused ? "1" : "0", one.isDisabled ? "1" : "0",
                ]
            })
    }

    var users: ConsoleAnswer {
        .rows(
            [
                "name", "pool_size", "reserve_pool_size", "pool_mode", "max_user_connections", "current_connections",
                "max_user_client_connections", "current_client_connections",
            ],
            snapshot.users.map { user in
                [
                    user, nil, nil, nil, "0", "\(snapshot.servers.count { $0.user == user })", "0",
                    "\(snapshot.clients.count { $0.user == user })",
                ]
            })
    }

    var configuration: ConsoleAnswer {
        .rows(
            ["key", "value", "default", "changeable"],
            snapshot.configuration.map { [$0.name, $0.value, nil, "no"] })
    }

    private func setting(_ name: String) -> String? { snapshot.configuration.first { $0.name == name }?.value }

    // MARK: The process

    var lists: ConsoleAnswer {
        let counts = [
            ("databases", snapshot.databases.count), ("users", snapshot.users.count), ("peers", 0),
            ("pools", snapshot.pools.count), ("peer_pools", 0), ("free_clients", 0),
            ("used_clients", snapshot.clients.count), ("login_clients", snapshot.guests), ("free_servers", 0),
            ("used_servers", snapshot.servers.count), ("dns_names", 0), ("dns_zones", 0), ("dns_queries", 0),
            ("dns_pending", 0),
        ]
        return .rows(["list", "items"], counts.map { [$0.0, "\($0.1)"] })
    }

    var state: ConsoleAnswer {
        let isPaused = !snapshot.databases.isEmpty && snapshot.databases.allSatisfy(\.isPaused)
        func word(_ isSo: Bool) -> String { isSo ? "yes" : "no" }
        return .rows(
            ["key", "value"],
            [
                ["active", word(!isPaused && !snapshot.isShuttingDown)], ["paused", word(isPaused)],
                ["suspended", "no"], ["shutting_down", word(snapshot.isShuttingDown)],
            ])
    }

    /// PgBouncer tells of its slabs; here, of what is kept by kind.
    var memory: ConsoleAnswer {
        .rows(
            ["name", "size", "used", "free", "memtotal"],
            [
                ["client_cache", nil, "\(snapshot.clients.count)", "0", nil],
                ["server_cache", nil, "\(snapshot.servers.count)", "0", nil],
                ["prepared_statement_cache", nil, "\(snapshot.preparedTexts)", "0", nil],
            ])
    }

    /// Sockets are handed to a successor by the service manager, not through the console, so there are none to tell.
    var descriptors: ConsoleAnswer {
        .rows(
            [
                "fd", "task", "user", "database", "addr", "port", "cancel", "link", "client_encoding", "std_strings",
                "datestyle", "timezone", "password",
            ], [])
    }

    // MARK: Words

    /// Columns that hold numbers, so that clients convert them as they do PgBouncer's.
    static func isNumber(_ column: String) -> Bool {
        numbers.contains(column)
            || ["cl_", "sv_", "total_", "avg_", "current_", "max_"].contains { column.hasPrefix($0) }
    }

    private static let numbers: Set<String> = [
        "maxwait", "maxwait_us", "port", "local_port", "wait", "wait_us", "close_needed", "remote_pid",
        "prepared_statements", "id", "pool_size", "min_pool_size", "reserve_pool_size", "server_lifetime", "paused",
        "disabled", "items", "ttl", "serial", "count", "peer_id", "size", "used", "free", "memtotal", "fd",
    ]

    private static func time(_ microseconds: Int) -> [String?] {
        ["\(microseconds / 1_000_000)", "\(microseconds % 1_000_000)"]
    }

    private static func pointer(_ kind: Character, _ number: Int) -> String {
        let digits = String(max(0, number), radix: 16)
        return "0x\(kind == "c" ? "c" : "5")" + String(repeating: "0", count: max(0, 11 - digits.count)) + digits
    }

    private func ago(_ milliseconds: Int) -> String {
        let at = WallClock.nowMilliseconds - Int64(max(0, milliseconds))
        let text = RFC3339.text(seconds: at / 1000, nanoseconds: 0, fractionDigits: 0)
        return text.replacing("T", with: " ").replacing("Z", with: " UTC")
    }

    private static func place(_ peer: String) -> (host: String, port: String) {
        guard !peer.hasPrefix("unix:"), let colon = peer.lastIndex(of: ":") else { return ("unix", "0") }
        let host = peer[..<colon].drop { $0 == "[" }
        return (String(host.hasSuffix("]") ? host.dropLast() : host), String(peer[peer.index(after: colon)...]))
    }
}
