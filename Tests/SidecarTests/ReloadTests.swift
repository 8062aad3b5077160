import LocalServers
import RedisTesting
import Runtime
import Testing

/// A reload takes effect in every part or in none, and says what it leaves to the next start.
@Suite struct ReloadTests {
    private func reload(_ outrigger: RunningOutrigger, _ yaml: String) async throws -> RunningOutrigger.Answer {
        try Files.write(yaml, to: outrigger.folder.path + "/outrigger.yml")
        return try await outrigger.get("/-/reload", ["-X", "POST"])
    }

    @Test func theSeriesOfEveryPartOutliveIt() async throws {
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(
            ["--collect.min-age=0", "--redis-proxy.listen-address=127.0.0.1:0"], yaml: "{}\n",
            environment: ["REDIS_URL": "redis://127.0.0.1:\(redis.port)"])
        let before = try await outrigger.get("/metrics").body
        #expect(before.contains("\noutrigger_cache_"))
        #expect(try await reload(outrigger, "log: {level: warn}\n").status == 200)
        let after = try await outrigger.get("/metrics").body
        #expect(names(in: before).subtracting(names(in: after)) == [])
        await outrigger.stop()
        await redis.stop()
    }

    private func names(in page: String) -> Set<String> {
        Set(page.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }.map { String($0.split(separator: " ")[2]) })
    }

    @Test func aBrokenRuleFileLeavesReceiversAsTheyWere() async throws {
        let outrigger = try await RunningOutrigger.start(["--collect.min-age=0"], yaml: "{}\n")
        try Files.write("groups: [{name: a, rules: [{alert: B, expr: '1 +'}]}]\n", to: outrigger.folder.path + "/r.yml")
        let refused = try await reload(
            outrigger,
            """
            alerting:
              rules: [r.yml]
              receivers: [{name: team, webhook: {url: "http://127.0.0.1:9/"}}]
              route: {receiver: team}
            """)
        #expect(refused.status == 500)
        // Alertmanager's API is there once receivers are.
        #expect(try await outrigger.get("/api/v2/alerts").status == 404)
        try Files.write("groups: []\n", to: outrigger.folder.path + "/r.yml")
        #expect(try await outrigger.get("/-/reload", ["-X", "POST"]).status == 200)
        #expect(try await outrigger.get("/api/v2/alerts").status == 200)
        await outrigger.stop()
    }

    @Test func everySettingThatWaitsForTheNextStartIsNamed() async throws {
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(
            ["--redis-proxy.listen-address=127.0.0.1:0"], yaml: "collect: {min_age: 0s}\n",
            environment: ["REDIS_URL": "redis://127.0.0.1:\(redis.port)"])
        let told = try await reload(
            outrigger, "collect: {min_age: 0s}\nhistory: {max_bytes: 64MiB}\nredis_proxy: {touch_every: 7}\n")
        #expect(told.status == 200)
        #expect(
            told.body.split(separator: "\n").sorted() == [
                "history.max_bytes takes effect at the next start",
                "redis_proxy.touch_every takes effect at the next start",
            ])
        let needed = "outrigger_config_restart_needed{setting=\"history.max_bytes\"} 1\n"
        #expect(try await outrigger.get("/metrics").body.contains(needed))
        // Who takes it back needs no restart any more.
        #expect(try await reload(outrigger, "collect: {min_age: 0s}\n").body == "")
        #expect(try await !outrigger.get("/metrics").body.contains("outrigger_config_restart_needed{"))
        await outrigger.stop()
        await redis.stop()
    }

    @Test func limitsOfCollectionsChangeAtOnce() async throws {
        let outrigger = try await RunningOutrigger.start(yaml: "collect: {min_age: 0s}\n")
        #expect(try await outrigger.get("/metrics").body.contains("\nprocess_cpu_seconds_total"))
        #expect(try await reload(outrigger, "collect: {min_age: 0s, series_limit: 1}\n").body == "")
        // What the latest page had to drop stands on the next.
        _ = try await outrigger.get("/metrics")
        #expect(try await !outrigger.get("/metrics").body.contains("\noutrigger_ready "))
        await outrigger.stop()
    }

    @Test func aUserThatIsRemovedIsSentAwayAndNotLetInAgain() async throws {
        let port = FreePort.next()
        func users(_ names: String...) -> String {
            let list = names.map { "{name: \($0), password: secret}" }.joined(separator: ", ")
            return
                "redis_proxy: {listen_address: '127.0.0.1:\(port)', require_auth: true, users: [\(list)]}\n"
        }
        let outrigger = try await RunningOutrigger.start(yaml: users("ann", "bob"))
        let (ann, bob) = (try RawClient(port: port), try RawClient(port: port))
        #expect(try ann.ask("AUTH", "ann", "secret") == "+OK\r\n")
        #expect(try bob.ask("AUTH", "bob", "secret") == "+OK\r\n")
        #expect(try await reload(outrigger, users("ann", "eve")).body == "")
        #expect(try bob.readToEnd() == [])
        #expect(try ann.ask("PING") == "+PONG\r\n")
        #expect(try RawClient(port: port).ask("AUTH", "bob", "secret").hasPrefix("-WRONGPASS"))
        #expect(try RawClient(port: port).ask("AUTH", "eve", "secret") == "+OK\r\n")
        await outrigger.stop()
    }
}
