import Metrics
import PromQL
import Runtime

/// A file of unit tests for rules, in promtool's form.
struct UnitTestFile {
    /// Paths or globs, relative to the file's folder.
    var ruleFiles: [String] = []

    /// Milliseconds between evaluations.
    var evaluationInterval: Int64 = 60_000
    var groupOrder: [String] = []

    /// Whether values may differ in their last digits.
    var comparesFuzzily = false
    var tests: [UnitTest] = []
}

/// One scene: series as they come in, and what is expected when.
struct UnitTest {
    var name = ""

    /// Milliseconds since the epoch of the first value and the first evaluation.
    var start: Int64 = 0

    /// Milliseconds between the values of a series.
    var interval: Int64
    var series: [ScriptSeries] = []
    var alerts: [ExpectedAlerts] = []
    var expressions: [ExpectedSamples] = []
    var externalLabels = Labels.none
    var externalURL = ""

    struct ExpectedAlerts {
        /// Milliseconds since the beginning.
        var time: Int64
        var name: String
        var alerts: [AlertTexts]
    }

    struct ExpectedSamples {
        var time: Int64
        var expression: String
        var samples: [(labels: String, value: Double)]
    }

    /// The last time somebody asks about.
    var end: Int64 { max(alerts.map(\.time).max() ?? 0, expressions.map(\.time).max() ?? 0) }
}

/// An alert as a test sees it. Both lists are sorted by name.
struct AlertTexts: Equatable {
    var labels: [Label]
    var annotations: [Label]
}

extension UnitTestFile {
    static func parse(_ bytes: [UInt8], path: String) throws(RuleFileError) -> UnitTestFile {
        let root: YAML?
        do {
            root = try YAML.parse(bytes)
        } catch {
            throw RuleFileError(path: path, problems: [RuleFileProblem("yaml: \(error)")])
        }
        var reader = UnitTestReader()
        let file = reader.file(root)
        guard reader.nodes.problems.isEmpty else { throw RuleFileError(path: path, problems: reader.nodes.problems) }
        return file
    }
}

private struct UnitTestReader {
    var nodes = NodeReader()

    mutating func file(_ root: YAML?) -> UnitTestFile {
        var file = UnitTestFile()
        let known = ["rule_files", "evaluation_interval", "group_eval_order", "fuzzy_compare", "tests"]
        guard let root, let fields = nodes.fields(of: root, "a unit test file", known: known) else { return file }
        for item in nodes.items(of: fields["rule_files"]) { file.ruleFiles.append(nodes.text(item)) }
        if let interval = nodes.duration(fields["evaluation_interval"]), interval > 0 {
            file.evaluationInterval = interval
        }
        for item in nodes.items(of: fields["group_eval_order"]) {
            let name = nodes.text(item)
            if file.groupOrder.contains(name) {
                nodes.complain("group name repeated in evaluation order: \(name)", item.line)
            }
            file.groupOrder.append(name)
        }
        file.comparesFuzzily = nodes.bool(fields["fuzzy_compare"]) ?? false
        for item in nodes.items(of: fields["tests"]) {
            if let test = test(item, interval: file.evaluationInterval) { file.tests.append(test) }
        }
        return file
    }

    private mutating func test(_ node: YAML, interval: Int64) -> UnitTest? {
        let known = [
            "name", "interval", "start_timestamp", "input_series", "alert_rule_test", "promql_expr_test",
            "external_labels",
            "external_url",
        ]
        guard let fields = nodes.fields(of: node, "a test", known: known) else { return nil }
        var test = UnitTest(interval: interval)
        test.name = nodes.text(fields["name"])
        if let own = nodes.duration(fields["interval"]), own > 0 { test.interval = own }
        if let node = fields["start_timestamp"] { test.start = start(node) }
        var places: [Labels: Int] = [:]
        for item in nodes.items(of: fields["input_series"]) {
            guard let series = series(item) else { continue }
            // Of a series that stands there twice the last counts, as promtool has it.
            if let place = places[series.labels] {
                test.series[place] = series
            } else {
                places[series.labels] = test.series.count
                test.series.append(series)
            }
        }
        for item in nodes.items(of: fields["alert_rule_test"]) {
            if let alerts = alerts(item) { test.alerts.append(alerts) }
        }
        for item in nodes.items(of: fields["promql_expr_test"]) {
            if let samples = samples(item) { test.expressions.append(samples) }
        }
        test.externalLabels = Labels(nodes.texts(fields["external_labels"]).map { Label($0.name, $0.value) })
        test.externalURL = nodes.text(fields["external_url"])
        return test
    }

    /// Seconds since the epoch, or RFC 3339.
    private mutating func start(_ node: YAML) -> Int64 {
        let text = nodes.text(node)
        if let seconds = YAMLNumber.number(text), seconds.magnitude < 1e12 { return Int64((seconds * 1000).rounded()) }
        if let moment = Moment(text) { return moment.milliseconds }
        nodes.complain("not a timestamp: \(GoQuote.quoted(text))", node.line)
        return 0
    }

    private mutating func series(_ node: YAML) -> ScriptSeries? {
        guard let fields = nodes.fields(of: node, "a series", known: ["series", "values"]) else { return nil }
        do throws(ScriptProblem) {
            let series = try ScriptSeries(
                nodes.text(fields["series"]) + " " + nodes.text(fields["values"]), at: node.line)
            if series.isHistogram { nodes.complain("native histograms are not supported", node.line) }
            return series
        } catch {
            nodes.complain(error.message, node.line)
            return nil
        }
    }

    private mutating func alerts(_ node: YAML) -> UnitTest.ExpectedAlerts? {
        let known = ["eval_time", "alertname", "exp_alerts"]
        guard let fields = nodes.fields(of: node, "an alert_rule_test", known: known) else { return nil }
        let time = nodes.duration(fields["eval_time"]) ?? 0
        let name = nodes.text(fields["alertname"])
        if name.isEmpty {
            nodes.complain(
                "an item under alert_rule_test misses required attribute alertname at eval_time \(DurationText.text(time))",
                node.line)
        }
        var expected: [AlertTexts] = []
        for item in nodes.items(of: fields["exp_alerts"]) {
            guard let fields = nodes.fields(of: item, "an expected alert", known: ["exp_labels", "exp_annotations"])
            else { continue }
            let labels = nodes.texts(fields["exp_labels"]).filter { $0.name != "alertname" }
            let annotations = nodes.texts(fields["exp_annotations"])
            expected.append(
                AlertTexts(
                    labels: sorted(labels.map { Label($0.name, $0.value) } + [Label("alertname", name)]),
                    annotations: sorted(annotations.map { Label($0.name, $0.value) })))
        }
        return UnitTest.ExpectedAlerts(time: time, name: name, alerts: expected)
    }

    private mutating func samples(_ node: YAML) -> UnitTest.ExpectedSamples? {
        let known = ["expr", "eval_time", "exp_samples"]
        guard let fields = nodes.fields(of: node, "a promql_expr_test", known: known) else { return nil }
        var expected = UnitTest.ExpectedSamples(
            time: nodes.duration(fields["eval_time"]) ?? 0, expression: nodes.text(fields["expr"]), samples: [])
        for item in nodes.items(of: fields["exp_samples"]) {
            guard let fields = nodes.fields(of: item, "an expected sample", known: ["labels", "value"]) else {
                continue
            }
            expected.samples.append((nodes.text(fields["labels"]), nodes.number(fields["value"]) ?? 0))
        }
        return expected
    }

    private func sorted(_ labels: [Label]) -> [Label] {
        labels.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }
}
