import PromQL
import Runtime

/// Reads the nodes of a YAML document as the fields of something known, and collects what is wrong with them.
///
/// What a node may be follows Go's yaml.v3, which Prometheus reads with: a missing value counts as none, an empty item
/// of a list is skipped, any scalar is a text.
struct NodeReader {
    private(set) var problems: [RuleFileProblem] = []

    typealias NamedText = (name: String, value: String, line: Int)

    mutating func complain(_ text: String, _ line: Int) {
        problems.append(RuleFileProblem(text, line: line))
    }

    /// The values of a mapping by key, empty ones left out except for those in `literal`; nil where there is nothing, or
    /// something else, which is a problem.
    mutating func fields(of node: YAML, _ what: String, known: [String], literal: [String] = []) -> [String: YAML]? {
        guard !node.isNull else { return nil }
        guard let entries = node.entries else {
            complain("\(what) must be a mapping, but is \(node.kindText)", node.line)
            return nil
        }
        var fields: [String: YAML] = [:]
        for entry in entries {
            if !known.contains(entry.key) { complain("field \(entry.key) not found in \(what)", entry.line) }
            if !entry.value.isNull || literal.contains(entry.key) { fields[entry.key] = entry.value }
        }
        return fields
    }

    mutating func items(of node: YAML?) -> [YAML] {
        guard let node else { return [] }
        guard let items = node.items else {
            complain("must be a list, but is \(node.kindText)", node.line)
            return []
        }
        return items
    }

    mutating func text(_ node: YAML?) -> String {
        guard let node, !node.isNull else { return "" }
        guard let text = node.text else {
            complain("must be a text, but is \(node.kindText)", node.line)
            return ""
        }
        return text
    }

    mutating func texts(_ node: YAML?) -> [NamedText] {
        guard let node else { return [] }
        guard let entries = node.entries else {
            complain("must be a mapping of texts, but is \(node.kindText)", node.line)
            return []
        }
        return entries.map { ($0.key, text($0.value), $0.line) }
    }

    /// Milliseconds.
    mutating func duration(_ node: YAML?) -> Int64? {
        guard let node else { return nil }
        let text = text(node)
        if let milliseconds = DurationText.parse(text) { return milliseconds }
        complain(
            text.isEmpty ? "empty duration string" : "not a valid duration string: \(GoQuote.quoted(text))", node.line)
        return nil
    }

    mutating func integer(_ node: YAML?) -> Int? {
        guard let node else { return nil }
        guard case .scalar(let text, isPlain: true) = node.content, let value = YAMLNumber.integer(text) else {
            complain("must be a whole number, but is \(shown(node))", node.line)
            return nil
        }
        return value
    }

    mutating func number(_ node: YAML?) -> Double? {
        guard let node else { return nil }
        guard case .scalar(let text, isPlain: true) = node.content, let value = YAMLNumber.number(text) else {
            complain("must be a number, but is \(shown(node))", node.line)
            return nil
        }
        return value
    }

    mutating func bool(_ node: YAML?) -> Bool? {
        guard let node else { return nil }
        guard case .scalar(let text, isPlain: true) = node.content, let value = ["true": true, "false": false][text]
        else {
            complain("must be true or false, but is \(shown(node))", node.line)
            return nil
        }
        return value
    }

    private func shown(_ node: YAML) -> String { node.text.map { GoQuote.quoted($0) } ?? node.kindText }
}
