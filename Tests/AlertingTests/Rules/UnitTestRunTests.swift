import Alerting
import Runtime
import Testing

/// Our runner of rules' unit tests beside promtool's, on the same files.
@Suite struct UnitTestRunTests {
    private static let rules = """
        groups:
        - name: first
          rules:
          - {record: 'job:requests:rate5m', expr: 'sum by (job) (rate(requests_total[5m]))'}
          - alert: Down
            expr: up == 0
            for: 2m
            labels: {severity: page}
            annotations: {summary: '{{ $labels.instance }} of {{ $externalLabels.cluster }} at {{ $externalURL }}: {{ $value }}'}
        - name: second
          interval: 5m
          rules:
          - {alert: Idle, expr: 'job:requests:rate5m < 0.1', annotations: {empty: ''}}
          - {alert: Kept, expr: 'up == 0', keep_firing_for: 3m}
        """

    private static let series = """
            input_series:
            - {series: 'up{instance="a"}', values: '1 0 0 0 0 1x10'}
            - {series: 'up{instance="b"}', values: '_x3 0x2 stale'}
            - {series: 'requests_total{job="x"}', values: '0+60x8 1000 1000x8'}
        """

    private static func file(_ tests: String, head: String = "") -> String {
        "rule_files: [rules.yml]\nevaluation_interval: 1m\n\(head)\ntests:\n- interval: 1m\n"
            + "  external_labels: {cluster: c1}\n  external_url: http://x\n  name: one\n"
            + series.replacing("    input", with: "  input").replacing("    - ", with: "  - ") + "\n" + tests
    }

    private static func alert(_ time: String, _ name: String, _ expected: String) -> String {
        "  alert_rule_test: [{eval_time: \(time), alertname: \(name), exp_alerts: [\(expected)]}]\n"
    }

    private static func expression(_ time: String, _ query: String, _ expected: String) -> String {
        "  promql_expr_test: [{eval_time: \(time), expr: '\(query)', exp_samples: [\(expected)]}]\n"
    }

    private static let down =
        "{exp_labels: {severity: page, instance: a}, exp_annotations: {summary: 'a of c1 at http://x: 0'}}"

    /// A file in which one series stands twice.
    private static func twice(_ tests: String) -> String {
        let again = "- {series: 'up{instance=\"a\"}', values: '7x20'}\n  - {series: 'requests_total"
        return file(tests).replacing("- {series: 'requests_total", with: again)
    }

    /// Files with the answer that promtool gives.
    static let corpus: [String] = [
        file(
            expression(
                "4m", "holt_winters(requests_total[4m], 0.3, 0.6)", "{labels: '{job=\"x\"}', value: 240}")),
        twice(expression("2m", "up{instance=\"a\"}", "{labels: 'up{instance=\"a\"}', value: 7}")),
        twice(expression("2m", "up{instance=\"a\"}", "{labels: 'up{instance=\"a\"}', value: 0}")),
        file(alert("2m", "Down", "")), file(alert("3m", "Down", down)), file(alert("2m59s", "Down", "")),
        file(alert("3m30s", "Down", down)), file(alert("3m", "Down", "")), file(alert("4m", "Down", down)),
        file(alert("5m", "Down", down)), file(alert("3m", "Down", "{}")), file(alert("3m", "Nope", "")),
        file(alert("3m", "Nope", down)), file(alert("3m", "''", "")),
        file(alert("5m", "Down", "{exp_labels: {severity: page, instance: a}}")),
        file(alert("12m", "Idle", "{exp_labels: {job: x}}")),
        file(alert("16m", "Idle", "{exp_labels: {job: x}, exp_annotations: {empty: ''}}")),
        file(alert("16m", "Idle", "{exp_labels: {job: x}, exp_annotations: {}}")),
        file(alert("6m", "Kept", "{exp_labels: {instance: a}}, {exp_labels: {instance: b}}")),
        file(alert("7m", "Kept", "{exp_labels: {instance: b}}, {exp_labels: {instance: a}}")),
        file(alert("11m", "Kept", "")),
        file(expression("5m", "job:requests:rate5m", "{labels: 'job:requests:rate5m{job=\"x\"}', value: 1}")),
        file(expression("5m", "job:requests:rate5m", "{labels: 'job:requests:rate5m{job=\"x\"}', value: 2}")),
        file(expression("5m", "job:requests:rate5m", "")), file(expression("5m", "nothing", "")),
        file(expression("4m30s", "requests_total", "{labels: 'requests_total{job=\"x\"}', value: 240}")),
        // Samples after the last evaluation are not there.
        file(expression("4m59s", "requests_total", "{labels: 'requests_total{job=\"x\"}', value: 240}")),
        file(
            expression(
                "4m", "ALERTS{alertname=\"Down\"}",
                "{labels: 'ALERTS{alertname=\"Down\",alertstate=\"firing\",severity=\"page\",instance=\"a\"}', value: 1},"
                    + "{labels: 'ALERTS{alertname=\"Down\",alertstate=\"pending\",severity=\"page\",instance=\"b\"}', value: 1}"
            )),
        file(expression("5m", "up + ", "")), file(expression("5m", "1", "{labels: '{}', value: 1}")),
        file(expression("5m", "1", "{value: 1}")),
        file(expression("5m", "vector(0) / 0", "{labels: '{}', value: .nan}")),
        file(expression("5m", "vector(1) / 0", "{labels: '{}', value: .inf}")),
        file(expression("5m", "up", "{labels: 'up{', value: 1}")),
        file(alert("5m", "Down", down) + expression("5m", "count(up)", "{labels: '{}', value: 2}")),
        file("  nonsense: 1\n"), file("", head: "group_eval_order: [second, first]"),
        file("", head: "group_eval_order: [first, first]"), file("", head: "more: 1"),
        file(alert("5x", "Down", "")), file("  alert_rule_test: {}\n"), "tests: []", "", "x",
        "rule_files: [nosuch.yml]\ntests: []",
        "rule_files: [broken.yml]\ntests: [{interval: 1m}]", "rule_files: [failing.yml]\ntests: [{interval: 1m}]",
        "rule_files: [failing.yml]\ntests:\n- interval: 1m\n  input_series: [{series: 'a{x=\"1\"}', values: '1'},"
            + " {series: 'a{x=\"2\"}', values: '1'}]\n" + alert("1m", "A", ""),
        "tests:\n- interval: 1m\n  input_series: [{series: 'a{', values: '1'}]\n",
        "tests:\n- interval: 1m\n  input_series: [{series: 'a', values: '1 2 x'}]\n",
        "tests:\n- interval: 30s\n  input_series: [{series: 'a', values: '1+1x20'}]\n"
            + expression("5m", "a", "{labels: a, value: 11}"),
        "evaluation_interval: 15s\ntests:\n- interval: 30s\n  input_series: [{series: 'a', values: '1+1x20'}]\n"
            + expression("5m", "sum_over_time(a[1m:30s] offset 1s)", "{labels: '{}', value: 19}"),
    ]

    @Test(.enabled(if: Tool.promtool != nil, "no promtool on this machine"))
    func theSameTestsPassAndFailAsWithPromtool() async throws {
        let folder = try TemporaryFolder()
        try Files.write(Self.rules, to: folder.path + "/rules.yml")
        try Files.write("groups: [{name: g, rules: [{record: a, expr: '1 +'}]}]", to: folder.path + "/broken.yml")
        try Files.write(
            "groups: [{name: g, rules: [{alert: A, expr: a, labels: {x: same}}]}]", to: folder.path + "/failing.yml")
        for (index, text) in Self.corpus.enumerated() {
            let path = "\(folder.path)/test\(index).yml"
            try Files.write(text, to: path)
            let theirs = try await Tool.run(try #require(Tool.promtool), ["test", "rules", path], in: folder.path)
            let ours = RuleUnitTests.run(file: path)
            #expect(
                (theirs.status == 0) == ours.failures.isEmpty,
                "\(text)\npromtool: \(theirs.text)\nours: \(ours.failures.joined(separator: "\n"))")
        }
    }

    @Test func aFailedTestIsShownAsPromtoolShowsIt() throws {
        let folder = try TemporaryFolder()
        try Files.write(Self.rules, to: folder.path + "/rules.yml")
        try Files.write(
            Self.file(Self.alert("3m", "Down", "") + Self.expression("5m", "up", "{labels: x, value: 1.5e7}")),
            to: folder.path + "/t.yml")
        let report = RuleUnitTests.run(file: folder.path + "/t.yml")
        #expect(
            report.failures == [
                """
                    name: one,
                    alertname: Down, time: 3m, 
                        exp:[], 
                        got:[
                            0:
                              Labels:{alertname="Down", instance="a", severity="page"}
                              Annotations:{summary="a of c1 at http://x: 0"}
                            ]
                """,
                """
                    expr: "up", time: 5m,
                        exp: x{} 1.5E+07
                        got: up{instance="a"} 1E+00, up{instance="b"} 0E+00
                """,
            ])
    }

    private func failures(_ text: String) throws -> [String] {
        let folder = try TemporaryFolder()
        try Files.write(text, to: folder.path + "/t.yml")
        return RuleUnitTests.run(file: folder.path + "/t.yml").failures
    }

    @Test func aFuzzyComparisonAllowsTheNeighbouringNumbersOnly() throws {
        func file(_ value: String) -> String {
            """
            fuzzy_compare: true
            tests:
            - input_series: [{series: a, values: '\(value)'}]
              promql_expr_test: [{expr: a, eval_time: 0, exp_samples: [{labels: a, value: 3}]}]
            """
        }
        for value in ["2.9999999999999996", "3", "3.0000000000000004"] { #expect(try failures(file(value)) == []) }
        for value in ["2.9999999999999987", "3.0000000000000013"] { #expect(try failures(file(value)).count == 1) }
    }

    @Test(arguments: ["1704067200", "'2024-01-01T00:00:00Z'"])
    func aTestMayBeginAtAnyTime(_ start: String) throws {
        let file = """
            tests:
            - start_timestamp: \(start)
              interval: 1m
              input_series: [{series: a, values: '10+10x15'}]
              promql_expr_test:
              - {expr: time(), eval_time: 5m, exp_samples: [{value: 1704067500}]}
              - {expr: timestamp(a), eval_time: 5m, exp_samples: [{value: 1704067500}]}
              - {expr: a @ 1704067320, eval_time: 5m, exp_samples: [{labels: a, value: 30}]}
            """
        #expect(try failures(file) == [])
    }
}
