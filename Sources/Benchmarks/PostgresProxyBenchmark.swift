import Glibc
import LocalServers
import Network
import Runtime

/// The Postgres proxy beside Postgres itself and PgBouncer with the same pool, which take turns: `pgbench` in its three
/// protocols, writes, many clients, and what idle clients cost.
enum PostgresProxyBenchmark {
    /// Rounds of a load, and how long each lasts: 7 of 3 s, or of `BENCH_SECONDS`, in whole seconds.
    private static let rounds = 7
    private static var seconds: Int {
        max(1, Environment.current["BENCH_SECONDS"].flatMap(Double.init).map { Int($0.rounded(.up)) } ?? 3)
    }

    private static let poolSize = 20
    private static let idleClients = 2000
    /// Beyond this, the slowest and the fastest round of one peer are too far apart for a verdict.
    private static let mostSpread = 1.3

    private struct Peer {
        let name: String
        let port: UInt16
        /// Nil for Postgres itself.
        let pid: pid_t?
    }

    private struct Load {
        let name: String
        let clients: Int
        let arguments: [String]
        var isDirectToo = true
        /// Debian 12's PgBouncer does not know prepared statements in transaction mode.
        var isTheirsToo = true
        var goal: Double?
    }

    private static let loads: [Load] =
        [1, 16, 64].flatMap { clients in
            ["simple", "extended", "prepared"].map { mode in
                Load(
                    name: "-S, \(mode), \(clients) clients", clients: clients, arguments: ["-S", "-M", mode],
                    isTheirsToo: mode != "prepared", goal: clients == 1 || mode == "prepared" ? nil : 1.1)
            }
        } + [
            Load(name: "TPC-B, 16 clients", clients: 16, arguments: ["-M", "extended"]),
            Load(name: "inserts, 64 clients", clients: 64, arguments: ["-M", "extended", "-f", "insert.sql"]),
            Load(
                name: "-S, extended, 1000 clients", clients: 1000, arguments: ["-S", "-M", "extended"],
                isDirectToo: false),
        ]

    @Sendable static func run() async throws {
        var limit = rlimit()
        getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, 16_384)
        setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
        let postgres = try await LocalPostgres.start(settings: [
            "max_connections = 200", "shared_buffers = 256MB", "synchronous_commit = off",
        ])
        let bouncer = try await LocalPgBouncer.start(
            before: postgres,
            settings: [
                "default_pool_size = \(poolSize)", "max_client_conn = 5000",
                "ignore_startup_parameters = extra_float_digits",
            ])
        let port = FreePort.next()
        let folder = try TemporaryFolder("outrigger-bench")
        let outrigger = try await LocalServer.start(
            Benchmarks.outrigger,
            [
                "--web.listen-address=127.0.0.1:\(FreePort.next())",
                "--postgres-proxy.listen-address=127.0.0.1:\(port)",
                "--postgres-proxy.upstream-url=\(postgres.url())", "--postgres-proxy.pool-size=\(poolSize)",
                "--postgres-proxy.max-overflow=0",
            ], folder: folder, port: port
        ) { FreePort.isOpen(port) }
        let ours = Peer(name: "outrigger", port: port, pid: outrigger.process.pid)
        let theirs = Peer(name: "pgbouncer", port: bouncer.port, pid: bouncer.server.process.pid)
        let direct = Peer(name: "direct", port: postgres.port, pid: nil)
        try await LocalServer.run(
            postgres.programs + "/pgbench", ["-i", "-q", "-s", "10", postgres.url()], folder: postgres.server.folder,
            user: LocalServer.unprivilegedUser)
        try await postgres.sql("CREATE TABLE inserted (id bigserial, client int, at timestamptz DEFAULT now())")
        try Files.write(
            "INSERT INTO inserted (client) VALUES (:client_id);\n", to: postgres.server.folder.path + "/insert.sql")
        try await compare(postgres, direct, ours, theirs)
        try idle(ours, theirs)
        await outrigger.process.stop()
        await bouncer.stop()
        await postgres.stop()
    }

    private struct Round {
        let perSecond: Double
        let latencyMs: Double
        /// Milliseconds of CPU of the peer for 1,000 transactions.
        let cpuMs: Double
    }

    private static func compare(_ postgres: LocalPostgres, _ direct: Peer, _ ours: Peer, _ theirs: Peer) async throws {
        print("| load | direct /s | outrigger /s | pgbouncer /s | ratio | spread | goal | | CPU ms/1000 | theirs | p |")
        print("|---|---|---|---|---|---|---|---|---|---|---|")
        for load in loads {
            let peers = (load.isDirectToo ? [direct] : []) + [ours] + (load.isTheirsToo ? [theirs] : [])
            var results: [String: [Round]] = [:]
            for _ in 0..<rounds {
                for peer in peers { results[peer.name, default: []].append(try await measure(load, peer, postgres)) }
            }
            print(row(load, results))
        }
        print("")
    }

    private static func row(_ load: Load, _ results: [String: [Round]]) -> String {
        func median(_ name: String, _ value: (Round) -> Double) -> Double {
            results[name].map { $0.map(value).quantile(0.5) } ?? 0
        }
        let (ours, theirs) = (median("outrigger", \.perSecond), median("pgbouncer", \.perSecond))
        let spreads = ["outrigger", "pgbouncer"].compactMap { results[$0]?.map(\.perSecond) }.map {
            ($0.max() ?? 0) / ($0.min() ?? 1)
        }
        let spread = spreads.max() ?? 0
        let verdict =
            load.goal.map { goal in spread > mostSpread ? "no verdict" : ours / theirs >= goal ? "met" : "missed" }
            ?? ""
        let cells = [
            load.name, results["direct"] == nil ? "" : Comparison.grouped(median("direct", \.perSecond)),
            Comparison.grouped(ours), Comparison.grouped(theirs), Comparison.text(ours / theirs),
            Comparison.text(spread),
            load.goal.map { "≥ \(Comparison.text($0))" } ?? "", verdict, Comparison.text(median("outrigger", \.cpuMs)),
            Comparison.text(median("pgbouncer", \.cpuMs)),
            "\(Comparison.text(median("outrigger", \.latencyMs))) / \(Comparison.text(median("pgbouncer", \.latencyMs))) ms",
        ]
        return "| " + cells.joined(separator: " | ") + " |"
    }

    private static func measure(_ load: Load, _ peer: Peer, _ postgres: LocalPostgres) async throws -> Round {
        let before = peer.pid.map { ProcessUsage.cpuNanoseconds($0) } ?? 0
        let said = try await LocalServer.run(
            postgres.programs + "/pgbench",
            ["-n", "-c", "\(load.clients)", "-j", "2", "-T", "\(seconds)"] + load.arguments
                + ["postgresql://postgres@127.0.0.1:\(peer.port)/postgres?sslmode=disable"],
            folder: postgres.server.folder, user: LocalServer.unprivilegedUser)
        let used = (peer.pid.map { ProcessUsage.cpuNanoseconds($0) } ?? 0) - before
        func number(_ label: String) -> Double {
            let line = said.split(separator: "\n").first { $0.hasPrefix(label) } ?? ""
            return line.split(separator: " ").compactMap { Double($0) }.first ?? 0
        }
        let transactions = number("number of transactions actually processed:")
        return Round(
            perSecond: number("tps"), latencyMs: number("latency average"),
            cpuMs: transactions > 0 ? Double(used) / 1e6 / transactions * 1000 : 0)
    }

    /// Clients that have logged in and say nothing.
    private static func idle(_ ours: Peer, _ theirs: Peer) throws {
        print("| \(idleClients) idle clients | at rest | with them | each |\n|---|---|---|---|")
        for peer in [ours, theirs] {
            guard let pid = peer.pid else { continue }
            let before = ProcessUsage.residentBytes(pid)
            let sockets = try (0..<idleClients).map { _ in try logIn(peer.port) }
            let after = ProcessUsage.residentBytes(pid)
            sockets.forEach { close($0) }
            print(
                "| \(peer.name) | \(before / 1024) kB | \(after / 1024) kB | \((after - before) / idleClients) bytes |")
        }
        print("")
    }

    /// A client's socket after its login.
    private static func logIn(_ port: UInt16) throws -> Int32 {
        let made = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard made >= 0, LoopbackAddress.with(port: port, { connect(made, $0, $1) }) == 0 else {
            throw LocalServerError.ended(program: "client", exitCode: errno, log: "cannot connect")
        }
        let names = Array("user\0postgres\0database\0postgres\0\0".utf8)
        let packet: [UInt8] = [0, 0, 0, UInt8(names.count + 8), 0, 3, 0, 0] + names
        send(made, packet, packet.count, 0)
        var last: [UInt8] = []
        // ReadyForQuery ends it.
        while last.suffix(6) != [0x5A, 0, 0, 0, 5, 0x49] {
            var chunk = [UInt8](repeating: 0, count: 4096)
            let count = recv(made, &chunk, chunk.count, 0)
            guard count > 0 else { throw LocalServerError.ended(program: "client", exitCode: 0, log: "refused") }
            last += chunk[..<count]
        }
        return made
    }
}
