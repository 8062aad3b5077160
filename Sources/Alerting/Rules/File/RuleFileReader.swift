import Metrics
import PromQL
import Runtime

/// Turns the nodes of a rule file into rules and collects everything that is wrong on the way.
struct RuleFileReader {
    private var nodes = NodeReader()

    var problems: [RuleFileProblem] { nodes.problems }

    mutating func groups(of root: YAML?) -> [RuleGroupDefinition] {
        guard let root, !root.isNull, let top = nodes.fields(of: root, "a rule file", known: ["groups"]) else {
            return []
        }
        var groups: [RuleGroupDefinition] = []
        var names: Set<String> = []
        for item in nodes.items(of: top["groups"]) {
            guard let group = group(item) else { continue }
            if group.name.isEmpty { nodes.complain("Groupname must not be empty", item.line) }
            if !names.insert(group.name).inserted {
                nodes.complain("groupname: \(quoted(group.name)) is repeated in the same file", item.line)
            }
            groups.append(group)
        }
        return groups
    }

    private mutating func group(_ node: YAML) -> RuleGroupDefinition? {
        let known = ["name", "interval", "query_offset", "limit", "labels", "rules"]
        guard let fields = nodes.fields(of: node, "a rule group", known: known) else { return nil }
        let name = nodes.text(fields["name"])
        let labels = nodes.texts(fields["labels"])
        for (label, _, line) in labels { checkLabel(label, "group \(quoted(name))", line) }
        var rules: [Rule] = []
        for (index, item) in nodes.items(of: fields["rules"]).enumerated() {
            if let rule = rule(item, "group \(quoted(name)), rule \(index + 1)", groupLabels: labels) {
                rules.append(rule)
            }
        }
        return RuleGroupDefinition(
            name: name, interval: nodes.duration(fields["interval"]).flatMap { $0 > 0 ? $0 : nil },
            limit: nodes.integer(fields["limit"]) ?? 0, queryOffset: nodes.duration(fields["query_offset"]),
            rules: rules)
    }

    // MARK: A rule

    private mutating func rule(_ node: YAML, _ place: String, groupLabels: [NodeReader.NamedText]) -> Rule? {
        let known = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"]
        guard let fields = nodes.fields(of: node, "a rule", known: known, literal: ["alert", "record", "expr"]) else {
            return nil
        }
        // Prometheus takes these three as they stand: a list counts as missing, `~` as a name.
        let alert = fields["alert"]?.text ?? ""
        let record = fields["record"]?.text ?? ""
        let place = "\(place), \(quoted(alert.isEmpty ? record : alert))"
        if !alert.isEmpty, !record.isEmpty {
            nodes.complain(
                "\(place): only one of 'record' and 'alert' must be set", fields["record"]?.line ?? node.line)
        }
        if alert.isEmpty, record.isEmpty {
            nodes.complain("\(place): one of 'record' or 'alert' must be set", node.line)
        }
        let query = query(fields["expr"], place, ruleLine: node.line)
        let own = nodes.texts(fields["labels"])
        for (name, _, line) in own { checkLabel(name, place, line) }
        let labels = groupLabels.filter { label in !own.contains { $0.name == label.name } } + own
        let annotations = nodes.texts(fields["annotations"])
        for (name, _, line) in annotations where !Metric.isValidLabelName(name) {
            nodes.complain("\(place): invalid annotation name: \(name)", line)
        }
        let holdDuration = nodes.duration(fields["for"]) ?? 0
        let keepFiringFor = nodes.duration(fields["keep_firing_for"]) ?? 0

        guard alert.isEmpty else {
            let labels = templates(labels, "label", alert, place)
            let annotations = templates(annotations, "annotation", alert, place)
            guard let query, record.isEmpty else { return nil }
            return .alerting(
                AlertingRule(
                    name: alert, query: query, holdDuration: holdDuration, keepFiringFor: keepFiringFor, labels: labels,
                    annotations: annotations))
        }
        let misplaced = [
            ("annotations", !annotations.isEmpty), ("for", holdDuration != 0), ("keep_firing_for", keepFiringFor != 0),
        ]
        for (field, isSet) in misplaced where isSet && !record.isEmpty {
            nodes.complain("\(place): invalid field '\(field)' in recording rule", fields[field]?.line ?? node.line)
        }
        if !record.isEmpty, !Metric.isValidName(record) {
            nodes.complain("\(place): invalid recording rule name: \(record)", fields["record"]?.line ?? node.line)
        }
        guard let query, !record.isEmpty else { return nil }
        let sorted = labels.map { Label($0.name, $0.value) }.sorted { precedes($0.name, $1.name) }
        return .recording(RecordingRule(name: record, query: query, labels: sorted))
    }

    private mutating func query(_ node: YAML?, _ place: String, ruleLine: Int) -> Query? {
        guard let text = node?.text, !text.isEmpty else {
            nodes.complain("\(place): field 'expr' must be set in rule", node?.line ?? ruleLine)
            return nil
        }
        do {
            return try Query(text)
        } catch {
            nodes.complain("\(place): could not parse expression: \(error)", node?.line ?? ruleLine)
            return nil
        }
    }

    private mutating func checkLabel(_ name: String, _ place: String, _ line: Int) {
        guard !Metric.isValidLabelName(name) || name == "__name__" else { return }
        nodes.complain("\(place): invalid label name: \(name)", line)
    }

    private mutating func templates(_ texts: [NodeReader.NamedText], _ kind: String, _ alert: String, _ place: String)
        -> [TemplatedText]
    {
        var result: [TemplatedText] = []
        for (name, value, line) in texts.sorted(by: { precedes($0.name, $1.name) }) {
            do {
                result.append(TemplatedText(name, try Template.parse(value)))
            } catch {
                nodes.complain("\(place): \(kind) \(quoted(name)): \(error.describe(name: "__alert_" + alert))", line)
            }
        }
        return result
    }
}

private func precedes(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

private func quoted(_ text: String) -> String { GoQuote.quoted(text) }
