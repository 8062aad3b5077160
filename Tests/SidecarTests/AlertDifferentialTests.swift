import LocalServers
import Runtime
import Testing

/// A real Prometheus scrapes Outrigger and loads the same `alerts/`; both live through the same faults.
///
/// Time is compressed sixty times: a minute in `for:`, in a window or in an interval is a second here.
@Suite struct AlertDifferentialTests {
    /// How far apart the two may see the same thing, in seconds: neither samples nor evaluates in step with the other.
    private static let sampling: Int64 = 1
    private static let interval: Int64 = 1

    /// At least; rounds of faults are finished. `TEST_DIFFERENTIAL_SECONDS=600` is ten minutes, as `make soak` runs it.
    private static let duration = Environment.current["TEST_DIFFERENTIAL_SECONDS"].flatMap { Int64($0) } ?? 1

    /// Seconds until both have samples and evaluate: Prometheus spreads the first evaluations of its groups.
    private static let warmUp: Int64 = 8

    @Test(.timeLimit(.minutes(15)))
    func prometheusAgreesOnTheStateOfEveryAlertAtEveryEvaluation() async throws {
        let folder = try TemporaryFolder("outrigger-differential")
        let files = try compressedRules(into: folder.path)
        let redis = try await LocalRedis.start(["--maxclients", "40"])
        let postgres = try await LocalPostgres.start(settings: ["max_connections=60"])
        let outrigger = try await RunningOutrigger.start(
            ["--collector.postmaster"],
            yaml: """
                history: {interval: 1s}
                collect: {min_age: 0s}
                performance: {enabled: false}
                postgres: {url: "\(postgres.url())"}
                redis: {url: "\(redis.url)"}
                alerting:
                  evaluation_interval: 1s
                  rules: ["\(folder.path)/*.yml"]

                """)
        let prometheus = try await LocalPrometheus.start(scraping: outrigger.port, ruleFiles: files)

        let begin = WallClock.nowMilliseconds / 1000
        let faults = Faults(outrigger, redis, postgres, folder)
        try await faults.pass(Int(Self.warmUp))
        try await faults.induce(until: begin + Self.duration)
        let end = WallClock.nowMilliseconds / 1000 - 2

        let theirs = try await Story.read(begin...end) { path, parameters in try await prometheus.ask(path, parameters)
        }
        let ours = try await Story.read(begin...end) { path, parameters in
            let words = parameters.flatMap { ["--data-urlencode", "\($0.0)=\($0.1)"] }
            let body = try await outrigger.get(path, ["-G"] + words).body
            return try #require(JSON.parse(Array(body.utf8))["data"], "\(body)")
        }
        await prometheus.stop()
        await outrigger.stop()
        await faults.end()

        let compared = (begin + Self.warmUp)...(end - Self.interval - Self.sampling)
        let differences = ours.differences(from: theirs, in: compared, within: Self.interval + Self.sampling)
        #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
        let strict = ours.differences(from: theirs, in: compared, within: Self.interval)
        print(
            "\(ours.alerts.count) alerts, \(compared.count) evaluations compared, \(strict.count) states seen more than one apart"
        )
        for name in Faults.expected {
            #expect(ours.hasFired(name) && theirs.hasFired(name), "\(name) was to fire in both")
        }
    }

    /// The shipped rule files with every duration a sixtieth of what it is.
    ///
    /// - Returns: their paths.
    private func compressedRules(into folder: String) throws -> [String] {
        let source = "alerts"
        let files = try Files.list(source).filter { $0.hasSuffix(".yml") }.sorted()
        #expect(files.count >= 6)
        return try files.map { name in
            let text = try Files.readText("\(source)/\(name)")
            // Minutes become seconds and hours minutes, in `for: 5m` and in `[5m]`; an interval of seconds goes.
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line -> String in
                let key = line.drop { $0 == " " || $0 == "-" }
                if key.hasPrefix("interval:") { return "" }
                let isDuration = key.hasPrefix("for:") || key.hasPrefix("keep_firing_for:")
                return compressed(String(line), everywhere: isDuration)
            }
            let path = "\(folder)/\(name)"
            try Files.write(lines.joined(separator: "\n"), to: path)
            return path
        }
    }

    private func compressed(_ line: String, everywhere: Bool) -> String {
        var output = ""
        var isWindow = everywhere
        var isAfterDigit = false
        for character in line {
            if character == "[" { isWindow = true }
            if character == "]" { isWindow = everywhere }
            switch character {
            case "m" where isWindow && isAfterDigit: output.append("s")
            case "h" where isWindow && isAfterDigit: output.append("m")
            default: output.append(character)
            }
            isAfterDigit = character.isNumber
        }
        return output
    }
}

/// What one of the two saw: the states of every alert, second by second.
private struct Story {
    enum State: String { case inactive, pending, firing }

    /// By the alert's name and labels, without those that differ by design: who scraped whom.
    private(set) var alerts: [String: [Int64: State]] = [:]

    static func read(
        _ span: ClosedRange<Int64>, ask: (String, [(String, String)]) async throws -> JSON
    ) async throws -> Story {
        let data = try await ask(
            "/api/v1/query_range",
            [("query", "ALERTS"), ("start", "\(span.lowerBound)"), ("end", "\(span.upperBound)"), ("step", "1")])
        var story = Story()
        for series in data["result"]?.array ?? [] {
            var labels: [String: String] = [:]
            for member in series["metric"]?.members ?? [] { labels[member.key] = member.value.string }
            let state = try #require(labels.removeValue(forKey: "alertstate").flatMap { State(rawValue: $0) })
            for name in ["__name__", "job", "instance"] { labels[name] = nil }
            // `up` of what Outrigger watches is its own; Prometheus has one for Outrigger.
            guard labels["alertname"] != "TargetDown" else { continue }
            let alert = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
            for sample in series["values"]?.array ?? [] {
                let time = try #require(sample.array?.first?.double.map { Int64($0) })
                story.alerts[alert, default: [:]][time] = state
            }
        }
        return story
    }

    func hasFired(_ name: String) -> Bool {
        alerts.contains { $0.key.contains("alertname=\(name)") && $0.value.values.contains(.firing) }
    }

    /// Where a state of one was not the other's at any second within `tolerance`.
    func differences(from other: Story, in span: ClosedRange<Int64>, within tolerance: Int64) -> [String] {
        var found: [String] = []
        for alert in Set(alerts.keys).union(other.alerts.keys).sorted() {
            let (ours, theirs) = (alerts[alert] ?? [:], other.alerts[alert] ?? [:])
            for time in span {
                let near = (time - tolerance)...(time + tolerance)
                let (mine, its) = (ours[time] ?? .inactive, theirs[time] ?? .inactive)
                guard
                    !near.contains(where: { (theirs[$0] ?? .inactive) == mine })
                        || !near.contains(where: { (ours[$0] ?? .inactive) == its })
                else { continue }
                found.append("\(alert) at +\(time - span.lowerBound) s: \(mine) here, \(its) in Prometheus")
            }
        }
        return found
    }
}

/// Faults of real servers, one after another, until the time is over.
private actor Faults {
    /// Alerts that one round raises in both.
    static let expected = [
        "Watchdog", "RedisDown", "RedisRestarted", "RedisConnectionsRejected", "PostgresDown", "PostgresRestarted",
        "PostgresConnectionsExhausted", "ServiceErrorBudgetBurnsFast",
    ]

    private let outrigger: RunningOutrigger
    private var redis: LocalRedis
    private var postgres: LocalPostgres
    private let folder: TemporaryFolder
    private var clients: [ChildProcess] = []

    init(_ outrigger: RunningOutrigger, _ redis: LocalRedis, _ postgres: LocalPostgres, _ folder: TemporaryFolder) {
        self.outrigger = outrigger
        self.redis = redis
        self.postgres = postgres
        self.folder = folder
    }

    /// Whole rounds of about 40 seconds. No fault is about as long as a rule waits: there half a second of difference in
    /// phase decides whether the alert fires.
    func induce(until end: Int64) async throws {
        repeat {
            for fault in [failOperations, crowdPostgres, leavePostgres, killRedis, crowdRedis, stopPostgres] {
                try await fault()
            }
        } while WallClock.nowMilliseconds / 1000 < end
    }

    func end() async {
        for client in clients { await client.stop(9) }
        await redis.stop()
        await postgres.stop()
    }

    /// Half of what the service does fails for a few seconds.
    private func failOperations() async throws {
        for _ in 0..<8 {
            let events =
                #"[{"name":"checkout","duration_ms":700,"status":"error","count":20},{"name":"checkout","duration_ms":30,"count":20}]"#
            let answer = try await outrigger.get(
                "/v1/events", ["-X", "POST", "-H", "Content-Type: application/json", "-d", events])
            try #require(answer.status / 100 == 2, "\(answer.body)")
            try await pass(1)
        }
    }

    /// All connections but two are taken.
    private func crowdPostgres() async throws {
        for _ in 0..<58 {
            clients.append(
                try ChildProcess(
                    "psql", [postgres.url(), "-qc", "select pg_sleep(300)"], output: folder.path + "/psql"))
        }
        try await pass(9)
    }

    private func leavePostgres() async throws {
        for client in clients { client.signal(9) }
        clients = []
        _ = try await postgres.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep%'")
        try await pass(4)
    }

    private func killRedis() async throws {
        redis.server.process.signal(9)
        try await pass(5)
        redis = try await redis.restarted()
        try await pass(3)
    }

    /// More clients than `maxclients`, who stay.
    private func crowdRedis() async throws {
        let crowd = try (0..<50).map { _ in
            try ChildProcess(
                "redis-cli", ["-p", "\(redis.port)", "subscribe", "nothing"], output: folder.path + "/crowd")
        }
        try await pass(4)
        for client in crowd { await client.stop(9) }
    }

    private func stopPostgres() async throws {
        await postgres.stop()
        try await pass(5)
        postgres = try await postgres.restarted()
        try await pass(4)
    }

    /// The faults' own length.
    func pass(_ seconds: Int) async throws { try await Task.sleep(for: .seconds(seconds)) }
}
