import Foundation
import Metrics
import Network
import Runtime
import Testing

@testable import Alerting

/// The same configuration and the same alerts at the same time, given to Debian's Alertmanager and to ours: both must
/// send the same bodies, byte for byte, in the same order.
@Suite(
    .enabled(if: Files.exists("/usr/bin/prometheus-alertmanager"), "Alertmanager is not on this machine"), .serialized)
struct SideBySideTests {
    private static let configuration = """
        route:
          receiver: hook.1
          group_by: [job]
          group_wait: 300ms
          group_interval: 1s
          repeat_interval: 2300ms
          routes:
          - receiver: page
            matchers: [severity=~"pag(e|er)", team!="web"]
            group_by: ['...']
        inhibit_rules:
        - source_matchers: [severity=critical]
          target_matchers: [severity=warning]
          equal: [db]
        receivers:
        - name: hook.1
          webhook_configs: [{url: URL/hook, max_alerts: 3}]
        - name: page
          webhook_configs: [{url: URL/page, send_resolved: false}]
        """

    /// Both sides of the comparison.
    private final class Pair {
        let theirs: Consumer
        let ours: Consumer
        let dispatcher: Dispatcher
        private let process = Process()
        private let folder: TemporaryFolder
        private let client = HTTPClient()
        private let alertmanager: String
        private let externalURL = "http://am.example:9093"

        init() async throws {
            theirs = try Consumer()
            ours = try Consumer()
            folder = try TemporaryFolder("outrigger-side")
            let probe = try HTTPServer(ListenAddress(host: "127.0.0.1", port: 0)) { _ in HTTPResponse() }
            let address = probe.address
            await probe.stop(within: .seconds(1))
            alertmanager = "http://\(address)"
            try Files.write(Self.text(theirs), to: folder.path + "/am.yml")
            process.executableURL = URL(fileURLWithPath: "/usr/bin/prometheus-alertmanager")
            process.arguments = [
                "--config.file=\(folder.path)/am.yml", "--storage.path=\(folder.path)/data",
                "--web.listen-address=\(address)", "--web.external-url=\(externalURL)", "--web.route-prefix=/",
                "--cluster.listen-address=",
            ]
            process.standardError = FileHandle.nullDevice
            process.standardOutput = FileHandle.nullDevice
            try process.run()
            let indented = Self.text(ours).split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
            let root = try #require(try YAML.parse("alerting:\n" + indented))
            let settings = try NotificationSettings.read(Settings(file: ("side.yml", root)), externalURL: externalURL)
            dispatcher = Dispatcher(try #require(settings).switchboard, client: client, userAgent: "test")
            let ready = Deadline.after(.seconds(120))
            while (try? await client.send(.init(url: alertmanager + "/-/ready", deadline: .after(.seconds(1)))).status)
                != 200,
                !ready.hasPassed
            { try await Task.sleep(for: .milliseconds(50)) }
        }

        deinit {
            process.terminate()
            process.waitUntilExit()
        }

        private static func text(_ consumer: Consumer) -> String {
            SideBySideTests.configuration.replacing("URL", with: "http://\(consumer.server.address)")
        }

        /// Hands the alerts to both, within a millisecond or two.
        func tell(_ alerts: [Alert]) async throws {
            var request = HTTPClient.Request(url: alertmanager + "/api/v2/alerts", deadline: .after(.seconds(30)))
            request.method = "POST"
            request.headers = [("Content-Type", "application/json")]
            request.body = AlertmanagerPost.body(alerts)
            await dispatcher.receive(alerts)
            try #require(try await client.send(request).status == 200)
        }

        func stop() async {
            await dispatcher.stop()
            await ours.stop()
            await theirs.stop()
        }
    }

    private func alert(
        _ name: String, _ labels: KeyValuePairs<String, String>, start: Moment, end: Moment? = nil
    ) -> Alert {
        Alert(
            labels: Labels([Label("alertname", name), Label("job", "db")] + labels.map { Label($0.key, $0.value) }),
            annotations: [Label("summary", "<\(name)> & co"), Label("same", "for all")], startsAt: start,
            endsAt: end ?? start + .seconds(3600), generatorURL: "http://x/?q=\(name)", updatedAt: .now)
    }

    private func bodies(_ consumer: Consumer, _ path: String) -> [String] {
        consumer.received.filter { $0.path == path }.map { String(decoding: $0.body, as: UTF8.self) }
    }

    /// What each sent: to the first receiver in order; to the second, whose groups send at the same time, in any.
    private struct Sent: Equatable {
        var hook: [String]
        var page: [String]
    }

    @Test(.timeLimit(.minutes(15))) func bothSendTheSameBodiesInTheSameOrder() async throws {
        // A comparison counts only if this process was let run: the flushes are a second apart.
        for _ in 0..<8 {
            let (theirs, ours, lateness) = try await perform()
            guard lateness < .milliseconds(300) else { continue }
            #expect(ours == theirs)
            #expect(theirs.hook.count >= 6 && theirs.page.count >= 4)
            return
        }
        Issue.record("the machine was too busy for a comparison", severity: .warning)
    }

    /// The longest that a task which sleeps for a moment was kept waiting.
    private func worstLateness() -> Task<Duration, Never> {
        Task {
            var worst = Duration.zero
            while !Task.isCancelled {
                let began = ContinuousClock.now
                try? await Task.sleep(for: .milliseconds(10))
                worst = max(worst, ContinuousClock.now - began)
            }
            return worst
        }
    }

    private func perform() async throws -> (theirs: Sent, ours: Sent, lateness: Duration) {
        let pair = try await Pair()
        let watch = worstLateness()
        let began = ContinuousClock.now
        func wait(until seconds: Double) async throws {
            try await Task.sleep(until: began + .milliseconds(Int(seconds * 1000)))
        }
        let start = Moment.now
        // Flushes are due at 0.3, 1.3, 2.3, … seconds; alerts are handed in halfway between.
        try await pair.tell([
            alert("A", ["severity": "warning", "db": "x"], start: start),
            alert("B", ["severity": "warning", "db": "y", "instance": "1"], start: start),
            alert("P", ["severity": "page"], start: start), alert("Q", ["severity": "pager"], start: start),
        ])
        try await wait(until: 0.8)
        let third = Moment.now
        try await pair.tell([alert("C", ["severity": "info", "instance": "0"], start: third)])
        try await wait(until: 1.8)
        let end = Moment.now
        try await pair.tell([
            alert("B", ["severity": "warning", "db": "y", "instance": "1"], start: start, end: end),
            alert("P", ["severity": "page"], start: start, end: end),
        ])
        try await wait(until: 2.8)
        let fourth = Moment.now
        try await pair.tell([
            alert("D", ["severity": "critical", "db": "x"], start: fourth), alert("E", ["z": "1"], start: fourth),
            alert("F", ["z": "2"], start: fourth), alert("G", ["z": "3"], start: fourth),
        ])
        // Nothing changes for long enough that everything is repeated.
        try await wait(until: 6.8)
        let over = Moment.now
        try await pair.tell([alert("D", ["severity": "critical", "db": "x"], start: fourth, end: over)])
        try await wait(until: 7.8)
        let last = Moment.now
        try await pair.tell([
            alert("A", ["severity": "warning", "db": "x"], start: start, end: last),
            alert("C", ["severity": "info", "instance": "0"], start: third, end: last),
            alert("E", ["z": "1"], start: fourth, end: last), alert("F", ["z": "2"], start: fourth, end: last),
            alert("G", ["z": "3"], start: fourth, end: last),
            alert("Q", ["severity": "pager"], start: start, end: last),
        ])
        try await wait(until: 10.8)

        watch.cancel()
        let sent = [pair.theirs, pair.ours].map { Sent(hook: bodies($0, "/hook"), page: bodies($0, "/page").sorted()) }
        await pair.stop()
        return (sent[0], sent[1], await watch.value)
    }
}
