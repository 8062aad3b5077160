import LocalServers
import Runtime
import TestTools
import Testing

/// What scripts and data sources look for in a Prometheus beside queries.
@Suite struct PrometheusStatusTests {
    @Test func itTellsOfItselfAsPrometheusDoes() async throws {
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(
            yaml: """
                history: {interval: 1s}
                targets:
                  redis: [{name: cache, url: "redis://:wrong-secret@127.0.0.1:\(redis.port)"}]
                """)
        try await eventually("the history holds redis_up") {
            try await outrigger.get("/api/v1/query?query=redis_up").body.contains("\"value\"")
        }
        let targets = try JSON.parse(Array(try await outrigger.get("/api/v1/targets").body.utf8))
        #expect(targets["status"]?.string == "success")
        let target = try #require(targets["data"]?["activeTargets"]?.array?.first)
        #expect(target["scrapePool"]?.string == "redis")
        #expect(target["health"]?.string == "up" || target["health"]?.string == "down")
        let dropped = try await outrigger.get("/api/v1/targets?state=dropped").body
        #expect(dropped.contains("\"activeTargets\":[]"))

        for path in [
            "scrape_pools", "alertmanagers", "status/config", "status/flags", "status/runtimeinfo", "status/tsdb",
        ] {
            let answer = try await outrigger.get("/api/v1/\(path)")
            #expect(answer.status == 200 && answer.body.hasPrefix("{\"status\":\"success\""), "\(path)")
            #expect(!answer.body.contains("wrong-secret"), "\(path)")
        }
        #expect(try await outrigger.get("/api/v1/status/config").body.contains("targets.redis[0].name: cache"))
        await outrigger.stop()
        await redis.stop()
    }

    @Test func federationGivesTheNewestSamplesOfWhatIsAskedFor() async throws {
        let outrigger = try await RunningOutrigger.start(yaml: "history: {interval: 1s}")
        try await eventually("the history holds outrigger_ready") {
            try await outrigger.get("/federate?match[]=outrigger_ready").body.contains("outrigger_ready")
        }
        let page = try await outrigger.get("/federate?match[]=outrigger_build_info&match[]=outrigger_ready").body
        #expect(page.contains("# TYPE outrigger_build_info untyped\noutrigger_build_info{"))
        #expect(page.contains("# TYPE outrigger_ready untyped\noutrigger_ready"))
        #expect(try await outrigger.get("/federate?match[]=rate(a[5m])").status == 400)
        #expect(try await outrigger.get("/federate?match[]={").status == 400)
        #expect(try await outrigger.get("/federate").body.isEmpty)
        await outrigger.stop()
    }
}
