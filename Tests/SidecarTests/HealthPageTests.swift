import Glibc
import LocalServers
import Runtime
import Testing

@testable import Sidecar

/// The JSON pages and the first page, asked by programs that are not ours.
@Suite struct HealthPageTests {
    private func start(_ postgres: LocalPostgres, _ redis: LocalRedis, rules: String = "") async throws
        -> RunningOutrigger
    {
        try await RunningOutrigger.start(
            yaml: """
                history: {interval: 1s}
                collect: {min_age: 0s}
                postgres: {url: "\(postgres.url())"}
                redis: {url: "\(redis.url)"}
                performance: {interval: 1s, warm_up: 1s}
                \(rules)

                """)
    }

    /// The body of a page once it holds `word`.
    private func page(_ path: String, of outrigger: RunningOutrigger, with word: String) async throws
        -> RunningOutrigger.Answer
    {
        let deadline = Deadline.after(.seconds(120))
        while true {
            let answer = try await outrigger.get(path)
            if answer.body.contains(word) { return answer }
            try #require(!deadline.hasPassed, "\(path) never said \(word): \(answer.body)")
            try await Task.sleep(for: .milliseconds(200))
        }
    }

    /// Asks the proxy of `port` the same twice, until the pages know of it.
    private func useTheCache(through port: UInt16, of outrigger: RunningOutrigger) async throws {
        for words in [["SET", "a", "1"], ["GET", "a"], ["GET", "a"], ["GET", "none"]] {
            _ = try await LocalServer.run("redis-cli", ["-p", "\(port)"] + words, folder: outrigger.folder)
        }
        _ = try await page("/health/cache", of: outrigger, with: "\"hits\":1,")
    }

    @Test func thePageOfTheCacheTellsItsCountsAndCleaningUpEmptiesIt() async throws {
        let (postgres, redis) = (try await LocalPostgres.start(), try await LocalRedis.start())
        let port = FreePort.next()
        let outrigger = try await start(
            postgres, redis,
            rules: """
                redis_proxy: {listen_address: "127.0.0.1:\(port)"}
                cache: {classes: [{name: sessions, match: ["session:*"]}, {name: brief, match: ["brief:*"], ttl: 1s}]}
                """)
        _ = try await page("/health/cache", of: outrigger, with: "\"tracking_up\":1,")
        try await useTheCache(through: port, of: outrigger)
        for words in [["SET", "session:1", "x"], ["GET", "session:1"], ["GET", "session:1"]] {
            _ = try await LocalServer.run("redis-cli", ["-p", "\(port)"] + words, folder: outrigger.folder)
        }
        let known = try JSON.parse(
            Array(try await page("/health/cache", of: outrigger, with: "\"hits\":2,").body.utf8))
        #expect(known["enabled"]?.bool == true && known["total"]?["breaker_open"]?.double == 0)
        #expect(known["total"]?["replies"]?["local"]?.double == 2)
        let classes = known["classes"]?.array ?? []
        #expect(classes.compactMap { $0["class"]?.string } == ["sessions", "brief", "default"])
        #expect(classes.first?["hits"]?.double == 1 && classes.first?["entries"]?.double == 1)
        #expect(try await outrigger.get("/performance/stats").body.contains("\"cache\":{\"hits\":"))
        _ = try await page("/health/performance", of: outrigger, with: "\"name\":\"cache\"")

        let cleaned = try await outrigger.get("/performance/cleanup", ["-X", "POST"]).body
        #expect(cleaned.contains("\"cache_freed_bytes\":"), "\(cleaned)")
        _ = try await page("/metrics", of: outrigger, with: "outrigger_cache_entries{class=\"sessions\"} 0\n")

        redis.server.process.signal(SIGKILL)
        _ = try await page("/health/cache", of: outrigger, with: "\"tracking_up\":0,")
        let metrics = try await outrigger.get("/metrics").body
        #expect(metrics.contains("\noutrigger_redis_proxy_tracking_up 0\n"))
        await outrigger.stop()
        await postgres.stop()
    }

    @Test func everyPageKeepsToItsSchema() async throws {
        let python = try #require(Environment.current["TEST_PYTHON"], "made by make")
        let schemathesis = python.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/schemathesis"
        let (postgres, redis) = (try await LocalPostgres.start(), try await LocalRedis.start())
        let port = FreePort.next()
        let outrigger = try await start(
            postgres, redis, rules: "redis_proxy: {listen_address: \"127.0.0.1:\(port)\"}")
        _ = try await page("/health", of: outrigger, with: "\"postgres\":\"excellent\"")
        _ = try await page("/health/cache", of: outrigger, with: "\"tracking_up\":1,")
        try await useTheCache(through: port, of: outrigger)
        let said = try await LocalServer.run(
            schemathesis,
            ["run", outrigger.url + "/openapi.json", "--checks", "all", "--seed", "20261124", "-n", "20"],
            folder: outrigger.folder)
        #expect(said.contains("No issues found"), "\(said)")
        #expect(said.contains("\(HealthPages.all.count) selected"), "\(said)")
        await outrigger.stop()
        await postgres.stop()
        await redis.stop()
    }

    @Test func aProbeFailsWhileTheLevelIsCriticalAndAnswersWhileAServerHangs() async throws {
        let (postgres, redis) = (try await LocalPostgres.start(), try await LocalRedis.start())
        let pgbouncer = try await LocalPgBouncer.start(before: postgres)
        let outrigger = try await start(postgres, redis, rules: "pgbouncer: {url: \"\(pgbouncer.url())\"}")
        #expect(try await page("/health", of: outrigger, with: "\"redis\":\"excellent\"").status == 200)
        let known = try await page("/health/database", of: outrigger, with: "\"clients_active\":").body
        #expect(known.contains("\"connect_seconds\":") && !known.contains("\"connect_seconds\":null"), "\(known)")
        #expect(known.contains("\"pools\":[{\"instance\":"), "\(known)")
        redis.server.process.signal(SIGKILL)
        let critical = try await page("/health", of: outrigger, with: "\"redis\":\"critical\"")
        #expect(critical.status == 503 && critical.body.contains("{\"level\":\"critical\""))
        #expect(try await outrigger.get("/health/performance").status == 503)

        // Somebody asks more of the history than two cores can do.
        let heavy = "sum_over_time((sum_over_time(vector(1)[1d:1s]))[30d:1m])"
        let askers = try (0..<8).map { _ in
            try ChildProcess(
                "curl", ["-s", "-G", outrigger.url + "/api/v1/query", "--data-urlencode", "query=" + heavy],
                output: outrigger.folder.path + "/asked")
        }
        // First it takes no new connections; then, with every backend stopped, it answers nothing on those it has, in the
        // middle of a collection or before the next.
        postgres.server.process.signal(SIGSTOP)
        try await everyPageAnswersSoon(outrigger)
        let stopped = try postgres.processIDs()
        #expect(stopped.count > 6, "the postmaster, its own processes, and the connections of Outrigger and PgBouncer")
        for process in stopped { kill(process, SIGSTOP) }
        try await everyPageAnswersSoon(outrigger)
        for asker in askers { await asker.stop() }
        // Longer than a collection may take.
        for _ in 0..<10 {
            try await everyPageAnswersSoon(outrigger)
            try await Task.sleep(for: .milliseconds(300))
        }
        for process in stopped { kill(process, SIGCONT) }
        let database = try await outrigger.get("/health/database").body
        #expect(database.contains("\"datname\":\"postgres\",\"size_bytes\":"), "\(database)")
        #expect(try await outrigger.get("/health", ["-X", "POST"]).status == 405)
        #expect(try await outrigger.get("/performance/cleanup").status == 405)
        #expect(try await outrigger.get("/performance/cleanup", ["-X", "POST"]).body.contains("\"freed_bytes\":"))
        await outrigger.stop()
        await pgbouncer.stop()
        await postgres.stop()
    }

    private func everyPageAnswersSoon(_ outrigger: RunningOutrigger) async throws {
        for page in HealthPages.all where page.method == "GET" {
            // A second, and what starting a client costs beside it, on this machine and now.
            let plain = try await ContinuousClock().measure {
                _ = try await LocalServer.run("curl", ["--version"], folder: outrigger.folder)
            }
            let limit = (Duration.seconds(1) + plain * 20) / Duration.seconds(1)
            let answer = try await outrigger.get(page.path, ["--max-time", "\(limit)"])
            #expect(answer.status == 200 || (page.isProbe && answer.status == 503), "\(page.path)")
        }
    }

    @Test func theFirstPageSaysWhatIsWrongToAPerson() async throws {
        let folder = try TemporaryFolder("outrigger-test")
        try Files.write(
            """
            groups:
            - name: g
              interval: 1s
              rules: [{alert: Odd, expr: 'vector(1)', labels: {severity: info, what: '<b id=x>"&'}}]
            """, to: folder.path + "/rules.yml")
        let (postgres, redis) = (try await LocalPostgres.start(), try await LocalRedis.start())
        let outrigger = try await start(postgres, redis, rules: "alerting: {rules: ['\(folder.path)/rules.yml']}")
        _ = try await page("/", of: outrigger, with: "Odd")
        redis.server.process.signal(SIGKILL)
        _ = try await page("/health", of: outrigger, with: "\"redis\":\"critical\"")
        let shown = try await Browser.text(of: outrigger.url + "/", until: "redis.availability")
        #expect(shown.contains("<h1>critical</h1>"))
        #expect(shown.contains("See whether the server runs, still loads its dump"))
        #expect(shown.contains("what &lt;b id=x&gt;\"&amp;") && !shown.contains("<b id"))
        #expect(shown.contains("<polyline points="))
        #expect(!shown.contains("http://") && !shown.contains("https://"), "nothing from elsewhere")
        let head = try await outrigger.get("/").head
        #expect(head.contains("Content-Security-Policy: default-src 'none'"))
        await outrigger.stop()
        await postgres.stop()
    }

    @Test func onAPhoneNothingIsWiderThanTheScreen() async throws {
        let (postgres, redis) = (try await LocalPostgres.start(), try await LocalRedis.start())
        let outrigger = try await start(postgres, redis)
        _ = try await page("/", of: outrigger, with: "Redis commands")
        let width = try await Browser.contentWidth(of: outrigger.url + "/", screen: 360, outrigger.folder)
        #expect(width <= 360, "\(width) pixels")
        await outrigger.stop()
        await postgres.stop()
        await redis.stop()
    }
}

extension Browser {
    /// How wide a page's content is in a frame of `screen` pixels: a page around it measures.
    static func contentWidth(of url: String, screen: Int, _ folder: TemporaryFolder) async throws -> Int {
        let page = try await LocalServer.run("curl", ["-sf", url], folder: folder)
        // The page's own refreshing is left out; the frame's origin is the file's, so that it may be measured.
        let still = page.split(separator: "<script>")[0] + "</body></html>"
        try Files.write(String(still), to: folder.path + "/page.html")
        try Files.write(
            """
            <iframe src="page.html" style="width:\(screen)px;height:900px;border:0"></iframe>
            <script>
            onload = () => { document.title = 'width=' + frames[0].document.documentElement.scrollWidth + ';' }
            </script>
            """, to: folder.path + "/frame.html")
        let text = try await Browser.text(
            of: "file://\(folder.path)/frame.html", until: "width=", ["--allow-file-access-from-files"])
        let digits = text.components(after: "width=").prefix { $0.isNumber }
        return Int(digits) ?? .max
    }
}

extension String {
    fileprivate func components(after word: String) -> Substring {
        guard let range = firstRange(of: word) else { return "" }
        return self[range.upperBound...]
    }
}
