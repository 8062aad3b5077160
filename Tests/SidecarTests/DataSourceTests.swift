import LocalServers
import Runtime
import Testing

/// Outrigger as a data source for other people's programs.
@Suite struct DataSourceTests {
    @Test func promtoolAsksOutriggerAsItAsksPrometheus() async throws {
        let folder = try TemporaryFolder("outrigger-test")
        try Files.write(
            """
            groups:
            - name: g
              interval: 1s
              rules:
              - {record: 'own:ready', expr: 'max(outrigger_ready)'}
              - {alert: Up, expr: 'up == 1', labels: {severity: info}}
            """, to: folder.path + "/rules.yml")
        let outrigger = try await RunningOutrigger.start(
            yaml: "history: {interval: 1s}\nalerting: {rules: ['\(folder.path)/rules.yml']}\n")
        func ask(_ words: [String]) async throws -> String {
            try await LocalServer.run("promtool", ["query"] + words, folder: folder)
        }
        let deadline = Deadline.after(.seconds(120))
        while try await !ask(["instant", outrigger.url, "own:ready"]).contains("=> 1 @") {
            try #require(!deadline.hasPassed, "nothing was recorded: \(outrigger.log)")
            try await Task.sleep(for: .milliseconds(200))
        }
        let now = WallClock.nowMilliseconds / 1000 + 1
        let range = try await ask([
            "range", "--start=\(now - 60)", "--end=\(now)", "--step=1s", outrigger.url, "own:ready",
        ])
        #expect(range.contains("own:ready =>\n1 @["))
        #expect(try await ask(["series", "--match=up", outrigger.url]).contains("job=\"outrigger\""))
        #expect(try await ask(["labels", outrigger.url, "__name__"]).contains("\nown:ready\n"))
        #expect(try await ask(["instant", outrigger.url, "ALERTS"]).contains("alertname=\"Up\""))

        // What Grafana asks: forms in the body, metadata, the version.
        let form = try await outrigger.get("/api/v1/query", ["--data-urlencode", "query=count(up) > 0"])
        #expect(form.status == 200 && form.body.contains("\"resultType\":\"vector\",\"result\":[{\"metric\":{},"))
        #expect(try await outrigger.get("/api/v1/metadata?metric=outrigger_ready").body.contains("\"type\":\"gauge\""))
        #expect(try await outrigger.get("/api/v1/status/buildinfo").body.contains("\"version\":"))
        #expect(try await outrigger.get("/api/v1/label/job/values").body.contains("[\"outrigger\"]"))
        #expect(
            try await outrigger.get("/api/v1/rules?type=alert").body.contains("\"state\":\"firing\",\"name\":\"Up\""))
        #expect(try await outrigger.get("/metrics").body.contains("outrigger_rule_evaluations_total{rule_group=\""))
        await outrigger.stop()
    }
}
