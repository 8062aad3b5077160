import Glibc
import LocalServers
import Runtime
import Testing

@Suite struct ServeTests {
    @Test func itServesMetricsHealthAndAFirstPageAndEndsWithZero() async throws {
        let outrigger = try await RunningOutrigger.start()
        let metrics = try await outrigger.get("/metrics")
        #expect(metrics.status == 200)
        #expect(metrics.head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"))
        #expect(metrics.body.contains("outrigger_build_info{"))
        #expect(try await outrigger.get("/-/healthy").status == 200)
        #expect(try await outrigger.get("/-/ready").status == 200)
        #expect(try await outrigger.get("/").body.contains("href=\"/metrics\""))
        #expect(try await outrigger.get("/nope").status == 404)
        #expect(try await outrigger.get("/metrics", ["-X", "DELETE"]).status == 405)
        outrigger.process.signal(SIGTERM)
        #expect(try await outrigger.process.exited(within: .seconds(120)) == 0)
    }

    @Test func openMetricsAndGzipAreServedWhenAskedFor() async throws {
        let outrigger = try await RunningOutrigger.start()
        let answer = try await outrigger.get(
            "/metrics",
            [
                "--compressed", "-H",
                "Accept: text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0",
            ])
        #expect(answer.head.contains("Content-Type: application/openmetrics-text; version=1.0.0"))
        #expect(answer.head.contains("Content-Encoding: gzip"))
        #expect(answer.body.hasSuffix("# EOF\n"))
        let plain = try await outrigger.get("/metrics", ["-H", "Accept-Encoding: gzip;q=0"])
        #expect(!plain.head.contains("Content-Encoding"))
        await outrigger.stop()
    }

    @Test func aBrokenFileKeepsTheOldConfiguration() async throws {
        let outrigger = try await RunningOutrigger.start(["--collect.min-age=0"], yaml: "log: {level: info}\n")
        let file = outrigger.folder.path + "/outrigger.yml"
        try Files.write("log: {level: loud}\n", to: file)
        let refused = try await outrigger.get("/-/reload", ["-X", "POST"])
        #expect(refused.status == 500)
        #expect(refused.body.contains("outrigger.yml:1: log.level: \"loud\" is none of debug, info, warn, error"))
        #expect(try await page(of: outrigger, showing: "outrigger_config_last_reload_successful 0\n"))
        try Files.write("log: {level: warn}\n", to: file)
        outrigger.process.signal(SIGHUP)
        #expect(try await page(of: outrigger, showing: "outrigger_config_last_reload_successful 1\n"))
        try Files.write("history: {interval: 5s}\n", to: file)
        let told = try await outrigger.get("/-/reload", ["-X", "POST"])
        #expect(told.status == 200)
        #expect(told.body == "history.interval takes effect at the next start\n")
        #expect(
            outrigger.log.contains(
                "msg=\"a changed setting takes effect at the next start\" setting=history.interval\n"))
        #expect(
            try await page(of: outrigger, showing: "outrigger_config_restart_needed{setting=\"history.interval\"} 1\n"))
        await outrigger.stop()
    }

    /// A scrape may still get a collection that was under way before.
    private func page(of outrigger: RunningOutrigger, showing line: String) async throws -> Bool {
        let deadline = Deadline.after(.seconds(120))
        repeat {
            if try await outrigger.get("/metrics").body.contains(line) { return true }
        } while !deadline.hasPassed
        return false
    }

    @Test func aPortInUseEndsWithOneLine() async throws {
        let first = try await RunningOutrigger.start()
        let second = try await RunningOutrigger.run(["serve", "--web.listen-address=127.0.0.1:\(first.port)"])
        #expect(second.status == 1)
        let holder = "process \(first.process.pid) (outrigger)"
        #expect(
            second.output == "outrigger: listen on 127.0.0.1:\(first.port): Address already in use by \(holder)\n")
        await first.stop()
    }

    @Test(arguments: [
        (["--nope"], "outrigger: command line: --nope: unknown flag\n"),
        (["serv"], "outrigger: unknown command serv, did you mean serve?; outrigger --help lists them\n"),
        (["--config", "/nowhere.yml"], "outrigger: /nowhere.yml: open /nowhere.yml: No such file or directory\n"),
        (
            ["--collect.timeout=soon"],
            "outrigger: command line: --collect.timeout: \"soon\" is not a duration such as 15s, 1m30s or 0.5 (seconds)\n"
        ),
    ])
    func aMistakeEndsWithOneLineAndStatusTwo(_ arguments: [String], _ line: String) async throws {
        let result = try await RunningOutrigger.run(arguments)
        #expect(result.status == 2)
        #expect(result.output == line)
    }

    @Test func aReloadFromAnotherSiteIsRefused() async throws {
        let outrigger = try await RunningOutrigger.start()
        let answer = try await outrigger.get("/-/reload", ["-X", "POST", "-H", "Sec-Fetch-Site: cross-site"])
        #expect(answer.status == 403)
        await outrigger.stop()
    }
}
