import Glibc
import LocalServers
import Runtime
import Testing

/// Faults of real servers, one after another, until the time is over.
actor DifferentialFaults {
    struct Servers {
        var redis: LocalRedis
        var postgres: LocalPostgres
        var pgbouncer: LocalPgBouncer

        static func start() async throws -> Servers {
            let postgres = try await LocalPostgres.start(settings: [
                "max_connections=60", "archive_mode=on", "archive_command='false'", "deadlock_timeout=100ms",
            ])
            return Servers(
                redis: try await LocalRedis.start(["--maxclients", "40"]), postgres: postgres,
                pgbouncer: try await LocalPgBouncer.start(
                    before: postgres,
                    settings: [
                        "default_pool_size = 2", "max_db_connections = 2", "[databases]",
                        "idle = host=127.0.0.1 port=\(postgres.port) dbname=template1",
                    ]))
        }
    }

    /// Alerts that one round raises in both.
    nonisolated let expected: [String]
    private static let always = [
        "Watchdog", "RedisDown", "RedisRestarted", "RedisConnectionsRejected", "PostgresDown", "PostgresRestarted",
        "PostgresConnectionsExhausted", "ServiceErrorBudgetBurnsFast", "RuleEvaluationsFail", "NotificationsFail",
    ]
    /// What takes a longer round.
    private static let whenWide = [
        "ServiceErrorRateHigh", "ServiceResponseTimeHigh", "ServiceResponseTimeCritical", "PgBouncerDown",
        "PgBouncerClientsWait", "PgBouncerWaitTooLong", "PgBouncerPoolNearLimit", "PgBouncerDatabasePaused",
        "RedisMemoryNearLimit", "RedisEvictsKeys", "RedisHitRatioLow", "RedisClientsNearLimit",
        "RedisReplicaDisconnected", "PostgresConnectionsNearLimit", "PostgresRollbackRateHigh", "PostgresDeadlocks",
        "PostgresArchivingFails", "ConfigurationReloadFailed",
    ]

    private let outrigger: RunningOutrigger
    private var servers: Servers
    private let folder: TemporaryFolder
    private let isWide: Bool
    private var clients: [ChildProcess] = []

    /// - Parameter isWide: with faults that take half a minute more.
    init(_ outrigger: RunningOutrigger, _ servers: Servers, _ folder: TemporaryFolder, isWide: Bool) {
        self.outrigger = outrigger
        self.servers = servers
        self.folder = folder
        self.isWide = isWide
        expected = Self.always + (isWide ? Self.whenWide : [])
    }

    /// What the faults need.
    func prepare() async throws {
        try await servers.postgres.sql("create database shop")
        try await servers.postgres.sql(
            "create table stock (id int, count int); insert into stock values (1, 0), (2, 0)", database: "shop")
    }

    /// Whole rounds of about 40 seconds, 90 when wide. No fault is about as long as a rule waits: there half a second of
    /// difference in phase decides whether the alert fires.
    func induce(until end: Int64) async throws {
        var round = [failOperations, crowdPostgres, leavePostgres, killRedis, crowdRedis, stopPostgres]
        if isWide { round += [wearEverything, killPgBouncer, loseMaster] }
        repeat {
            for fault in round { try await fault() }
        } while WallClock.nowMilliseconds / 1000 < end
    }

    func end() async {
        for client in clients { await client.stop(9) }
        await servers.pgbouncer.stop()
        await servers.redis.stop()
        await servers.postgres.stop()
    }

    /// Half of what the service does fails for a while, and takes its time.
    private func failOperations() async throws {
        let milliseconds = isWide ? 4000 : 700
        for _ in 0..<(isWide ? 14 : 8) {
            let events = """
                [{"name": "checkout", "duration_ms": \(milliseconds), "status": "error", "count": 20}, \
                {"name": "checkout", "duration_ms": 30, "count": 20}]
                """
            let answer = try await outrigger.get(
                "/v1/events", ["-X", "POST", "-H", "Content-Type: application/json", "-d", events])
            try #require(answer.status / 100 == 2, "\(answer.body)")
            try await pass(1)
        }
    }

    /// All connections but two are taken.
    private func crowdPostgres() async throws {
        for _ in 0..<58 {
            try start("psql", [servers.postgres.url(), "-qc", "select pg_sleep(300)"])
        }
        try await pass(9)
    }

    private func leavePostgres() async throws {
        await endClients()
        try await endSleepers()
        try await pass(4)
    }

    /// A client's death does not wake its backend.
    private func endSleepers() async throws {
        _ = try await servers.postgres.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep%'")
    }

    private func killRedis() async throws {
        servers.redis.server.process.signal(SIGKILL)
        try await pass(5)
        servers.redis = try await servers.redis.restarted()
        try await pass(3)
    }

    /// More clients than `maxclients`, who stay.
    private func crowdRedis() async throws {
        for _ in 0..<50 { try start("redis-cli", ["-p", "\(servers.redis.port)", "subscribe", "nothing"]) }
        try await pass(isWide ? 9 : 4)
        await endClients()
    }

    private func stopPostgres() async throws {
        await servers.postgres.stop()
        try await pass(5)
        servers.postgres = try await servers.postgres.restarted()
        try await pass(4)
    }

    // MARK: Wide

    /// Everything that takes a quarter of an hour of compressed time to be told, at once.
    private func wearEverything() async throws {
        let (redis, pgbouncer) = ("\(servers.redis.port)", servers.pgbouncer.url(database: "postgres"))
        try await console("PAUSE idle")
        for _ in 0..<30 { try start("psql", [pgbouncer, "-qc", "select pg_sleep(300)"]) }
        try await cli(["config", "set", "maxmemory", "3mb", "maxmemory-policy", "allkeys-lru"])
        let fill =
            "for i = 1, 8 do redis.call('set', 'k' .. redis.call('incr', 'n'), string.rep('x', 2000)) end"
        try start("redis-cli", ["-p", redis, "-r", "-1", "-i", "0.02", "eval", fill, "0"])
        try start("redis-cli", ["-p", redis, "-r", "-1", "-i", "0.02", "get", "missing"])
        try startTransactions()
        _ = try await servers.postgres.sql("select pg_switch_wal()", database: "shop")
        let file = outrigger.folder.path + "/outrigger.yml"
        let whole = try Files.readText(file)
        try Files.write("nonsense: 1\n", to: file)
        #expect(try await outrigger.get("/-/reload", ["-X", "POST"]).status == 500)

        try await pass(26)

        try Files.write(whole, to: file)
        #expect(try await outrigger.get("/-/reload", ["-X", "POST"]).status == 200)
        await endClients()
        try await endSleepers()
        try await console("RESUME idle")
        try await cli(["config", "set", "maxmemory", "0"])
        try await cli(["flushall"])
        try await pass(6)
    }

    /// Ten transactions a second that are rolled back, and pairs that block one another.
    private func startTransactions() throws {
        let url = servers.postgres.url(database: "shop")
        let undone = "begin; update stock set count = 1 where id = 3; rollback; select pg_sleep(0.1);\n"
        try Files.write(String(repeating: undone, count: 260), to: folder.path + "/undone.sql")
        try start("psql", [url, "-qf", folder.path + "/undone.sql"])
        for (first, second) in [(1, 2), (2, 1)] {
            let crossing = """
                begin; update stock set count = count + 1 where id = \(first); select pg_sleep(0.5);
                update stock set count = count + 1 where id = \(second); commit;

                """
            let path = "\(folder.path)/crossing\(first).sql"
            try Files.write(String(repeating: crossing, count: 12), to: path)
            try start("psql", [url, "-qf", path])
        }
    }

    private func killPgBouncer() async throws {
        servers.pgbouncer.server.process.signal(SIGKILL)
        try await pass(5)
        servers.pgbouncer = try await servers.pgbouncer.restarted()
        try await pass(3)
    }

    /// Redis becomes the replica of a master that is not there.
    private func loseMaster() async throws {
        try await cli(["replicaof", "127.0.0.1", "\(FreePort.next())"])
        try await pass(7)
        try await cli(["replicaof", "no", "one"])
        try await pass(3)
    }

    private func console(_ command: String) async throws {
        _ = try await LocalServer.run("psql", [servers.pgbouncer.url(), "-qc", command], folder: folder)
    }

    private func cli(_ words: [String]) async throws {
        _ = try await LocalServer.run("redis-cli", ["-p", "\(servers.redis.port)"] + words, folder: folder)
    }

    private func start(_ program: String, _ words: [String]) throws {
        clients.append(try ChildProcess(program, words, output: folder.path + "/" + program))
    }

    private func endClients() async {
        for client in clients { client.signal(SIGKILL) }
        clients = []
    }

    /// The faults' own length.
    func pass(_ seconds: Int) async throws { try await Task.sleep(for: .seconds(seconds)) }
}
