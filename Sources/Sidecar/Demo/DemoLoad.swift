import LocalServers
import Runtime

/// A light, varied load on the demo's own servers. The user's servers get none.
final class DemoLoad: Sendable {
    private let pgbench: [ChildProcess]
    private let tasks: [Task<Void, Never>]

    static func start(on servers: DemoServers, _ configuration: DemoConfiguration) throws -> DemoLoad {
        var pgbench: [ChildProcess] = []
        if let postgres = servers.postgres {
            // One half through PgBouncer, which is watched, and the other through our own proxy.
            let direct = postgres.url(database: "shop")
            let readers = try readers(of: postgres, at: servers.pgbouncer?.url(database: "shop") ?? direct)
            try Files.write("\(readers.pid)\n", to: configuration.pidFile)
            let proxied = configuration.postgresProxyPort.map {
                "postgresql://postgres@127.0.0.1:\($0)/shop?sslmode=disable"
            }
            pgbench = [
                readers, try self.readers(of: postgres, at: proxied ?? direct), try reporter(of: postgres),
            ]
        }
        var tasks: [Task<Void, Never>] = []
        if let port = servers.redis?.port {
            for _ in 0..<2 {
                let shopper = try RedisShopper(port: configuration.redisProxyPort ?? port)
                tasks.append(Task { await shopper.visit() })
            }
            let outsider = try RedisOutsider(port: port)
            tasks.append(Task { await outsider.change() })
        }
        let service = try DemoService(statsdPort: configuration.statsdPort)
        tasks.append(Task { await service.serve() })
        return DemoLoad(pgbench: pgbench, tasks: tasks)
    }

    private init(pgbench: [ChildProcess], tasks: [Task<Void, Never>]) {
        self.pgbench = pgbench
        self.tasks = tasks
    }

    /// Many short reads and some transactions, at a steady pace.
    private static func readers(of postgres: LocalPostgres, at url: String) throws -> ChildProcess {
        try ChildProcess(
            postgres.programs + "/pgbench",
            ["-n", "-c", "4", "-T", "1000000", "-R", "20", "-b", "select-only@6", "-b", "tpcb-like@2", url],
            output: postgres.server.folder.path + "/pgbench.log")
    }

    /// Now and then a long report, and a transaction that is given up.
    private static func reporter(of postgres: LocalPostgres) throws -> ChildProcess {
        let folder = postgres.server.folder.path
        try Files.write(
            "SELECT a.bid, count(*), sum(a.abalance) FROM pgbench_accounts a JOIN pgbench_branches b USING (bid) GROUP BY a.bid;\n",
            to: folder + "/report.sql")
        try Files.write(
            "BEGIN;\nUPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1;\nROLLBACK;\n",
            to: folder + "/undo.sql")
        return try ChildProcess(
            postgres.programs + "/pgbench",
            [
                "-n", "-c", "1", "-T", "1000000", "-R", "1", "-f", folder + "/report.sql", "-f", folder + "/undo.sql",
                postgres.url(database: "shop"),
            ], output: folder + "/pgbench.log")
    }

    func stop() async {
        for task in tasks { task.cancel() }
        for task in tasks { await task.value }
        for process in pgbench { await process.stop() }
    }
}
