import LocalServers
import Runtime
import Testing

/// A bad day of a service, on real servers, as the levels tell it. Hours are compressed to seconds by settings.
@Suite struct PerformanceIncidentTests {
    @Test func theLevelsWalkDownWithTheRightReasonsAndBackUp() async throws {
        let redis = try await LocalRedis.start()
        let postgres = try await LocalPostgres.start(settings: ["max_connections=40"])
        let outrigger = try await RunningOutrigger.start(
            yaml: """
                history: {interval: 1s}
                collect: {min_age: 0s}
                postgres: {url: "\(postgres.url())"}
                redis: {url: "\(redis.url)"}
                performance: {interval: 1s, window: 4s, hold: 3s, warm_up: 3s, apdex_target: 0.1, least_operations: 10}

                """)
        let service = Service(outrigger)
        var walk: [String] = []
        func expect(_ level: String, _ reason: String?, on component: String, after what: String) async throws {
            let deadline = Deadline.after(.seconds(60))
            while true {
                let page = try await outrigger.get("/metrics").body
                let isThere = page.contains(
                    "outrigger_performance_level{component=\"\(component)\",level=\"\(level)\"} 1\n")
                let isTold =
                    reason.map {
                        page.contains("outrigger_performance_reason{component=\"\(component)\",indicator=\"\($0)\"}")
                    }
                    ?? true
                if isThere, isTold { break }
                let levels = page.split(separator: "\n").filter { $0.hasPrefix("outrigger_performance_") }
                try #require(!deadline.hasPassed, "\(what): \(levels.joined(separator: "\n"))")
                try await Task.sleep(for: .milliseconds(200))
            }
            walk.append("| \(what) | \(component) | \(level) | \(reason ?? "") |")
        }

        await service.answer(inMilliseconds: [20, 20])
        try await expect("excellent", nil, on: "service", after: "all is well")
        try await expect("excellent", nil, on: "postgres", after: "all is well")
        try await expect("excellent", nil, on: "redis", after: "all is well")

        // Half satisfies, half is tolerable: an Apdex of 0.75.
        await service.answer(inMilliseconds: [20, 200])
        try await expect("fair", "apdex", on: "service", after: "half of the operations are slow")
        await service.answer(inMilliseconds: [2000, 2000])
        try await expect("critical", "apdex", on: "service", after: "all operations are very slow")

        let clients = try (0..<36).map { _ in
            try ChildProcess("psql", [postgres.url(), "-qc", "select pg_sleep(300)"], output: "/dev/null")
        }
        try await expect("poor", "connections", on: "postgres", after: "connections run out")

        redis.server.process.signal(9)
        try await expect("critical", "availability", on: "redis", after: "Redis is gone")

        try await expect("critical", nil, on: "overall", after: "Redis is gone")

        let back = try await redis.restarted()
        for client in clients { client.signal(9) }
        _ = try await postgres.sql(
            "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep%'")
        await service.answer(inMilliseconds: [20, 20])
        for component in ["redis", "postgres", "service"] {
            try await expect("excellent", nil, on: component, after: "all is mended")
        }
        await service.end()
        await outrigger.stop()
        await back.stop()
        await postgres.stop()
        print(walk.joined(separator: "\n"))
    }
}

/// A service that reports forty operations a second.
private actor Service {
    private let outrigger: RunningOutrigger
    private var durations: [Int] = []
    private var reporting: Task<Void, Never>?

    init(_ outrigger: RunningOutrigger) { self.outrigger = outrigger }

    /// From now on, as many of each duration.
    func answer(inMilliseconds durations: [Int]) {
        self.durations = durations
        reporting =
            reporting
            ?? Task {
                while !Task.isCancelled { await report() }
            }
    }

    private func report() async {
        let events = durations.map { #"{"name":"checkout","duration_ms":\#($0),"count":5}"# }.joined(separator: ",")
        do {
            _ = try await outrigger.get(
                "/v1/events", ["-X", "POST", "-H", "Content-Type: application/json", "-d", "[\(events)]"])
            try await Task.sleep(for: .milliseconds(250))
        } catch {
            reporting?.cancel()
        }
    }

    func end() async {
        reporting?.cancel()
        await reporting?.value
    }
}
