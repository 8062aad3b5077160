import Databases
import Network
import Runtime
import Serving

/// Where the Postgres proxy listens, whom it lets in, and what stands behind it, as set.
public struct PostgresProxySettings: Sendable {
    private let address: ListenAddress?
    private let unixSocket: (path: String, mode: UInt32)?
    private let upstream: PostgresAddress?
    private let tls: TLSServerSettings?
    private let users: [(name: String, password: String)]
    private let requiresPassword: Bool
    public let rules: PoolRules
    /// Who may log in to the database `outrigger`.
    public let consoleRights: AdminConsole.Rights
    /// Names, or beginnings of names, of settings that `PostgresProxy.apply` takes while it runs.
    public static let liveSettings = [
        "pool_size", "max_overflow", "min_pool_size", "pool_timeout", "pool_recycle", "pool_pre_ping", "idle_timeout",
        "connect_timeout", "max_user_connections", "max_clients", "max_waiting", "max_prepared_statements",
        "client_login_timeout", "client_idle_timeout", "transaction_timeout", "command_timeout", "selection",
    ].map { "postgres_proxy." + $0 }

    /// Whether there is anything that clients could connect to.
    public var hasEntrance: Bool { address != nil || unixSocket != nil }

    /// - Parameter watched: the Postgres that is watched, in front of which the proxy stands unless another is named.
    public init(_ settings: Settings, watched: String?) throws(SettingsError) {
        address = try settings.read(
            "postgres_proxy.listen_address", as: ListenAddress.self,
            "Where the Postgres proxy listens, such as 127.0.0.1:6432. Beyond loopback only with TLS and passwords. Off when not set."
        )
        let path: String? = try settings.read(
            "postgres_proxy.unix_socket",
            "Path of a Unix socket to listen on as well, such as /run/outrigger/.s.PGSQL.6432.")
        let mode = try settings.read(
            "postgres_proxy.unix_socket_mode", default: FileMode(0o700), "Who may connect to it, as for chmod.",
            in: FileMode(0)...FileMode(0o777))
        unixSocket = path.map { ($0, mode.bits) }
        let url: String? = try settings.read(
            "postgres_proxy.upstream_url",
            "Connection string of the Postgres behind the proxy when it is not the first that is watched, as libpq reads it."
        )
        let text = url.flatMap { $0.isEmpty ? nil : $0 } ?? watched
        do {
            upstream = try text.map { text throws(PostgresError) in try PostgresAddress(text) }
        } catch {
            throw SettingsError(place: settings.fileName, key: "postgres_proxy.upstream_url", problem: "\(error)")
        }
        tls = try TLSServerSettings.read(settings, "postgres_proxy.tls")
        requiresPassword = try settings.read(
            "postgres_proxy.require_auth", default: false, "Ask clients on this machine for a password, too.")
        users = try settings.readItems("postgres_proxy.users", "Users who may log in with a password (SCRAM-SHA-256).")
        {
            item throws(SettingsError) in
            (
                name: try item.require("name", "As Postgres knows it."),
                password: try item.require("password", "Its password, or SCRAM-SHA-256$… as Postgres stores it.")
            )
        }
        rules = try PoolRules(settings)
        consoleRights = AdminConsole.Rights(
            admins: Set(
                try settings.readList(
                    "postgres_proxy.admin_users", default: ["outrigger", "pgbouncer"],
                    "Users who may do everything in the console, the database outrigger (or pgbouncer). They log in as for any database."
                )),
            readers: Set(
                try settings.readList(
                    "postgres_proxy.stats_users", default: ["stats"],
                    "Users who may SHOW in the console, and nothing else.")))
        try check(settings)
    }

    private func check(_ settings: Settings) throws(SettingsError) {
        func failure(_ key: String, _ problem: String) -> SettingsError {
            SettingsError(place: settings.fileName, key: key, problem: problem)
        }
        guard hasEntrance else { return }
        guard upstream != nil else {
            throw failure(
                "postgres_proxy.upstream_url", "there is no Postgres behind the proxy: set it, or DATABASE_URL")
        }
        if requiresPassword, users.isEmpty {
            throw failure("postgres_proxy.require_auth", "needs postgres_proxy.users")
        }
        guard let address, !address.isLoopback else { return }
        var missing: [String] = []
        if users.isEmpty { missing.append("postgres_proxy.users") }
        if tls == nil { missing.append("postgres_proxy.tls.cert_file and key_file") }
        guard missing.isEmpty else {
            throw failure(
                "postgres_proxy.listen_address",
                "\(address) can be reached from other machines, which needs \(missing.joined(separator: ", and "))")
        }
    }

    public var entrances: PostgresProxy.Entrances { PostgresProxy.Entrances(address: address, unixSocket: unixSocket) }

    /// Reads the files of TLS.
    public func makeDoor() throws(TLSError) -> ProxyDoor {
        ProxyDoor(users: users, requiresPassword: requiresPassword, tls: try tls?.make())
    }

    /// Asks libpq what the connection string means, and looks names up, which blocks. Nil without an upstream.
    public func makeUpstream() throws -> Upstream? {
        guard let upstream else { return nil }
        let passwords = users.filter { SCRAM.Verifier($0.password) == nil }
        return try Upstream(
            try upstream.completed(), passwords: Dictionary(passwords.map { ($0.name, $0.password) }) { $1 })
    }

    /// For people.
    public var upstreamName: String { upstream?.server ?? "nothing" }
}

extension Upstream {
    /// - Parameter address: complete, with what libpq adds to it.
    public init(_ address: PostgresAddress, passwords: [String: String] = [:]) throws {
        let names = (address["host"] ?? "localhost").split(separator: ",", omittingEmptySubsequences: false).map(
            String.init)
        let ports = (address["port"] ?? "5432").split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        let mode = address["sslmode"].flatMap { TLSMode(rawValue: $0) } ?? .prefer
        var hosts: [Host] = []
        for (index, name) in names.enumerated() {
            let name = name.isEmpty ? "localhost" : name
            let port = UInt16(ports.count > index ? ports[index] : ports.last ?? "5432") ?? 5432
            hosts.append(try Self.host(name, port, mode, address))
        }
        self.init(
            hosts: hosts, tlsMode: mode, user: address["user"] ?? "postgres", password: address["password"],
            database: address["dbname"] ?? address["user"] ?? "postgres", passwords: passwords,
            attributes: address["target_session_attrs"].flatMap { Attributes(rawValue: $0) } ?? .any)
    }

    private static func host(_ name: String, _ port: UInt16, _ mode: TLSMode, _ address: PostgresAddress) throws -> Host
    {
        if name.hasPrefix("/") {
            let path = try StreamAddress(path: "\(name)/.s.PGSQL.\(port)")
            return Host(name: name, port: port, address: path, tls: nil)
        }
        var tls: TLSClient?
        if mode.asks {
            let verifies = mode == .verifyCA || mode == .verifyFull
            tls = try TLSClient(
                serverName: name, authorityFile: verifies ? address["sslrootcert"].flatMap(Self.existing) : nil,
                certificateFile: address["sslcert"].flatMap(Self.existing),
                keyFile: address["sslkey"].flatMap(Self.existing), isUnverified: !verifies)
        }
        return Host(name: name, port: port, address: try StreamAddress(host: name, port: port), tls: tls)
    }

    private static func existing(_ path: String) -> String? { Files.exists(path) ? path : nil }
}

extension PoolRules {
    init(_ settings: Settings) throws(SettingsError) {
        self.init()
        mode = try settings.read(
            "postgres_proxy.pool_mode", oneOf: PoolMode.self, default: mode,
            "When a server connection is given to another client: when its client leaves, after each transaction or after each statement."
        )
        selection = try settings.read(
            "postgres_proxy.selection", oneOf: PoolSelection.self, default: selection,
            "Which idle connection is used next: the one used last, so that others can go, or the one used least.")
        size = try settings.read(
            "postgres_proxy.pool_size", default: size, "Server connections of a user in a database.",
            aliases: ["DATABASE_POOL_SIZE"], in: 1...10_000)
        overflow = try settings.read(
            "postgres_proxy.max_overflow", default: overflow,
            "Connections beyond pool_size while clients wait; they go when they are idle.",
            aliases: ["DATABASE_MAX_OVERFLOW"], in: 0...10_000)
        warm = try settings.read(
            "postgres_proxy.min_pool_size", default: warm,
            "Connections that are kept while a pool has clients, though nobody needs them.",
            in: 0...10_000)
        waitLimit = try settings.read(
            "postgres_proxy.pool_timeout", default: waitLimit, "How long a client waits for a connection; 0 for ever.",
            aliases: ["DATABASE_POOL_TIMEOUT"], in: .zero...(.seconds(86_400)))
        recycle = try settings.read(
            "postgres_proxy.pool_recycle", default: recycle,
            "A connection older than that, give or take a tenth, is replaced; 0 for never.",
            aliases: ["DATABASE_POOL_RECYCLE"], in: .zero...(.seconds(864_000)))
        prePing = try settings.read(
            "postgres_proxy.pool_pre_ping", default: prePing,
            "Ask a connection that was idle for half a minute whether it lives before it is used.",
            aliases: ["DATABASE_POOL_PRE_PING"])
        idleLimit = try settings.read(
            "postgres_proxy.idle_timeout", default: idleLimit,
            "An idle connection beyond min_pool_size is closed after that; 0 for never.",
            in: .zero...(.seconds(864_000)))
        connectLimit = try settings.read(
            "postgres_proxy.connect_timeout", default: connectLimit,
            "How long a connection to Postgres and its login may take.",
            in: .milliseconds(10)...(.seconds(3600)))
        mostServers = try settings.read(
            "postgres_proxy.max_user_connections", default: mostServers,
            "Server connections of one user in one database, whatever their start-up settings.", in: 1...100_000)
        mostClients = try settings.read(
            "postgres_proxy.max_clients", default: mostClients, "Clients at once; more are refused (53300).",
            in: 1...1_000_000)
        mostWaiting = try settings.read(
            "postgres_proxy.max_waiting", default: mostWaiting,
            "Clients of a pool that may wait for a connection; more are refused (53300).", in: 1...1_000_000)
        mostPrepared = try settings.read(
            "postgres_proxy.max_prepared_statements", default: mostPrepared,
            "Prepared statements kept on a server connection.", in: 1...100_000)
        loginLimit = try settings.read(
            "postgres_proxy.client_login_timeout", default: loginLimit, "How long a client's login may take.",
            in: .milliseconds(10)...(.seconds(3600)))
        clientIdleLimit = try settings.read(
            "postgres_proxy.client_idle_timeout", default: clientIdleLimit,
            "A client idle for longer is sent away; 0 for never.",
            in: .zero...(.seconds(864_000)))
        transactionLimit = try settings.read(
            "postgres_proxy.transaction_timeout", default: transactionLimit,
            "A client whose transaction takes longer is sent away; 0 for never.",
            in: .zero...(.seconds(864_000)))
        try readSafety(settings)
    }

    /// What keeps one client's session from holding up others, set on the sessions of pools that share them.
    private mutating func readSafety(_ settings: Settings) throws(SettingsError) {
        statementLimit = try settings.read(
            "postgres_proxy.command_timeout", default: .seconds(30),
            "In transaction and statement mode, a statement that takes longer, as the client sees it, is cancelled; 0 for never.",
            in: .zero...(.seconds(864_000)))
        let names: [(name: String, fallback: String)] = [
            ("statement_timeout", "30s"), ("idle_in_transaction_session_timeout", "60s"), ("lock_timeout", "10s"),
            ("jit", "off"), ("timezone", "UTC"),
        ]
        for (name, fallback) in names {
            let value =
                try settings.read(
                    "postgres_proxy.session.\(name)", as: String.self,
                    "What \(name) is at first in transaction and statement mode unless the client says; empty for the server's own. \(fallback) when not set."
                ) ?? fallback
            if !value.isEmpty { sessionDefaults.append((name, value)) }
        }
    }
}
