import Databases
import LocalServers
import Network
import PostgresProxy
import Runtime
import Testing

/// A proxy in front of a throw-away Postgres, for one test.
struct ProxyBench {
    let postgres: LocalPostgres
    let proxy: PostgresProxy

    static func start(
        _ postgres: LocalPostgres, mode: PoolMode = .transaction, url: String? = nil, door: ProxyDoor = ProxyDoor(),
        console: (any Console)? = nil, _ change: (inout PoolRules) -> Void = { _ in }
    ) throws -> ProxyBench {
        var rules = PoolRules()
        rules.mode = mode
        change(&rules)
        let upstream = try Upstream(try PostgresAddress(url ?? postgres.url()).completed())
        let entrances = PostgresProxy.Entrances(address: ListenAddress(host: "127.0.0.1", port: 0))
        let proxy = try PostgresProxy(entrances, to: upstream, rules, door: door, console: console)
        return ProxyBench(postgres: postgres, proxy: proxy)
    }

    var port: UInt16 { proxy.port ?? 0 }

    func url(database: String = "postgres", user: String = "postgres") -> String {
        "postgresql://\(user)@127.0.0.1:\(port)/\(database)?sslmode=disable"
    }

    /// Runs a program against the proxy, or Postgres itself, and returns what it wrote. Throws when it fails.
    @discardableResult
    func run(_ program: String, _ arguments: [String], directly: Bool = false) async throws -> String {
        let port = directly ? postgres.port : port
        let folder = try TemporaryFolder("outrigger-client", owner: LocalServer.unprivilegedUser)
        return try await LocalServer.run(
            program.contains("/") ? program : postgres.programs + "/" + program, arguments, folder: folder,
            user: LocalServer.unprivilegedUser,
            environment: [
                "PGHOST": "127.0.0.1", "PGPORT": "\(port)", "PGUSER": "postgres", "PGDATABASE": "postgres",
                "PGSSLMODE": "prefer", "HOME": folder.path,
            ])
    }

    func psql(_ script: String, directly: Bool = false) async throws -> String {
        try await run("psql", ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", script], directly: directly)
    }
}
