import LocalServers
import PromQL
import Runtime
import TestTools
import Testing

/// Other people's dashboards and rules, against a real Prometheus that scrapes Outrigger.
@Suite struct DashboardTests {
    /// Selectors that find nothing here, nor with the original exporters, and why.
    private let excused: [String: String] = [
        #"pg_locks_count{mode="ExclusiveLock",granted="f"}"#:
            "the exporter writes modes in lower case and has no label granted",
        #"pg_stat_replication_pg_wal_lsn_diff{state!="streaming"}"#: "this replica is healthy",
        #"redis_instance_info{redis_mode="sentinel"}"#:
            "no sentinel in this fleet; the Redis collector's tests have one",
    ]

    /// Labels that a scraper's configuration adds, not the exporter.
    private let scraperLabels: Set<String> = [
        "job", "instance", "namespace", "pod", "container", "release", "kubernetes_namespace", "cluster", "service",
        "pgbouncer_cluster", "server",
    ]

    @Test(.enabled(if: Facts.hasShared("dashboards"), "\(Facts.needs("dashboards"))"))
    func everySelectorThatUpstreamCanServeMatchesSeries() async throws {
        let data = Facts.sharedPath("")
        let served = try namesThatUpstreamServes(data + "/metrics/dashboard_coverage.tsv")
        let selectors = try selectors(in: data).filter { served.contains($0.name) || $0.name.hasPrefix("pgbouncer_") }
        #expect(selectors.count > 100)

        let fleet = try await Fleet.start()
        let outrigger = try await RunningOutrigger.start(yaml: fleet.configuration)
        let prometheus = try await LocalPrometheus.start(scraping: outrigger.port)
        // Two scrapes, the second with OpenMetrics negotiated as the first, must be there.
        let deadline = Deadline.after(.seconds(120))
        while try await prometheus.ask("/api/v1/series", [("match[]", "pg_up")]).array?.isEmpty ?? true,
            !deadline.hasPassed
        {}
        let (isUp, error) = try await prometheus.scrapeState()
        #expect(isUp, "\(error)")

        var missing: [String] = []
        for selector in selectors where excused[selector.text] == nil {
            let found = try await prometheus.ask("/api/v1/series", [("match[]", selector.text)]).array ?? []
            if found.isEmpty { missing.append("\(selector.text)  (\(selector.file))") }
        }
        #expect(missing.isEmpty, "without series:\n\(missing.joined(separator: "\n"))")
        await prometheus.stop()
        await outrigger.stop()
        await fleet.stop()
    }

    // MARK: Selectors

    private struct Selector: Hashable {
        let name: String
        let text: String
        let file: String
    }

    private func namesThatUpstreamServes(_ path: String) throws -> Set<String> {
        let rows = try Files.readText(path).split(separator: "\n").dropFirst().map {
            $0.split(separator: "\t", omittingEmptySubsequences: false)
        }
        return Set(rows.filter { $0[2...5].contains("1") }.map { String($0[0]) })
    }

    private func selectors(in data: String) throws -> [Selector] {
        var found: [String: Selector] = [:]
        for name in try Files.list(data + "/dashboards") where name.hasSuffix(".json") {
            let dashboard = try JSON.parse(try Files.read(data + "/dashboards/" + name))
            for text in expressions(in: dashboard) {
                try add(selectorsOf: withoutVariables(text), from: name, to: &found)
            }
        }
        for name in try Files.list(data + "/rules") {
            let groups = try YAML.parse(try Files.read(data + "/rules/" + name))?["groups"]?.items ?? []
            for rule in groups.flatMap({ $0["rules"]?.items ?? [] }) {
                if let text = rule["expr"]?.text { try add(selectorsOf: text, from: name, to: &found) }
            }
        }
        return found.values.sorted { $0.text < $1.text }
    }

    private func expressions(in json: JSON) -> [String] {
        if let items = json.array { return items.flatMap(expressions) }
        return (json.members ?? []).flatMap { member -> [String] in
            if member.key == "expr", let text = member.value.string { return [text] }
            return expressions(in: member.value)
        }
    }

    /// `$interval` in brackets is a duration, anywhere else any text.
    private func withoutVariables(_ text: String) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let isDuration = result.last == "[" || result.last == ":"
            rest = rest[dollar...].dropFirst()
            if rest.first == "{" {
                rest = rest.drop { $0 != "}" }.dropFirst()
            } else {
                rest = rest.drop { $0.isLetter || $0.isNumber || $0 == "_" }
            }
            result += isDuration ? "5m" : "ANYTHING"
        }
        return result + rest
    }

    private func add(selectorsOf text: String, from file: String, to found: inout [String: Selector]) throws {
        // Some dashboards hold text that was never PromQL; Prometheus would not read it either.
        guard let query = try? Query(text) else { return }
        for read in query.expression.reads {
            guard let name = read.metricName else { continue }
            let kept = read.matchers.filter {
                $0.name != "__name__" && !scraperLabels.contains($0.name) && !$0.value.contains("ANYTHING")
            }
            let selector =
                name + "{" + kept.map { "\($0.name)\($0.operation.rawValue)\"\($0.value)\"" }.joined(separator: ",")
                + "}"
            found[selector] = Selector(name: name, text: selector, file: file)
        }
    }
}

/// A Postgres with a replica, a Redis with a replica and a sentinel, a node of a cluster and a PgBouncer.
private struct Fleet {
    let postgres: LocalPostgres
    let replica: LocalPostgres
    let pgbouncer: LocalPgBouncer
    let redis: LocalRedis
    let redisReplica: LocalRedis
    let clusterNode: LocalRedis
    let sentinel: LocalServer

    static func start() async throws -> Fleet {
        let postgres = try await LocalPostgres.start(settings: ["shared_preload_libraries = 'pg_stat_statements'"])
        try await postgres.sql(
            "CREATE EXTENSION pg_stat_statements; CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)")
        let redis = try await LocalRedis.start(["--appendonly", "yes"])
        try await redis.command("SET", "key", "value", "EX", "1000")
        let node = try await LocalRedis.start(["--cluster-enabled", "yes"])
        _ = try await LocalServer.run(
            "sh", ["-c", "redis-cli -p \(node.port) CLUSTER ADDSLOTSRANGE 0 16383"], folder: node.server.folder)
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        try await LocalServer.run(
            "psql", ["-X", "-c", "SELECT 1", pgbouncer.url(database: "postgres")], folder: pgbouncer.server.folder)
        return Fleet(
            postgres: postgres, replica: try await postgres.replica(), pgbouncer: pgbouncer, redis: redis,
            redisReplica: try await LocalRedis.start(["--replicaof", "127.0.0.1", "\(redis.port)"]), clusterNode: node,
            sentinel: try await startSentinel(watching: redis))
    }

    private static func startSentinel(watching redis: LocalRedis) async throws -> LocalServer {
        let folder = try TemporaryFolder("outrigger-sentinel")
        let port = FreePort.next()
        try Files.write(
            "port \(port)\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 \(redis.port) 1\n",
            to: folder.path + "/sentinel.conf")
        return try await LocalServer.start(
            "redis-server", [folder.path + "/sentinel.conf", "--sentinel"], folder: folder, port: port
        ) { FreePort.isOpen(port) }
    }

    /// Everything that is off by default is on.
    var configuration: String {
        """
        compat: {aliases: true}
        collector:
          stat_statements: true
          postmaster: true
          long_running_transactions: true
          database_wraparound: true
          process_idle: true
          statio_user_indexes: true
          stat_wal_receiver: true
          stat_checkpointer: true
        redis: {include_system_metrics: true}
        targets:
          postgres:
            - {name: primary, url: "\(postgres.url())"}
            - {name: replica, url: "\(replica.url())"}
          pgbouncer:
            - {name: pool, url: "\(pgbouncer.url())"}
          redis:
            - {name: primary, url: "\(redis.url)"}
            - {name: replica, url: "\(redisReplica.url)"}
            - {name: cluster, url: "\(clusterNode.url)"}
            - {name: sentinel, url: "redis://127.0.0.1:\(sentinel.port)"}

        """
    }

    func stop() async {
        await sentinel.process.stop()
        for redis in [redis, redisReplica, clusterNode] { await redis.stop() }
        await pgbouncer.stop()
        await replica.stop()
        await postgres.stop()
    }
}
