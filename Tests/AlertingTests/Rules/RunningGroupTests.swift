import Metrics
import PromQL
import Runtime
import Testing

@testable import Alerting

/// Groups of rules as a whole, driven through the ruler.
@Suite struct RunningGroupTests {
    @Test func laterRulesSeeWhatEarlierRulesOfTheSameCycleWrote() async throws {
        let scene = try await RuleScene(
            """
            groups:
            - name: g
              rules:
              - {record: 'a:double', expr: 'a * 2'}
              - {alert: Big, expr: 'a:double > 10'}
              - {alert: Follows, expr: 'ALERTS{alertname="Big", alertstate="firing"}'}
            """)
        try scene.append("a", 6, at: 0)
        await scene.run(until: 30_000)
        #expect(scene.alerts.map { $0.labels["alertname"] } == ["Big", "Follows"])
        #expect(try scene.ask("a:double", at: scene.now).map(\.value) == [12])
    }

    @Test func groupLabelsAreThereAndTheRulesOwnWin() async throws {
        let scene = try await RuleScene(
            """
            groups:
            - name: g
              labels: {team: dba, tier: one}
              rules:
              - {alert: A, expr: 'vector(1)', labels: {tier: two}}
              - {record: r, expr: 'vector(1)'}
            """)
        await scene.run(until: 30_000)
        #expect(scene.alerts[0].labels == Labels(["alertname": "A", "team": "dba", "tier": "two"]))
        #expect(
            try scene.ask("r", at: scene.now).map(\.labels) == [
                Labels(["__name__": "r", "team": "dba", "tier": "one"])
            ])
    }

    @Test func alertLabelsComeFromTheSampleAndTheTemplatesAndAnEmptyOneGoes() async throws {
        let scene = try await RuleScene(
            #"""
            groups:
            - name: g
              rules:
              - alert: A
                expr: foo
                labels: {a: over, level: '{{ if gt $value 5.0 }}high{{ else }}low{{ end }}', b: '{{ $labels.nosuch }}'}
                annotations: {all: '{{ $labels }}', broken: '{{ query "nope" | first }}'}
            """#)
        try scene.append(#"foo{a="q", b="x", c="y"}"#, 7, at: 0)
        await scene.run(until: 30_000)
        let alert = try #require(scene.alerts.first)
        #expect(alert.labels == Labels(["alertname": "A", "a": "over", "c": "y", "level": "high"]))
        #expect(alert.annotations[0] == Label("all", "map[__name__:foo a:q b:x c:y]"))
        #expect(alert.annotations[1].value.hasPrefix("<error expanding template: "))
    }

    @Test func alertsSeriesTellTheStateAndSince() async throws {
        let scene = try await RuleScene(
            "groups: [{name: g, rules: [{alert: A, expr: up == 0, for: 1m, labels: {x: '{{ $labels.nosuch }}'}}]}]")
        try scene.append("up", 0, at: 0)
        await scene.run(until: 30_000)
        let began = scene.alerts[0].activeAt
        // A label that expands to nothing is gone from the alert but stands unexpanded in ALERTS, as in Prometheus.
        #expect(scene.alerts[0].labels["x"] == nil)
        #expect(
            try scene.ask("ALERTS", at: scene.now).map(\.labels) == [
                Labels([
                    "__name__": "ALERTS", "alertname": "A", "alertstate": "pending", "x": "{{ $labels.nosuch }}",
                ])
            ])
        #expect(try scene.ask("ALERTS_FOR_STATE", at: scene.now).map(\.value) == [Double(began / 1000)])
        await scene.run(until: 120_000)
        #expect(try scene.ask("ALERTS", at: scene.now).map { $0.labels["alertstate"] } == ["firing"])
    }

    @Test func seriesThatARuleNoLongerWritesEnd() async throws {
        let scene = try await RuleScene("groups: [{name: g, rules: [{record: r, expr: 'a > 1'}]}]")
        try scene.append("a", 2, at: 0)
        await scene.run(until: 30_000)
        #expect(try scene.ask("r", at: scene.now).count == 1)
        try scene.append("a", 1, at: scene.now)
        await scene.run(until: 60_000)
        #expect(try scene.ask("r", at: scene.now).isEmpty)
    }

    @Test func aFailedEvaluationChangesNothingAndHandsNothingOn() async throws {
        let scene = try await RuleScene(
            "groups: [{name: g, rules: [{alert: A, expr: 'a / on() b'}]}]"
        ) { $0.resendDelay = 1 }
        try scene.append("a", 1, at: 0)
        try scene.append("b", 1, at: 0)
        await scene.run(until: 30_000)
        #expect(scene.sent().count == 1)
        // Two series on the one side: no match can be chosen.
        try scene.append(#"b{x="2"}"#, 1, at: scene.now)
        await scene.run(until: 60_000)
        #expect(scene.sent().isEmpty)
        #expect(scene.alerts.map(\.state) == [.firing])
        let rule = scene.ruler.snapshot.groups[0].rules[0]
        #expect(rule.lastError != nil)
        #expect(rule.evaluations.last?.error == rule.lastError)
        #expect(try scene.ask("ALERTS", at: scene.now).count == 1)
    }

    @Test func queryOffsetShiftsQueriesAndSamplesButNotTheAlertsTimes() async throws {
        let scene = try await RuleScene(
            """
            groups:
            - name: g
              query_offset: 1m
              rules: [{record: r, expr: a}, {alert: A, expr: a > 0}]
            """)
        for minute in 0..<6 { try scene.append("a", Double(minute), at: Int64(minute) * 60_000) }
        let before = scene.now
        await scene.run(until: 200_000)
        let last = try #require(scene.ruler.snapshot.groups[0].rules[0].evaluations.last)
        #expect(last.value == Double((last.time - 60_000) / 60_000))
        #expect(try scene.ask("timestamp(r)", at: scene.now).map(\.value) == [Double(last.time - 60_000) / 1000])
        #expect(scene.alerts[0].activeAt > before + 60_000)
    }

    @Test func aRecordingRuleOverItsLimitWritesNothing() async throws {
        let scene = try await RuleScene("groups: [{name: g, limit: 1, rules: [{record: r, expr: a}]}]")
        try scene.append(#"a{x="1"}"#, 1, at: 0)
        try scene.append(#"a{x="2"}"#, 1, at: 0)
        await scene.run(until: 30_000)
        #expect(scene.ruler.snapshot.groups[0].rules[0].lastError == "exceeded limit of 1 with 2 series")
        #expect(try scene.ask("r", at: scene.now).isEmpty)
    }

    @Test func aQueryThatIsNoVectorFailsTheRuleAndANumberIsOne() async throws {
        let scene = try await RuleScene(
            "groups: [{name: g, rules: [{record: r, expr: 'a[5m]'}, {record: n, expr: '7'}]}]")
        await scene.run(until: 30_000)
        #expect(scene.ruler.snapshot.groups[0].rules[0].lastError == "rule result is not a vector or scalar")
        #expect(try scene.ask("n", at: scene.now).map(\.value) == [7])
    }

    @Test func aRuleThatTakesTooLongLeavesTheOthersTheirTime() {
        for (interval, seconds) in [(100, 1), (1000, 1), (15_000, 3.75), (40_000, 10), (86_400_000, 10)] {
            #expect(RunningGroup.timeout(interval: Int64(interval)) == .seconds(seconds))
        }
    }

    @Test func selectorsThatMatchNothingAreNamed() async throws {
        let scene = try await RuleScene(
            #"groups: [{name: g, rules: [{alert: A, expr: 'a{x="1"} > 0 or typo{y=~".+"} > 0'}]}]"#)
        try scene.append(#"a{x="1"}"#, 0, at: 0)
        await scene.run(until: 30_000)
        #expect(scene.ruler.snapshot.groups[0].rules[0].evaluations.last?.emptySelectors == [#"typo{y=~".+"}"#])
    }

    @Test func theLastEvaluationsAreRemembered() async throws {
        let scene = try await RuleScene("groups: [{name: g, rules: [{alert: A, expr: 'a > 1'}]}]") {
            $0.evaluationsKept = 3
        }
        for step in 0..<10 { try scene.append("a", Double(step), at: Int64(step) * 30_000) }
        await scene.run(until: 300_000)
        let records = scene.ruler.snapshot.groups[0].rules[0].evaluations
        #expect(records.count == 3)
        #expect(records.map(\.samples) == [1, 1, 1])
        #expect(records.map { $0.value ?? 0 } == [7, 8, 9])
    }
}
