import Databases
import LocalServers
import Runtime

/// A light, varied load on the demo's own servers. The user's servers get none.
final class DemoLoad: Sendable {
    private let pgbench: [ChildProcess]
    private let tasks: [Task<Void, Never>]

    static func start(on servers: DemoServers, _ configuration: DemoConfiguration) throws -> DemoLoad {
        var pgbench: [ChildProcess] = []
        if let postgres = servers.postgres {
            let readers = try readers(of: postgres, through: servers.pgbouncer)
            try Files.write("\(readers.pid)\n", to: configuration.pidFile)
            pgbench = [readers, try reporter(of: postgres)]
        }
        var tasks: [Task<Void, Never>] = []
        if let port = servers.redis?.port {
            let shopper = try RedisShopper(port: port)
            tasks.append(Task { await shopper.shop() })
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
    private static func readers(of postgres: LocalPostgres, through pgbouncer: LocalPgBouncer?) throws -> ChildProcess {
        try ChildProcess(
            postgres.programs + "/pgbench",
            [
                "-n", "-c", "4", "-T", "1000000", "-R", "40", "-b", "select-only@6", "-b", "tpcb-like@2",
                pgbouncer?.url(database: "shop") ?? postgres.url(database: "shop"),
            ],
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

/// Behaves as a shop's service does towards its Redis: sessions that expire, counters, baskets, a queue, a stream.
private actor RedisShopper {
    private let thread = BlockingThread("demo-load")
    private let address: RedisAddress
    private var random = SystemRandomNumberGenerator()

    nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    init(port: UInt16) throws { address = try RedisAddress(parsing: "redis://127.0.0.1:\(port)/0") }

    func shop() async {
        var connection: RedisConnection?
        while !Task.isCancelled {
            do {
                let deadline = Deadline.after(.seconds(2))
                let open = try connection ?? RedisConnection(to: address, clientName: "demo-shop", by: deadline)
                connection = open
                _ = try open.pipeline(visit(), by: deadline)
            } catch {
                // Somebody may stop the demo's Redis to see what the sidecar says; the load goes on when it is back.
                connection = nil
                Log.debug("demo load", ["error": "\(error)"])
            }
            try? await Task.sleep(for: .milliseconds(25))
        }
    }

    /// What one page view asks of Redis. About one read in five misses.
    private func visit() -> [RedisCommand] {
        let visitor = Int.random(in: 0..<2000, using: &random)
        let product = Int.random(in: 0..<500, using: &random)
        return [
            RedisCommand("GET", "session:\(visitor)"),
            RedisCommand("SET", "session:\(visitor)", "{\"visitor\":\(visitor)}", "EX", "120"),
            RedisCommand("HGETALL", "product:\(product)"),
            RedisCommand("HSET", "product:\(product)", "price", "\(product % 90 + 10)", "stock", "\(visitor % 40)"),
            RedisCommand("INCR", "views:\(product)"),
            RedisCommand("ZINCRBY", "ranking", "1", "\(product)"),
            RedisCommand("LPUSH", "mails", "\(visitor)"),
            RedisCommand("LTRIM", "mails", "0", "99"),
            RedisCommand("XADD", "orders", "MAXLEN", "~", "1000", "*", "product", "\(product)"),
        ]
    }
}
