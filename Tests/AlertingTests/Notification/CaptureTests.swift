import Metrics
import Runtime
import TestTools
import Testing

@testable import Alerting

/// Against what a real Prometheus and a real Alertmanager sent.
@Suite struct CaptureTests {
    private func labels(_ json: JSON?) -> [Label] {
        (json?.members ?? []).map { Label($0.key, $0.value.string ?? "") }
    }

    private func bytes(_ json: JSON) -> [UInt8] {
        var writer = JSONWriter()
        writer.value(json)
        return writer.bytes
    }

    private func headerLength(_ capture: JSON) throws -> Int {
        try #require(capture["headers"]?["Content-Length"]?.string.flatMap { Int($0) })
    }

    @Test(.enabled(if: SharedData.isPresent, SharedData.absence))
    func everyCapturedWebhookIsRebuiltByteForByteFromItsAlertsAndTheConfiguration() throws {
        let names = ["alertname", "severity"]
        var root = Route(receiver: "hook.1", grouping: .by(names))
        root.routes = [root.child(receiver: "hook2", matchers: [try Matcher("severity", .equal, "page")])]
        let tree = RouteTree(root)
        let captures = try #require(try SharedData.json("webhook_examples_all.json").array)
        for capture in captures {
            let body = try #require(capture["body"])
            let alerts = try #require(body["alerts"]?.array).map { json in
                Alert(
                    labels: Labels(labels(json["labels"])), annotations: labels(json["annotations"]),
                    startsAt: try #require(json["startsAt"]?.string.flatMap { Moment($0) }),
                    endsAt: try #require(
                        json["status"]?.string == "resolved"
                            ? json["endsAt"]?.string.flatMap { Moment($0) } : Moment(milliseconds: .max / 2)),
                    generatorURL: json["generatorURL"]?.string ?? "", updatedAt: Moment(milliseconds: 0))
            }
            let branch = try #require(tree.branches(for: alerts[0].labels).first)
            let groupLabels = tree.groupLabels(of: alerts[0].labels, in: branch)
            let message = WebhookMessage(
                receiver: tree.branches[branch].route.receiver, alerts: alerts.reversed().sorted(by: Alert.precedes),
                groupLabels: groupLabels, groupKey: "\(tree.branches[branch].key):\(groupLabels.goText)",
                externalURL: "http://am.example:9093", time: Moment(milliseconds: 2_000_000_000_000))
            #expect(message.body == bytes(body) + [0x0a])
            #expect(message.body.count == (try headerLength(capture)))
        }
        #expect(captures.count == 8)
        let raw = try Files.read(Facts.sharedPath("alerting/webhook_example.json"))
        #expect(bytes(try JSON.parse(raw)) + [0x0a] == raw)
    }

    @Test(.enabled(if: SharedData.isPresent, SharedData.absence))
    func everyCapturedPostToAlertmanagerIsRebuiltByteForByte() throws {
        let captures = try #require(try SharedData.json("prometheus_to_am_posts.json").array)
        for capture in captures {
            let body = try #require(capture["body"])
            let alerts = try #require(body.array).map { json in
                Alert(
                    labels: Labels(labels(json["labels"])), annotations: labels(json["annotations"]),
                    startsAt: try #require(json["startsAt"]?.string.flatMap { Moment($0) }),
                    endsAt: json["endsAt"]?.string.flatMap { Moment($0) },
                    generatorURL: json["generatorURL"]?.string ?? "", updatedAt: Moment(milliseconds: 0))
            }
            let post = AlertmanagerPost.body(alerts)
            #expect(post == bytes(body))
            #expect(post.count == (try headerLength(capture)))
        }
        #expect(captures.count == 44)
    }
}
