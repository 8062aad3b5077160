import Glibc
import LocalServers
import Runtime
import Testing

/// A real Redis is killed and comes back: what the people behind a webhook hear.
@Suite struct AlertingEndToEndTests {
    private let rules = """
        groups:
        - name: end-to-end
          interval: 1s
          rules:
          - alert: RedisDown
            expr: redis_up == 0
            for: 2s
            labels: {severity: critical}
            annotations: {summary: "{{ $labels.instance }} is down: {{ $value }}"}

        """

    private func configuration(redis: LocalRedis, folder: TemporaryFolder, receiver: String) throws -> String {
        try Files.write(rules, to: folder.path + "/rules.yml")
        return """
            history: {interval: 1s}
            collect: {min_age: 0s}
            state: {dir: "\(folder.path)/state"}
            redis: {url: "\(redis.url)"}
            alerting:
              rules: ["\(folder.path)/rules.yml"]
              resend_delay: 1s
              receivers: [{name: hook, \(receiver)}]
              route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}

            """
    }

    @Test func aKilledRedisIsReportedAndThenItsReturn() async throws {
        let hook = try WebhookReceiver()
        let folder = try TemporaryFolder("outrigger-test")
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(
            yaml: try configuration(redis: redis, folder: folder, receiver: "webhook: {url: \"\(hook.url)\"}"))
        redis.server.process.signal(SIGKILL)
        let firing = try await hook.wait(for: 1, within: .seconds(60))
        #expect(firing.map(\.alerts) == [["RedisDown firing"]])
        let back = try await redis.restarted()
        let both = try await hook.wait(for: 2, within: .seconds(60))
        #expect(both.map(\.alerts) == [["RedisDown firing"], ["RedisDown resolved"]])
        #expect(both.map(\.startsAt)[0] == both.map(\.startsAt)[1])
        await outrigger.stop()
        await back.stop()
        await hook.stop()
    }

    @Test func throughARealAlertmanagerTheSameSequenceArrives() async throws {
        let hook = try WebhookReceiver()
        let folder = try TemporaryFolder("outrigger-test")
        let alertmanager = try await startAlertmanager(telling: hook, folder: folder)
        let redis = try await LocalRedis.start()
        let outrigger = try await RunningOutrigger.start(
            yaml: try configuration(
                redis: redis, folder: folder,
                receiver: "alertmanager: {urls: [\"http://127.0.0.1:\(alertmanager.port)\"]}"))
        redis.server.process.signal(SIGKILL)
        let firing = try await hook.wait(for: 1, within: .seconds(60))
        #expect(firing.map(\.alerts) == [["RedisDown firing"]])
        let back = try await redis.restarted()
        let both = try await hook.wait(for: 2, within: .seconds(60))
        #expect(both.map(\.alerts) == [["RedisDown firing"], ["RedisDown resolved"]])
        await outrigger.stop()
        await alertmanager.process.stop()
        await back.stop()
        await hook.stop()
    }

    @Test func aReloadWithoutReceiversTellsNobodyAnyMoreAndOneWithThemDoesAgain() async throws {
        let hook = try WebhookReceiver()
        let outrigger = try await RunningOutrigger.start(
            yaml: "alerting: {receivers: [{name: hook, webhook: {url: \"\(hook.url)\"}}]}\n")
        func receivers(after yaml: String) async throws -> String {
            try Files.write(yaml, to: outrigger.folder.path + "/outrigger.yml")
            #expect(try await outrigger.get("/-/reload", ["-X", "POST"]).status == 200)
            return try await outrigger.get("/api/v2/receivers").body
        }
        #expect(try await outrigger.get("/api/v2/receivers").body.contains("\"hook\""))
        #expect(try await receivers(after: "log: {level: info}\n").hasPrefix("[]"))
        let again = "alerting: {receivers: [{name: other, webhook: {url: \"\(hook.url)\"}}]}\n"
        #expect(try await receivers(after: again).contains("\"other\""))
        await outrigger.stop()
        await hook.stop()
    }

    /// The configuration of `configuration`, in Alertmanager's own words.
    private func startAlertmanager(telling hook: WebhookReceiver, folder: TemporaryFolder) async throws -> LocalServer {
        let port = FreePort.next()
        try Files.write(
            """
            route: {receiver: hook, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h}
            receivers: [{name: hook, webhook_configs: [{url: "\(hook.url)"}]}]

            """, to: folder.path + "/alertmanager.yml")
        return try await LocalServer.start(
            "prometheus-alertmanager",
            [
                "--config.file=\(folder.path)/alertmanager.yml", "--storage.path=\(folder.path)/alertmanager",
                "--web.listen-address=127.0.0.1:\(port)", "--cluster.listen-address=",
            ], folder: folder, port: port
        ) {
            let probe = try? ChildProcess("curl", ["-sf", "http://127.0.0.1:\(port)/-/ready"])
            return (try? await probe?.exited(within: .seconds(5))) == 0
        }
    }
}
