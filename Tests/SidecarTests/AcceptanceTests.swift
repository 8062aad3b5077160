import LocalServers
import Runtime
import Testing

/// What other people's parsers and linters say of our page.
@Suite struct AcceptanceTests {
    @Test func theOpenMetricsPageIsReadByThePythonClient() async throws {
        guard let python = Environment.current["TEST_PYTHON"] else {
            print("skipped: TEST_PYTHON is not set; make test sets it")
            return
        }
        let (outrigger, postgres, redis) = try await start()
        let page = try await outrigger.get("/metrics", ["-H", "Accept: application/openmetrics-text;version=1.0.0"])
            .body
        try Files.write(page, to: outrigger.folder.path + "/page")
        let script = """
            import sys
            from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
            print(sum(len(family.samples) for family in read(open(sys.argv[1], newline='').read())))
            """
        let count = try await LocalServer.run(
            python, ["-c", script, outrigger.folder.path + "/page"], folder: outrigger.folder)
        let lines = page.split(separator: "\n").filter { !$0.hasPrefix("#") }.count
        #expect(count == "\(lines)\n")
        await stop(outrigger, postgres, redis)
    }

    @Test func promtoolFindsNothingToCriticiseInOurOwnMetrics() async throws {
        let (outrigger, postgres, redis) = try await start()
        let page = try await outrigger.get("/metrics").body
        let own = page.split(separator: "\n").filter {
            $0.hasPrefix("outrigger_") || $0.hasPrefix("# HELP outrigger_") || $0.hasPrefix("# TYPE outrigger_")
        }
        #expect(own.count > 20)
        try Files.write(own.joined(separator: "\n") + "\n", to: outrigger.folder.path + "/page")
        let verdict = try await LocalServer.run(
            "sh", ["-c", "promtool check metrics < '\(outrigger.folder.path)/page' 2>&1 || true"],
            folder: outrigger.folder)
        #expect(verdict == "")
        await stop(outrigger, postgres, redis)
    }

    private func start() async throws -> (RunningOutrigger, LocalPostgres, LocalRedis) {
        let postgres = try await LocalPostgres.start()
        let redis = try await LocalRedis.start()
        try await redis.command("SET", "key", "value")
        let outrigger = try await RunningOutrigger.start(environment: [
            "DATABASE_URL": postgres.url(), "REDIS_URL": redis.url,
        ])
        return (outrigger, postgres, redis)
    }

    private func stop(_ outrigger: RunningOutrigger, _ postgres: LocalPostgres, _ redis: LocalRedis) async {
        await outrigger.stop()
        await postgres.stop()
        await redis.stop()
    }
}
