import Metrics
import PromQL
import Runtime

/// Runs unit tests of rules as `promtool test rules` does.
public enum RuleUnitTests {
    public struct Report: Sendable {
        /// What is odd but no failure.
        public var warnings: [String] = []

        /// Worded as promtool words them; empty if every test passed.
        public var failures: [String] = []
    }

    /// Runs the tests of one file. Blocks to read it and the rule files it names.
    public static func run(file path: String) -> Report {
        var report = Report()
        do {
            let bytes = try Files.read(path, limitBytes: RuleFile.sizeLimit)
            let file = try UnitTestFile.parse(bytes, path: path)
            var paths: [String] = []
            let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
            for pattern in file.ruleFiles {
                let found = Files.matching(pattern.hasPrefix("/") ? pattern : folder + pattern)
                if found.isEmpty { report.warnings.append("no file match pattern \(folder + pattern)") }
                paths += found
            }
            var rules: [RuleFile] = []
            for path in paths { rules.append(try RuleFile.load(path)) }
            for test in file.tests {
                var run = UnitTestRun(test, of: file, rules: rules)
                report.failures += run.failures()
            }
        } catch {
            report.failures.append("\(error)")
        }
        return report
    }
}

/// One test under way.
private struct UnitTestRun {
    private let test: UnitTest
    private let file: UnitTestFile
    private let store = ScratchStore()
    private let context: EvaluationContext
    private var groups: [RunningGroup]

    init(_ test: UnitTest, of file: UnitTestFile, rules: [RuleFile]) {
        self.test = test
        self.file = file
        var engine = Engine()
        engine.defaultSubqueryStep = .milliseconds(file.evaluationInterval)
        var settings = RulerSettings()
        settings.evaluationInterval = test.interval
        settings.externalLabels = test.externalLabels
        settings.externalURL = test.externalURL
        settings.evaluationsKept = 1
        context = EvaluationContext(store: store, engine: engine, settings: settings, now: { 0 }, stopwatch: { 0 })
        let all = rules.flatMap { file in
            file.groups.map { RunningGroup(file: file.path, $0, settings: settings, engine: engine, now: 0) }
        }
        // Groups that the order does not name come with the first, as promtool has it.
        func place(_ group: RunningGroup) -> Int { file.groupOrder.firstIndex(of: group.definition.name) ?? 0 }
        groups = all.enumerated().sorted { (place($0.element), $0.offset) < (place($1.element), $1.offset) }
            .map(\.element)
    }

    mutating func failures() -> [String] {
        var failures: [String] = []
        // Only as many samples as the evaluations have seen are there for the expressions afterwards.
        for elapsed in stride(from: 0, through: test.end, by: Int(file.evaluationInterval)) {
            load(after: elapsed - file.evaluationInterval, through: elapsed)
            let time = test.start + elapsed
            var errors: [String] = []
            for index in groups.indices {
                groups[index].evaluate(at: time, context)
                for running in groups[index].rules {
                    guard let error = running.lastError else { continue }
                    errors.append("    rule: \(running.rule.name), time: \(goDuration(elapsed)), err: \(error)")
                }
            }
            failures += errors
            guard errors.isEmpty else { return failures }
            let due = elapsed..<(elapsed + file.evaluationInterval)
            for expected in test.alerts where due.contains(expected.time) { failures += difference(from: expected) }
        }
        for expected in test.expressions { failures += difference(from: expected) }
        return failures
    }

    /// Adds the samples of a stretch of time, in milliseconds since the test's beginning.
    private func load(after: Int64, through time: Int64) {
        var samples: [RuleSample] = []
        for series in test.series {
            for index in max(0, after / test.interval)...max(0, time / test.interval) {
                let place = Int(index)
                let sampleTime = index * test.interval
                guard sampleTime > after, sampleTime <= time, place < series.values.count else { continue }
                switch series.values[place] {
                case .gap: break
                case .stale:
                    samples.append(
                        RuleSample(labels: series.labels, time: test.start + sampleTime, value: StaleNaN.value))
                case .number(let value):
                    samples.append(RuleSample(labels: series.labels, time: test.start + sampleTime, value: value))
                }
            }
        }
        store.append(samples.sorted { $0.time < $1.time })
    }

    // MARK: Comparing

    private func difference(from expected: UnitTest.ExpectedAlerts) -> [String] {
        var got: [AlertTexts] = []
        for running in groups.flatMap(\.rules) {
            guard case .alerting(let rule) = running.rule, rule.name == expected.name else { continue }
            for alert in running.alerts.alerts where alert.state == .firing {
                got.append(AlertTexts(labels: alert.labels.pairs, annotations: alert.annotations))
            }
        }
        got.sort(by: precedes)
        let wanted = expected.alerts.sorted(by: precedes)
        guard wanted != got else { return [] }
        let name = test.name.isEmpty ? "" : "    name: \(test.name),\n"
        return [
            """
            \(name)    alertname: \(expected.name), time: \(DurationText.text(expected.time)), 
                    exp:\(text(of: wanted)), 
                    got:\(text(of: got))
            """
        ]
    }

    private func difference(from expected: UnitTest.ExpectedSamples) -> [String] {
        let place = "    expr: \(GoQuote.quoted(expected.expression)), time: \(DurationText.text(expected.time)),"
        var wanted: [PromQL.Sample] = []
        for (text, value) in expected.samples {
            do throws(ScriptProblem) {
                wanted.append(PromQL.Sample(labels: try ScriptSeries.labels(text, at: 1), value: value))
            } catch {
                return ["\(place) err: labels \(GoQuote.quoted(text)): \(error.message)"]
            }
        }
        var got: [PromQL.Sample]
        do {
            let query = try Query(expected.expression)
            got = try context.engine.instant(query, at: test.start + expected.time, source: store).ruleSamples()
        } catch {
            return ["\(place) err: \(error)"]
        }
        wanted.sort { precedes($0.labels.pairs, $1.labels.pairs) }
        got.sort { precedes($0.labels.pairs, $1.labels.pairs) }
        let isSame = wanted.elementsEqual(got) { $0.labels == $1.labels && agree($0.value, $1.value) }
        guard !isSame else { return [] }
        return ["\(place)\n        exp: \(text(of: wanted))\n        got: \(text(of: got))"]
    }

    /// Fuzzily: at most the next number on either side.
    private func agree(_ left: Double, _ right: Double) -> Bool {
        if left == right || !file.comparesFuzzily { return left == right }
        return left.nextDown <= right && right <= left.nextUp
    }
}

// MARK: As promtool prints them

private func text(of alerts: [AlertTexts]) -> String {
    guard !alerts.isEmpty else { return "[]" }
    let items = alerts.enumerated().map { index, alert in
        "            \(index):\n              Labels:\(text(of: alert.labels))\n"
            + "              Annotations:\(text(of: alert.annotations))"
    }
    return "[\n" + items.joined(separator: ",\n") + "\n            ]"
}

private func text(of samples: [PromQL.Sample]) -> String {
    guard !samples.isEmpty else { return "nil" }
    return samples.map { sample in
        var pairs = sample.labels.pairs
        let name = sample.labels["__name__"] ?? ""
        if !name.isEmpty { pairs.removeAll { $0.name == "__name__" } }
        return "\(name)\(text(of: pairs)) " + GoFormat.text(sample.value, .scientific).uppercased()
    }.joined(separator: ", ")
}

private func text(of labels: [Label]) -> String {
    "{" + labels.map { "\($0.name)=\(GoQuote.quoted($0.value))" }.joined(separator: ", ") + "}"
}

private func precedes(_ left: AlertTexts, _ right: AlertTexts) -> Bool {
    left.labels == right.labels ? precedes(left.annotations, right.annotations) : precedes(left.labels, right.labels)
}

private func precedes(_ left: [Label], _ right: [Label]) -> Bool {
    for (left, right) in zip(left, right) {
        if left.name != right.name { return left.name.utf8.lexicographicallyPrecedes(right.name.utf8) }
        if left.value != right.value { return left.value.utf8.lexicographicallyPrecedes(right.value.utf8) }
    }
    return left.count < right.count
}

/// Go's `Duration.String` for whole milliseconds.
private func goDuration(_ milliseconds: Int64) -> String {
    if milliseconds == 0 { return "0s" }
    if milliseconds < 1000 { return "\(milliseconds)ms" }
    let seconds = GoFormat.text(Double(milliseconds % 60_000) / 1000, .fixed) + "s"
    let minutes = milliseconds / 60_000
    if minutes == 0 { return seconds }
    return minutes < 60 ? "\(minutes)m\(seconds)" : "\(minutes / 60)h\(minutes % 60)m\(seconds)"
}
