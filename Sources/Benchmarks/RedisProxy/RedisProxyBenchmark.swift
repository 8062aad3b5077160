import Glibc
import LocalServers
import Runtime

/// The Redis proxy beside Redis itself and beside twemproxy in front of the same Redis, which take turns: hits, misses,
/// what passes through, the same with a millisecond of distance, and what 10,000 idle clients cost.
enum RedisProxyBenchmark {
    /// Rounds of a load, and how long each lasts: 5 of 2 s, or of `BENCH_SECONDS`, which makes a quick look of it.
    private static let rounds = 5
    private static var round: Duration {
        .seconds(Environment.current["BENCH_SECONDS"].flatMap(Double.init) ?? 2)
    }

    /// Keys that the local level has room for.
    private static let keys = 5000
    /// Keys that a small local level has no room for.
    private static let manyKeys = 300_000
    private static let clients = 50
    private static let idleClients = 10_000
    /// From the proxy to Redis and back.
    private static let distance: Duration = .milliseconds(1)

    @Sendable static func run() async throws {
        try allowFiles(idleClients * 2 - 1000)
        let redis = try await LocalRedis.start()
        // Reaches every key of the smaller keyspace, too. Batches of 50 divide it.
        try RedisLoad(port: redis.port, clients: 4, pipeline: 50, deck: .fill(keys: manyKeys)).runOnce()
        try await near(redis)
        try await far(redis)
        try await idle(redis)
        await redis.stop()
    }

    // MARK: - Loads

    /// Who sends what.
    private enum Load {
        /// `redis-benchmark` with one of its tests, on uniformly random keys.
        case benchmark(String, keys: Int)
        /// Our own generator, for what that cannot do.
        case own(RedisDeck)
    }

    private struct Scenario {
        let name: String
        let load: Load
        var clients = RedisProxyBenchmark.clients
        let pipeline: Int
        var goal: PeerRow.Goal?
    }

    /// On the same machine.
    private static func near(_ redis: LocalRedis) async throws {
        let direct = RedisPeer.direct(redis)
        let ours = try await RedisPeer.outrigger(redis)
        let theirs = try await RedisPeer.nutcracker(redis)
        let hot = [direct, ours, theirs]
        try warm(ours)
        let gets = Load.benchmark("get", keys: keys)
        let mixed = RedisDeck.random(keys: keys, writes: 0.1)
        let canned = try await RedisPeer.canned(redis)
        var hits = try await compare(
            hot + [canned],
            [
                Scenario(name: "hits, pipeline 1", load: gets, pipeline: 1, goal: .ofDirect(1)),
                Scenario(name: "hits, pipeline 16", load: gets, pipeline: 16, goal: .ofDirect(1.5)),
                Scenario(name: "hits, pipeline 64", load: gets, pipeline: 64, goal: .ofDirect(2)),
            ])
        await canned.stop()
        hits += try await compare(
            hot,
            [
                Scenario(name: "hits, 1 client", load: gets, clients: 1, pipeline: 1),
                Scenario(name: "90 % GET, 10 % SET, pipeline 1", load: .own(mixed), pipeline: 1),
                Scenario(name: "90 % GET, 10 % SET, pipeline 16", load: .own(mixed), pipeline: 16),
            ])
        PeerRow.printTables("\(clients) clients, \(keys) keys", hits)
        let resident = hot.map { "\($0.name) \(megabytes(ProcessUsage.residentBytes($0.pid)))" }
        print("resident memory after that (direct: Redis itself): \(resident.joined(separator: ", "))\n")

        let reads = Load.benchmark("get", keys: manyKeys)
        let small = try await RedisPeer.outrigger(redis, settings: ["--cache.max-bytes=65536"])
        var passing = try await compare(
            [direct, small, theirs],
            [
                Scenario(name: "misses, pipeline 1", load: reads, pipeline: 1),
                Scenario(name: "misses, pipeline 16", load: reads, pipeline: 16),
            ])
        await small.stop()
        let writes = Load.benchmark("set", keys: keys)
        try await ours.set("cache", false)
        passing += try await compare(
            hot,
            [
                Scenario(name: "GET, cache=off, pipeline 1", load: reads, pipeline: 1, goal: .ofDirect(0.9)),
                Scenario(name: "GET, cache=off, pipeline 16", load: reads, pipeline: 16, goal: .ofTwemproxy(1.2)),
            ])
        try await ours.set("cache", true)
        passing += try await compare(
            hot,
            [
                Scenario(name: "SET, pipeline 1", load: writes, pipeline: 1, goal: .ofDirect(0.9)),
                Scenario(name: "SET, pipeline 16", load: writes, pipeline: 16, goal: .ofTwemproxy(1.2)),
            ])
        PeerRow.printTables("\(clients) clients, misses and pass-through", passing)
        await ours.stop()
        await theirs.stop()
    }

    /// With a relay between proxy and Redis.
    private static func far(_ redis: LocalRedis) async throws {
        let relay = try await DelayRelay.start(to: redis.port, roundTrip: distance, folder: redis.server.folder)
        let direct = RedisPeer.direct(redis, at: relay.port)
        let ours = try await RedisPeer.outrigger(redis, at: relay.port)
        let theirs = try await RedisPeer.nutcracker(redis, at: relay.port)
        let all = [direct, ours, theirs]
        let reads = Load.benchmark("get", keys: keys)
        try warm(ours)
        let title = "\(distance.seconds * 1000) ms to Redis and back"
        let hits = try await compare(all, [Scenario(name: "hits, 1 client", load: reads, clients: 1, pipeline: 1)])
        try await ours.set("cache", false)
        let uncached = try await compare(
            all,
            [
                // `redis-benchmark` reads all replies that have come before it asks again; ours asks again at once.
                Scenario(
                    name: "GET, cache=off, \(clients) clients", load: reads, pipeline: 1, goal: .ofDirect(1)),
                Scenario(
                    name: "GET, cache=off, \(clients) clients that ask again at once",
                    load: .own(.random(keys: keys, writes: 0)), pipeline: 1, goal: .ofDirect(1)),
            ])
        PeerRow.printTables(title, hits + uncached)
        await theirs.stop()
        let ourConnections = Double(try await connections(of: ours, redis))
        await ours.stop()
        let directConnections = Double(try await connections(of: direct, redis))
        print("| \(title) | outrigger | direct | ratio | goal | |\n|---|---|---|---|---|---|")
        let (hit, directHit) = (hits[0].outrigger.p50, hits[0].direct.p50)
        printRow(
            "p50 of a hit, µs", hit, directHit, ratio: directHit / hit, goal: "direct ≥ 15 times as long",
            isMet: directHit / hit >= 15)
        let share = ourConnections / directConnections
        printRow(
            "connections to Redis for \(clients) clients, Outrigger's own included", ourConnections,
            directConnections, ratio: share, goal: "≤ 0.1", isMet: share <= 0.1)
        print("")
        await relay.process.stop()
    }

    private static func printRow(
        _ name: String, _ ours: Double, _ direct: Double, ratio: Double, goal: String, isMet: Bool
    ) {
        let numbers = [ours, direct, ratio].map(Comparison.text).joined(separator: " | ")
        print("| \(name) | \(numbers) | \(goal) | \(isMet ? "met" : "missed") |")
    }

    /// Has every key of the smaller keyspace in the local level.
    private static func warm(_ peer: RedisPeer) throws {
        try RedisLoad(port: peer.port, clients: 4, pipeline: 50, deck: .scan(keys: keys)).runOnce()
    }

    /// Clients that have asked once and then say nothing.
    private static func idle(_ redis: LocalRedis) async throws {
        let ours = try await RedisPeer.outrigger(redis)
        let deck = RedisDeck.random(keys: keys, writes: 0)
        try RedisLoad(port: ours.port, clients: clients, pipeline: 1, deck: deck).runOnce()
        let before = ProcessUsage.residentBytes(ours.pid)
        let load = try RedisLoad(port: ours.port, clients: idleClients, pipeline: 1, deck: deck)
        _ = try load.run(for: .zero)
        let after = ProcessUsage.residentBytes(ours.pid)
        print("| \(idleClients) idle clients | outrigger | goal | |\n|---|---|---|---|")
        let verdict = after - before < 60_000_000 ? "met" : "missed"
        print("| resident memory, growth | \(megabytes(after - before)) | < 60 MB | \(verdict) |")
        print("| resident memory, all | \(megabytes(after)) |  |  |\n")
        withExtendedLifetime(load) {}
        await ours.stop()
    }

    // MARK: - Measuring

    private static func compare(_ peers: [RedisPeer], _ scenarios: [Scenario]) async throws -> [PeerRow] {
        var rows: [PeerRow] = []
        for scenario in scenarios {
            var seen = [[PeerNumbers]](repeating: [], count: peers.count)
            var expected: [Double] = []
            // So long takes a look at how many operations a round of `redis-benchmark` has.
            for peer in peers {
                expected.append(try await measure(peer, scenario, for: .milliseconds(300), expecting: 50_000).rate)
            }
            for _ in 0..<rounds {
                for (index, peer) in peers.enumerated() {
                    seen[index].append(try await measure(peer, scenario, for: round, expecting: expected[index]))
                }
            }
            let medians = seen.map(PeerNumbers.medians)
            rows.append(
                PeerRow(
                    name: scenario.name, direct: medians[0], outrigger: medians[1], twemproxy: medians[2],
                    canned: medians.count > 3 ? medians[3] : nil, goal: scenario.goal))
        }
        return rows
    }

    /// - Parameter rate: operations a second that are to be expected.
    private static func measure(
        _ peer: RedisPeer, _ scenario: Scenario, for duration: Duration, expecting rate: Double
    ) async throws -> PeerNumbers {
        switch scenario.load {
        case .own(let deck):
            let load = try RedisLoad(
                port: peer.port, clients: scenario.clients, pipeline: scenario.pipeline, deck: deck)
            let before = peer.cpuNanoseconds
            let result = try load.run(for: duration)
            return numbers(
                peer, since: before, operations: result.operations, rate: result.rate,
                p50: result.latencies.quantile(0.5), p99: result.latencies.quantile(0.99))
        case .benchmark(let test, let keys):
            let operations = max(1000, Int(rate * duration.seconds))
            let before = peer.cpuNanoseconds
            let line = try await redisBenchmark(peer, scenario, test, keys, operations: operations)
            return numbers(
                peer, since: before, operations: operations, rate: line[0], p50: line[3] * 1000, p99: line[5] * 1000)
        }
    }

    private static func numbers(
        _ peer: RedisPeer, since before: (proxy: Int, redis: Int), operations: Int, rate: Double, p50: Double,
        p99: Double
    ) -> PeerNumbers {
        let after = peer.cpuNanoseconds
        func cost(_ nanoseconds: Int) -> Double { Double(nanoseconds) / Double(operations) }
        return PeerNumbers(
            rate: rate, p50: p50, p99: p99, proxyCPU: cost(after.proxy - before.proxy),
            redisCPU: cost(after.redis - before.redis))
    }

    /// - Returns: operations a second, then the average, least, median, 95th, 99th percentile and greatest latency in ms.
    private static func redisBenchmark(
        _ peer: RedisPeer, _ scenario: Scenario, _ test: String, _ keys: Int, operations: Int
    ) async throws -> [Double] {
        let page = try await LocalServer.run(
            "redis-benchmark",
            [
                "-h", "127.0.0.1", "-p", "\(peer.port)", "--csv", "-t", test, "-r", "\(keys)", "-d",
                "\(RedisDeck.valueBytes)", "-c", "\(scenario.clients)", "-P", "\(scenario.pipeline)", "-n",
                "\(operations)",
            ], folder: try TemporaryFolder("outrigger-bench"))
        let line = page.split(separator: "\n").last { $0.hasPrefix("\"\(test.uppercased())\"") } ?? ""
        let numbers = line.split(separator: ",").dropFirst().compactMap { Double($0.filter { $0 != "\"" }) }
        guard numbers.count == 7 else { throw RedisClient.Failure(description: "redis-benchmark said: \(page)") }
        return numbers
    }

    /// What Redis counts while the clients are connected, without the one that asks. Only this peer may be running.
    private static func connections(of peer: RedisPeer, _ redis: LocalRedis) async throws -> Int {
        let load = try RedisLoad(
            port: peer.port, clients: clients, pipeline: 1, deck: .random(keys: keys, writes: 0))
        _ = try load.run(for: .milliseconds(300))
        defer { withExtendedLifetime(load) {} }
        let list = try await redis.command("CLIENT", "LIST")
        return list.split(whereSeparator: \.isNewline).count - 1
    }

    private static func megabytes(_ bytes: Int) -> String { Comparison.text(Double(bytes) / 1e6) + " MB" }

    /// Sockets that this process and its children may have open.
    private static func allowFiles(_ count: Int) throws {
        var limit = rlimit()
        getrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, rlim_t(count))
        guard setrlimit(Int32(RLIMIT_NOFILE.rawValue), &limit) == 0, limit.rlim_cur > idleClients else {
            throw RedisClient.Failure(description: "\(idleClients) clients need more open files than the limit allows")
        }
    }
}
