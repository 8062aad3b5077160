import Alerting
import Metrics
import Network
import PromQL
import Runtime
import Testing

/// The four scenes of the Prometheus alert generator compliance suite, with its timing (a sample every 15 s, an
/// evaluation every 30 s, resending after a minute), under a clock that the test moves. As there, each state is looked at
/// through four channels: `/api/v1/rules`, `/api/v1/alerts`, the series `ALERTS`, and what is handed on; an observer may
/// be late by one interval.
@Suite struct ComplianceTests {
    static let sampleInterval: Int64 = 15_000
    static let interval: Int64 = 30_000
    static let resendDelay: Int64 = 60_000

    /// What is expected from one sample on to another.
    struct Span {
        let from: Int
        let to: Int
        /// `Name state value`, sorted.
        let alerts: [String]
    }

    /// One stretch of time in which an alert is told of again and again.
    struct Telling {
        let name: String
        let from: Int
        let to: Int
        /// The sample at which it began to fire.
        let firedAt: Int
        var resolvedAt: Int?
        let annotation: String
    }

    struct Story {
        let rules: String
        /// Series and their values, one every 15 s.
        let series: [(String, [Double])]
        let samples: Int
        let spans: [Span]
        let tellings: [Telling]
    }

    private func play(_ story: Story, start: Int64 = 1_700_000_010_000) async throws {
        let scene = try await RuleScene(story.rules, start: start)
        let api = PrometheusAPI(
            source: scene.store, rules: { scene.ruler.snapshot }, metadata: { [] }, build: .init(version: "test"))
        var told: [Alert] = []
        for index in 0..<story.samples {
            let time = start + Int64(index) * Self.sampleInterval
            for (series, values) in story.series where index < values.count {
                try scene.append(series, values[index], at: time)
            }
            for offset in stride(from: Int64(0), to: Self.sampleInterval, by: 5000) {
                await scene.run(until: time + offset)
                told += scene.sent()
                guard time + offset - start >= 2 * Self.interval else { continue }
                try await check(scene, api, story, at: time + offset, since: start)
            }
        }
        check(told, story, since: start)
    }

    // MARK: The three channels that are asked

    private func check(_ scene: RuleScene, _ api: PrometheusAPI, _ story: Story, at time: Int64, since start: Int64)
        async throws
    {
        let current = Int((time - start) / Self.sampleInterval)
        let earliest = Int((time - start - Self.interval) / Self.sampleInterval)
        let allowed = story.spans.filter { $0.from <= current && $0.to > earliest }.map(\.alerts)

        let alerts = try await data(api, "/api/v1/alerts", at: time)["alerts"]?.array ?? []
        let listed = alerts.map { "\(text($0["labels"])) \($0["state"]?.string ?? "") \($0["value"]?.string ?? "")" }
            .sorted()
        #expect(allowed.contains(listed), "alerts at sample \(current): \(listed), expected one of \(allowed)")

        let rules = try await data(api, "/api/v1/rules", at: time)["groups"]?.array?.first?["rules"]?.array ?? []
        #expect(rules.allSatisfy { $0["health"]?.string == "ok" })
        let inRules = rules.flatMap { $0["alerts"]?.array ?? [] }
        #expect(inRules == alerts)
        for rule in rules {
            let states = (rule["alerts"]?.array ?? []).compactMap { $0["state"]?.string }
            let worst = states.contains("firing") ? "firing" : states.contains("pending") ? "pending" : "inactive"
            #expect(rule["state"]?.string == worst)
        }

        let request = HTTPRequest(
            method: "GET", path: "/api/v1/query",
            query: [("query", "ALERTS"), ("time", "\(Double(time) / 1000)")])
        let answer = try #require(await api.answer(request, now: time))
        let series = try JSON.parse(answer.body)["data"]?["result"]?.array ?? []
        let metrics = series.map { one in
            "\(text(one["metric"])) \(one["metric"]?["alertstate"]?.string ?? "")"
        }.sorted()
        let states = listed.map { $0.split(separator: " ").dropLast().joined(separator: " ") }.sorted()
        #expect(metrics == states, "ALERTS at sample \(current)")
    }

    private func data(_ api: PrometheusAPI, _ path: String, at time: Int64) async throws -> JSON {
        let answer = try #require(await api.answer(HTTPRequest(method: "GET", path: path), now: time))
        return try #require(try JSON.parse(answer.body)["data"])
    }

    /// The alert's name, with the variant if it has one.
    private func text(_ labels: JSON?) -> String {
        (labels?["alertname"]?.string ?? "") + (labels?["variant"]?.string.map { "/" + $0 } ?? "")
    }

    // MARK: What is handed on

    private func check(_ told: [Alert], _ story: Story, since start: Int64) {
        var left = told
        func time(_ sample: Int) -> Int64 { start + Int64(sample) * Self.sampleInterval }
        for telling in story.tellings {
            let window = time(telling.from)..<(time(telling.to) + Self.interval)
            let isResolved = telling.resolvedAt != nil
            let mine = left.filter { alert in
                text(alert) == telling.name && window.contains(alert.updatedAt.milliseconds)
                    && alert.isResolved(at: alert.updatedAt) == isResolved
                    && (alert.annotations.first?.value ?? "") == telling.annotation
            }
            left.removeAll { alert in mine.contains(alert) }
            let times = mine.map(\.updatedAt.milliseconds)
            #expect(!times.isEmpty, "nothing told of \(telling)")
            guard let first = times.first, let last = times.last else { continue }
            // A value that changes is told with the next resending.
            #expect(first - time(telling.from) <= Self.resendDelay + Self.interval, "\(telling) began late")
            #expect(time(telling.to) - last <= Self.resendDelay + 2 * Self.interval, "\(telling) stopped early")
            for (earlier, later) in zip(times, times.dropFirst()) {
                let gap = later - earlier
                #expect(gap > Self.resendDelay && gap <= Self.resendDelay + Self.interval, "\(telling)")
            }
            for alert in mine {
                let startsAt = alert.startsAt.milliseconds - time(telling.firedAt)
                #expect((0...Self.interval).contains(startsAt), "\(telling)")
                let endsAt = alert.endsAt?.milliseconds ?? 0
                if let resolvedAt = telling.resolvedAt {
                    #expect((0...Self.interval).contains(endsAt - time(resolvedAt)), "\(telling)")
                } else {
                    #expect(endsAt == alert.updatedAt.milliseconds + 4 * Self.resendDelay)
                }
            }
        }
        #expect(left.isEmpty, "told without reason: \(left)")
    }

    private func text(_ alert: Alert) -> String {
        alert.name + (alert.labels["variant"].map { "/" + $0 } ?? "")
    }

    private func values(_ runs: (Double, Int)...) -> [Double] {
        runs.flatMap { Array(repeating: $0.0, count: $0.1) }
    }

    // MARK: The scenes

    @Test func pendingAndFiringAndResolved() async throws {
        let story = Story(
            rules: """
                groups:
                - name: Simple
                  interval: 30s
                  rules:
                  - alert: Simple
                    expr: load > 10
                    for: 6m
                    labels: {scene: first}
                    annotations: {summary: 'The value is {{ $value }}, again {{ .Value }}'}
                """,
            series: [
                (
                    "load",
                    values(
                        (3, 1), (5, 3), (9, 4), (11, 13), (15, 32), (19, 16), (9, 20), (15, 45), (8, 16))
                )
            ],
            samples: 206,
            spans: [
                Span(from: 0, to: 8, alerts: []),
                Span(from: 8, to: 21, alerts: ["Simple pending 1.1e+01"]),
                Span(from: 21, to: 32, alerts: ["Simple pending 1.5e+01"]),
                Span(from: 32, to: 53, alerts: ["Simple firing 1.5e+01"]),
                Span(from: 53, to: 69, alerts: ["Simple firing 1.9e+01"]),
                Span(from: 69, to: 89, alerts: []),
                Span(from: 89, to: 113, alerts: ["Simple pending 1.5e+01"]),
                Span(from: 113, to: 134, alerts: ["Simple firing 1.5e+01"]),
                Span(from: 134, to: 1000, alerts: []),
            ],
            tellings: [
                Telling(name: "Simple", from: 32, to: 53, firedAt: 32, annotation: "The value is 15, again 15"),
                Telling(name: "Simple", from: 53, to: 69, firedAt: 32, annotation: "The value is 19, again 19"),
                Telling(
                    name: "Simple", from: 69, to: 89, firedAt: 32, resolvedAt: 69,
                    annotation: "The value is 19, again 19"),
                Telling(name: "Simple", from: 113, to: 134, firedAt: 113, annotation: "The value is 15, again 15"),
                // Fifteen minutes later nobody is told any more.
                Telling(
                    name: "Simple", from: 134, to: 194, firedAt: 113, resolvedAt: 134,
                    annotation: "The value is 15, again 15"),
            ])
        try await play(story)
    }

    @Test func pendingAndResolvedAndAlwaysInactive() async throws {
        let course = values((3, 1), (5, 3), (9, 4), (11, 11), (9, 1))
        let story = Story(
            rules: """
                groups:
                - name: Quiet
                  interval: 30s
                  rules:
                  - {alert: Pending, expr: 'load{of="a"} > 10', for: 3m, labels: {scene: second}}
                  - {alert: Never, expr: 'load{of="b"} > 99', for: 3m}
                """,
            series: [(#"load{of="a"}"#, course), (#"load{of="b"}"#, course)],
            samples: 60,
            spans: [
                Span(from: 0, to: 8, alerts: []),
                Span(from: 8, to: 19, alerts: ["Pending pending 1.1e+01"]),
                Span(from: 19, to: 1000, alerts: []),
            ],
            tellings: [])
        try await play(story)
    }

    @Test func dataThatEndsWhilePendingOrFiringEndsTheAlertAfterTheLookback() async throws {
        let story = Story(
            rules: """
                groups:
                - name: Gone
                  interval: 30s
                  rules:
                  - {alert: Pending, expr: 'load > 10', for: 30m}
                  - {alert: Firing, expr: 'load > 10', annotations: {summary: 'at {{ $value }}'}}
                """,
            series: [("load", values((3, 4), (11, 5)))],
            samples: 100,
            spans: [
                Span(from: 0, to: 4, alerts: []),
                // The last sample is number 8 and counts for five minutes.
                Span(from: 4, to: 28, alerts: ["Firing firing 1.1e+01", "Pending pending 1.1e+01"]),
                Span(from: 28, to: 1000, alerts: []),
            ],
            tellings: [
                Telling(name: "Firing", from: 4, to: 28, firedAt: 4, annotation: "at 11"),
                Telling(name: "Firing", from: 28, to: 88, firedAt: 4, resolvedAt: 28, annotation: "at 11"),
            ])
        try await play(story)
    }

    @Test func zeroForAndSmallFor() async throws {
        let course = values((3, 1), (5, 3), (9, 4), (15, 13), (9, 72), (11, 13), (9, 1))
        let first = "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC; foo bar 99: 101, 101=1 102=2"
        let later = "1.049M 1Mi 2m 15s 95.9% 2022-01-25 12:36:43 +0000 UTC; foo bar 99: 101, 101=2 102=4"
        let small = "This Part LOUD low. ::1 127.0.0.1. 7815. replaced."
        let story = Story(
            rules: #"""
                groups:
                - name: Fors
                  interval: 30s
                  rules:
                  - alert: Zero
                    expr: load{of="zero"} > 10
                    annotations:
                      text: >-
                        {{ define "rest" }}{{ .arg0 }} {{ .arg1 }} {{ .arg2 }}: {{ with query "ids" }}{{ . | sortByLabel "id"
                        | first | label "id" }},{{ range sortByLabel "id" . }} {{ . | label "id" }}={{ . | value }}{{ end
                        }}{{ end }}{{ end }}{{ humanize 1048576 }} {{ humanize1024 1048576 }} {{ humanizeDuration 135.3563
                        }} {{ humanizePercentage 0.959 }} {{ humanizeTimestamp 1643114203 }}; {{ template "rest" (args "foo"
                        "bar" 99) }}
                  - alert: Small
                    expr: load{of="small"} > 13
                    for: 15s
                    annotations:
                      text: >-
                        {{ title "this part" }} {{ toUpper "loud" }} {{ toLower "LOW" }}. {{ stripPort "[::1]:6006" }} {{
                        stripPort "127.0.0.1:4004" }}. {{ parseDuration "2h10m15s" }}. {{ if match "[0-9]+" "1234" }}{{
                        reReplaceAll "r.*d" "replaced" "rpld" }}{{ end }}.{{ if match "[0-9]+$" "1234a" }}WRONG{{ end }}
                """#,
            series: [
                (#"load{of="zero"}"#, course), (#"load{of="small"}"#, course),
                (#"ids{id="102"}"#, values((2, 28), (4, 200))), (#"ids{id="101"}"#, values((1, 28), (2, 200))),
            ],
            samples: 127,
            spans: [
                Span(from: 0, to: 8, alerts: []),
                Span(from: 8, to: 10, alerts: ["Small pending 1.5e+01", "Zero firing 1.5e+01"]),
                Span(from: 10, to: 21, alerts: ["Small firing 1.5e+01", "Zero firing 1.5e+01"]),
                Span(from: 21, to: 93, alerts: []),
                Span(from: 93, to: 106, alerts: ["Zero firing 1.1e+01"]),
                Span(from: 106, to: 1000, alerts: []),
            ],
            tellings: [
                Telling(name: "Zero", from: 8, to: 21, firedAt: 8, annotation: first),
                Telling(name: "Small", from: 10, to: 21, firedAt: 10, annotation: small),
                Telling(name: "Zero", from: 21, to: 81, firedAt: 8, resolvedAt: 21, annotation: first),
                Telling(name: "Small", from: 21, to: 81, firedAt: 10, resolvedAt: 21, annotation: small),
                Telling(name: "Zero", from: 93, to: 106, firedAt: 93, annotation: later),
                Telling(name: "Zero", from: 106, to: 127, firedAt: 93, resolvedAt: 106, annotation: later),
            ])
        try await play(story)
    }

    @Test func newAlertsAndOrder() async throws {
        let story = Story(
            rules: """
                groups:
                - name: Order
                  interval: 30s
                  rules:
                  - alert: Base
                    expr: load > 10
                    for: 3m
                    labels: {foo: bar}
                    annotations: {text: 'more of these come later'}
                  - alert: Both
                    expr: >-
                      (ALERTS{alertname="Base", alertstate="firing", foo="bar", variant="one"} + ignoring(variant)
                      ALERTS{alertname="Base", alertstate="firing", foo="bar", variant="two"}) == 2
                    labels: {foo: baz}
                    annotations: {text: 'was {{ $labels.alertname }} with {{ .Labels.foo }}'}
                """,
            series: [
                (#"load{variant="one"}"#, values((1, 8), (11, 65), (9, 21))),
                (#"load{variant="two"}"#, values((1, 32), (11, 33), (9, 29))),
            ],
            samples: 94,
            spans: [
                Span(from: 0, to: 8, alerts: []),
                Span(from: 8, to: 20, alerts: ["Base/one pending 1.1e+01"]),
                Span(from: 20, to: 32, alerts: ["Base/one firing 1.1e+01"]),
                Span(from: 32, to: 44, alerts: ["Base/one firing 1.1e+01", "Base/two pending 1.1e+01"]),
                Span(
                    from: 44, to: 65,
                    alerts: ["Base/one firing 1.1e+01", "Base/two firing 1.1e+01", "Both firing 2e+00"]),
                Span(from: 65, to: 73, alerts: ["Base/one firing 1.1e+01"]),
                Span(from: 73, to: 1000, alerts: []),
            ],
            tellings: [
                Telling(name: "Base/one", from: 20, to: 73, firedAt: 20, annotation: "more of these come later"),
                Telling(name: "Base/two", from: 44, to: 65, firedAt: 44, annotation: "more of these come later"),
                Telling(name: "Both", from: 44, to: 65, firedAt: 44, annotation: "was Base with bar"),
                Telling(
                    name: "Base/two", from: 65, to: 94, firedAt: 44, resolvedAt: 65,
                    annotation: "more of these come later"),
                Telling(name: "Both", from: 65, to: 94, firedAt: 44, resolvedAt: 65, annotation: "was Base with bar"),
                Telling(
                    name: "Base/one", from: 73, to: 94, firedAt: 20, resolvedAt: 73,
                    annotation: "more of these come later"),
            ])
        try await play(story)
    }
}
