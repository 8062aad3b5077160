import LocalServers
import Runtime

/// The servers that the demo watches: the user's own where DATABASE_URL or REDIS_URL names them, else throw-away ones.
struct DemoServers {
    let postgres: LocalPostgres?
    let pgbouncer: LocalPgBouncer?
    let redis: LocalRedis?
    let postgresURL: String
    let redisURL: String
    /// For the demo's own files.
    let folder: TemporaryFolder

    static func start(environment: [String: String]) async throws -> DemoServers {
        let (givenPostgres, givenRedis) = (environment["DATABASE_URL"] ?? "", environment["REDIS_URL"] ?? "")
        async let redis =
            givenRedis.isEmpty ? LocalRedis.start(["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]) : nil
        let postgres = givenPostgres.isEmpty ? try await startPostgres() : nil
        let pgbouncer = if let postgres { try await startPgBouncer(before: postgres) } else { nil as LocalPgBouncer? }
        return DemoServers(
            postgres: postgres, pgbouncer: pgbouncer, redis: try await redis,
            postgresURL: postgres?.url(database: "shop") ?? givenPostgres,
            redisURL: try await redis?.url ?? givenRedis, folder: try TemporaryFolder("outrigger-demo"))
    }

    /// With statistics of statements and I/O times, and the tables of pgbench.
    private static func startPostgres() async throws -> LocalPostgres {
        let postgres = try await LocalPostgres.start(settings: [
            "shared_preload_libraries = 'pg_stat_statements'", "track_io_timing = on", "max_connections = 50",
            "autovacuum_naptime = 15s",
        ])
        try await postgres.sql("CREATE DATABASE shop")
        try await postgres.sql("CREATE EXTENSION pg_stat_statements", database: "shop")
        try await LocalServer.run(
            postgres.programs + "/pgbench", ["-i", "-q", "-s", "2", postgres.url(database: "shop")],
            folder: postgres.server.folder)
        return postgres
    }

    /// The pool between the load and Postgres, on machines that have one.
    private static func startPgBouncer(before postgres: LocalPostgres) async throws -> LocalPgBouncer? {
        guard Files.exists("/usr/sbin/pgbouncer") else { return nil }
        return try await LocalPgBouncer.start(before: postgres, settings: ["default_pool_size = 10"])
    }

    func stop() async {
        await pgbouncer?.stop()
        async let postgresEnds: Void? = postgres?.stop()
        async let redisEnds: Void? = redis?.stop()
        _ = await (postgresEnds, redisEnds)
    }
}
