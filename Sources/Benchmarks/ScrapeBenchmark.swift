import Glibc
import LocalServers
import Runtime

/// Scrape latency, CPU on both sides, statements and memory, for the two Debian exporters and for Outrigger, which take
/// turns on the same servers.
enum ScrapeBenchmark {
    private static let rounds = 5
    private static let scrapesPerRound = 30

    @Sendable static func run() async throws {
        let redis = try await LocalRedis.start()
        try await fill(redis)
        try await measure(.init(name: "default collectors", redis: redis))
        try await measure(.init(name: "2,000 tables", redis: redis, tables: 2000))
        try await measure(.init(name: "100 databases", redis: redis, databases: 100))
        await redis.stop()
    }

    private struct Scenario {
        let name: String
        let redis: LocalRedis
        var tables = 4
        var databases = 0

        /// Debian's exporter needs its own sample of queries to tell anything of tables; ours does so by itself.
        var usesCustomQueries: Bool { tables > 100 }
    }

    private static func fill(_ redis: LocalRedis) async throws {
        try await LocalServer.run(
            "redis-benchmark",
            ["-p", "\(redis.port)", "-q", "-n", "20000", "-r", "10000", "-t", "set,get,incr,lpush,hset"],
            folder: redis.server.folder)
    }

    private static func measure(_ scenario: Scenario) async throws {
        let postgres = try await LocalPostgres.start(settings: [
            "shared_preload_libraries = 'pg_stat_statements'", "autovacuum = off", "max_connections = 200",
        ])
        try await postgres.sql("CREATE EXTENSION pg_stat_statements")
        try await LocalServer.run(
            postgres.programs + "/pgbench", ["-i", "-q", postgres.url()], folder: postgres.server.folder)
        try await postgres.sql(
            "DO $$ BEGIN FOR i IN 1..\(scenario.tables) LOOP EXECUTE format('CREATE TABLE t%s (id int PRIMARY KEY, v text)', i);"
                + " IF i % 200 = 0 THEN COMMIT; END IF; END LOOP; END $$")
        for index in 0..<scenario.databases { try await postgres.sql("CREATE DATABASE d\(index)") }

        let folder = try TemporaryFolder("outrigger-bench")
        let rivals = try await Rivals.start(
            postgres: postgres, redis: scenario.redis, customQueries: scenario.usesCustomQueries, folder: folder)
        let ours = try await Contestant.outrigger(
            ["DATABASE_URL": postgres.url(), "REDIS_URL": scenario.redis.url], folder: folder)
        let oursPostgres = try await Contestant.outrigger(["DATABASE_URL": postgres.url()], folder: folder)
        let oursRedis = try await Contestant.outrigger(["REDIS_URL": scenario.redis.url], folder: folder)

        let servers = Servers(postgres: postgres, redis: scenario.redis)
        let postgresRows = try await compare("Postgres", oursPostgres, rivals.postgres, servers)
        let redisRows = try await compare("Redis", oursRedis, rivals.redis, servers)
        try await Contestant.warm(ours)
        let together = Comparison(
            name: "both in one process, resident memory", ours: Double(ours.residentBytes) / 1e6,
            theirs: Double(rivals.postgres.residentBytes + rivals.redis.residentBytes) / 1e6, unit: "MB", target: 0.45)
        let isMany = scenario.tables > 100
        Comparison.printTable(
            scenario.name,
            postgresRows.rows(latencyTarget: isMany ? 0.25 : 0.4, serverTarget: 0.6)
                + redisRows.rows(latencyTarget: 0.4, serverTarget: 0.5)
                + [together])
        for contestant in [ours, oursPostgres, oursRedis, rivals.postgres, rivals.redis] {
            await contestant.process.stop()
        }
        await postgres.stop()
    }

    /// One side's numbers for one server, medians over the rounds.
    private struct Numbers {
        var latencies: [Double] = []
        var exporterCPU: [Double] = []
        var serverCPU: [Double] = []
        var statements: [Double] = []
    }

    private struct Pair {
        let name: String
        var ours = Numbers()
        var theirs = Numbers()

        func rows(latencyTarget: Double, serverTarget: Double) -> [Comparison] {
            [
                row("latency p50", \.latencies, 0.5, "ms", latencyTarget),
                row("latency p95", \.latencies, 0.95, "ms", latencyTarget),
                row("exporter CPU per scrape", \.exporterCPU, 0.5, "ms", 0.25),
                row("server CPU per scrape", \.serverCPU, 0.5, "ms", serverTarget),
                row("statements or commands per scrape", \.statements, 0.5, "", nil),
            ]
        }

        private func row(
            _ what: String, _ numbers: KeyPath<Numbers, [Double]>, _ share: Double, _ unit: String, _ target: Double?
        ) -> Comparison {
            Comparison(
                name: "\(name), \(what)", ours: ours[keyPath: numbers].quantile(share),
                theirs: theirs[keyPath: numbers].quantile(share), unit: unit, target: target)
        }
    }

    /// The servers that both sides ask, and what they have done so far.
    private struct Servers {
        let postgres: LocalPostgres
        let redis: LocalRedis

        func pid(_ name: String) -> pid_t { name == "Redis" ? redis.server.process.pid : postgres.server.process.pid }

        func statements(_ name: String) async throws -> Double {
            if name == "Redis" {
                let info = try await redis.command("INFO", "stats")
                let line = info.split(whereSeparator: \.isNewline).first { $0.hasPrefix("total_commands_processed:") }
                return line.flatMap { Double($0.split(separator: ":")[1]) } ?? 0
            }
            let text = try await postgres.sql("SELECT sum(calls) FROM pg_stat_statements")
            return Double(text.split(whereSeparator: \.isNewline).first ?? "0") ?? 0
        }
    }

    private static func compare(
        _ name: String, _ ours: Contestant, _ theirs: Contestant, _ servers: Servers
    ) async throws -> Pair {
        var pair = Pair(name: name)
        for contestant in [ours, theirs] { try await Contestant.warm(contestant) }
        for _ in 0..<rounds {
            try await measureRound(name, ours, servers, into: &pair.ours)
            try await measureRound(name, theirs, servers, into: &pair.theirs)
        }
        return pair
    }

    private static func measureRound(
        _ name: String, _ contestant: Contestant, _ servers: Servers, into numbers: inout Numbers
    ) async throws {
        let statements = try await servers.statements(name)
        let exporterCPU = ProcessUsage.cpuNanoseconds(contestant.process.pid)
        let serverCPU = ProcessUsage.cpuNanoseconds(servers.pid(name))
        for _ in 0..<scrapesPerRound { numbers.latencies.append(try contestant.scrape().seconds * 1000) }
        let perScrape = 1e6 * Double(scrapesPerRound)
        numbers.exporterCPU.append(
            Double(ProcessUsage.cpuNanoseconds(contestant.process.pid) - exporterCPU) / perScrape)
        numbers.serverCPU.append(Double(ProcessUsage.cpuNanoseconds(servers.pid(name)) - serverCPU) / perScrape)
        // The question itself counts once.
        numbers.statements.append((try await servers.statements(name) - statements - 1) / Double(scrapesPerRound))
    }
}

/// A process that serves metrics.
private struct Contestant {
    let process: ChildProcess
    let scraper: Scraper

    /// One scrape; when it fails, what became of the process is told with it.
    func scrape() throws -> Duration {
        do { return try scraper.scrape().took } catch {
            let end = process.exitCode.map { "ended with \($0)" } ?? "still running"
            throw Scraper.Failure(description: "\(process.name), \(end): \(error)")
        }
    }

    var residentBytes: Int { ProcessUsage.residentBytes(process.pid) }

    static func start(
        _ program: String, _ arguments: [String], environment: [String: String], port: UInt16, folder: TemporaryFolder
    ) async throws -> Contestant {
        let server = try await LocalServer.start(
            program, arguments, folder: folder, port: port, environment: environment
        ) { FreePort.isOpen(port) }
        return Contestant(process: server.process, scraper: Scraper(port: port))
    }

    /// A scrape every time it is asked: nothing is served twice while it is measured.
    static func outrigger(_ environment: [String: String], folder: TemporaryFolder) async throws -> Contestant {
        let port = FreePort.next()
        return try await start(
            Benchmarks.outrigger, ["serve", "--web.listen-address=127.0.0.1:\(port)", "--collect.min-age=0"],
            environment: environment, port: port, folder: folder)
    }

    static func warm(_ contestant: Contestant) async throws {
        for _ in 0..<20 { _ = try contestant.scrape() }
    }
}

/// The two exporters as Debian ships them.
private struct Rivals {
    let postgres: Contestant
    let redis: Contestant

    static func start(
        postgres: LocalPostgres, redis: LocalRedis, customQueries: Bool, folder: TemporaryFolder
    ) async throws -> Rivals {
        let (postgresPort, redisPort) = (FreePort.next(), FreePort.next())
        var arguments = ["--web.listen-address=127.0.0.1:\(postgresPort)"]
        if customQueries { arguments.append("--extend.query-path=" + (try writeQueries(folder))) }
        return Rivals(
            postgres: try await Contestant.start(
                "prometheus-postgres-exporter", arguments, environment: ["DATA_SOURCE_NAME": postgres.url()],
                port: postgresPort, folder: folder),
            redis: try await Contestant.start(
                "prometheus-redis-exporter",
                ["--web.listen-address=127.0.0.1:\(redisPort)", "--redis.addr=\(redis.url)"], environment: [:],
                port: redisPort, folder: folder))
    }

    /// Debian's own sample names columns that Postgres 13 renamed, and would answer 500 as it stands.
    private static func writeQueries(_ folder: TemporaryFolder) throws -> String {
        var text = try Files.readText("/usr/share/doc/prometheus-postgres-exporter/examples/queries.yaml")
        for name in ["total_time", "min_time", "max_time", "mean_time", "stddev_time"] {
            text = text.split(separator: name, omittingEmptySubsequences: false).joined(
                separator: name.split(separator: "_").joined(separator: "_exec_"))
        }
        let path = folder.path + "/queries.yaml"
        try Files.write(text, to: path)
        return path
    }
}
