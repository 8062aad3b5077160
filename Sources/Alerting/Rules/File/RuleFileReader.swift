import Metrics
import PromQL
import Runtime

/// Turns the nodes of a rule file into rules and collects everything that is wrong on the way.
///
/// What a node may be follows Go's yaml.v3, which Prometheus reads with: a missing value counts as none, an empty item
/// of a list is skipped, any scalar is a text.
struct RuleFileReader {
    private(set) var problems: [RuleFileProblem] = []

    mutating func groups(of root: YAML?) -> [RuleGroupDefinition] {
        guard let root, !root.isNull, let top = fields(of: root, "a rule file", known: ["groups"]) else { return [] }
        var groups: [RuleGroupDefinition] = []
        var names: Set<String> = []
        for item in items(of: top["groups"]) {
            guard let group = group(item) else { continue }
            if group.name.isEmpty { complain("Groupname must not be empty", item.line) }
            if !names.insert(group.name).inserted {
                complain("groupname: \(quoted(group.name)) is repeated in the same file", item.line)
            }
            groups.append(group)
        }
        return groups
    }

    private mutating func group(_ node: YAML) -> RuleGroupDefinition? {
        let known = ["name", "interval", "query_offset", "limit", "labels", "rules"]
        guard let fields = fields(of: node, "a rule group", known: known) else { return nil }
        let name = text(fields["name"])
        let labels = texts(fields["labels"])
        for (label, _, line) in labels { checkLabel(label, "group \(quoted(name))", line) }
        var rules: [Rule] = []
        for (index, item) in items(of: fields["rules"]).enumerated() {
            if let rule = rule(item, "group \(quoted(name)), rule \(index + 1)", groupLabels: labels) {
                rules.append(rule)
            }
        }
        return RuleGroupDefinition(
            name: name, interval: duration(fields["interval"]).flatMap { $0 > 0 ? $0 : nil },
            limit: integer(fields["limit"]) ?? 0, queryOffset: duration(fields["query_offset"]), rules: rules)
    }

    // MARK: A rule

    private mutating func rule(_ node: YAML, _ place: String, groupLabels: [NamedText]) -> Rule? {
        let known = ["record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations"]
        guard let fields = fields(of: node, "a rule", known: known) else { return nil }
        // Prometheus takes these three as they stand: a list counts as missing, `~` as a name.
        let alert = fields["alert"]?.text ?? ""
        let record = fields["record"]?.text ?? ""
        let place = "\(place), \(quoted(alert.isEmpty ? record : alert))"
        if !alert.isEmpty, !record.isEmpty {
            complain("\(place): only one of 'record' and 'alert' must be set", fields["record"]?.line ?? node.line)
        }
        if alert.isEmpty, record.isEmpty {
            complain("\(place): one of 'record' or 'alert' must be set", node.line)
        }
        let query = query(fields["expr"], place, ruleLine: node.line)
        let own = texts(fields["labels"])
        for (name, _, line) in own { checkLabel(name, place, line) }
        let labels = groupLabels.filter { label in !own.contains { $0.name == label.name } } + own
        let annotations = texts(fields["annotations"])
        for (name, _, line) in annotations where !Metric.isValidLabelName(name) {
            complain("\(place): invalid annotation name: \(name)", line)
        }
        let holdDuration = duration(fields["for"]) ?? 0
        let keepFiringFor = duration(fields["keep_firing_for"]) ?? 0

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
            complain("\(place): invalid field '\(field)' in recording rule", fields[field]?.line ?? node.line)
        }
        if !record.isEmpty, !Metric.isValidName(record) {
            complain("\(place): invalid recording rule name: \(record)", fields["record"]?.line ?? node.line)
        }
        guard let query, !record.isEmpty else { return nil }
        let sorted = labels.map { Label($0.name, $0.value) }.sorted { precedes($0.name, $1.name) }
        return .recording(RecordingRule(name: record, query: query, labels: sorted))
    }

    private mutating func query(_ node: YAML?, _ place: String, ruleLine: Int) -> Query? {
        guard let text = node?.text, !text.isEmpty else {
            complain("\(place): field 'expr' must be set in rule", node?.line ?? ruleLine)
            return nil
        }
        do {
            return try Query(text)
        } catch {
            complain("\(place): could not parse expression: \(error)", node?.line ?? ruleLine)
            return nil
        }
    }

    private mutating func checkLabel(_ name: String, _ place: String, _ line: Int) {
        guard !Metric.isValidLabelName(name) || name == "__name__" else { return }
        complain("\(place): invalid label name: \(name)", line)
    }

    private mutating func templates(_ texts: [NamedText], _ kind: String, _ alert: String, _ place: String)
        -> [TemplatedText]
    {
        var result: [TemplatedText] = []
        for (name, value, line) in texts.sorted(by: { precedes($0.name, $1.name) }) {
            do {
                result.append(TemplatedText(name, try Template.parse(value)))
            } catch {
                complain("\(place): \(kind) \(quoted(name)): \(error.describe(name: "__alert_" + alert))", line)
            }
        }
        return result
    }

    // MARK: Nodes

    typealias NamedText = (name: String, value: String, line: Int)

    /// The values of a mapping by key; nil where there is nothing, or something else, which is a problem.
    private mutating func fields(of node: YAML, _ what: String, known: [String]) -> [String: YAML]? {
        guard !node.isNull else { return nil }
        guard let entries = node.entries else {
            complain("\(what) must be a mapping, but is \(node.kindText)", node.line)
            return nil
        }
        var fields: [String: YAML] = [:]
        for entry in entries {
            if !known.contains(entry.key) { complain("field \(entry.key) not found in \(what)", entry.line) }
            if !entry.value.isNull || ["alert", "record", "expr"].contains(entry.key) {
                fields[entry.key] = entry.value
            }
        }
        return fields
    }

    private mutating func items(of node: YAML?) -> [YAML] {
        guard let node else { return [] }
        guard let items = node.items else {
            complain("must be a list, but is \(node.kindText)", node.line)
            return []
        }
        return items
    }

    private mutating func text(_ node: YAML?) -> String {
        guard let node else { return "" }
        guard let text = node.text else {
            complain("must be a text, but is \(node.kindText)", node.line)
            return ""
        }
        return text
    }

    private mutating func texts(_ node: YAML?) -> [NamedText] {
        guard let node else { return [] }
        guard let entries = node.entries else {
            complain("must be a mapping of texts, but is \(node.kindText)", node.line)
            return []
        }
        return entries.map { ($0.key, $0.value.isNull ? "" : text($0.value), $0.line) }
    }

    /// Milliseconds.
    private mutating func duration(_ node: YAML?) -> Int64? {
        guard let node else { return nil }
        let text = text(node)
        if let milliseconds = DurationText.parse(text) { return milliseconds }
        complain(
            text.isEmpty ? "empty duration string" : "not a valid duration string: \(quoted(text))", node.line)
        return nil
    }

    private mutating func integer(_ node: YAML?) -> Int? {
        guard let node else { return nil }
        guard case .scalar(let text, isPlain: true) = node.content, let value = YAMLNumber.integer(text) else {
            complain("must be a whole number, but is \(node.text.map(quoted) ?? node.kindText)", node.line)
            return nil
        }
        return value
    }

    private mutating func complain(_ text: String, _ line: Int) {
        problems.append(RuleFileProblem(text, line: line))
    }
}

private func precedes(_ left: String, _ right: String) -> Bool { left.utf8.lexicographicallyPrecedes(right.utf8) }

private func quoted(_ text: String) -> String { GoQuote.quoted(text) }
