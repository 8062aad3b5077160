import PromQL
import Runtime

extension Switchboard.Configuration {
    /// The routing tree, inhibition rules and names of the receivers as an Alertmanager configuration, for `amtool config`.
    /// How receivers are reached is left out: it holds secrets.
    var alertmanagerText: String {
        var text = YAMLText()
        text.line(0, "route:")
        text.add(route, depth: 1)
        if !inhibitRules.isEmpty { text.line(0, "inhibit_rules:") }
        for rule in inhibitRules {
            text.line(0, "- source_matchers: \(YAMLText.list(rule.source.map(\.description)))")
            text.line(1, "target_matchers: \(YAMLText.list(rule.target.map(\.description)))")
            text.line(1, "equal: \(YAMLText.list(rule.equal))")
        }
        text.line(0, "receivers:")
        for receiver in receivers { text.line(0, "- name: \(YAMLText.quoted(receiver.name))") }
        return text.text
    }
}

/// Lines of YAML whose texts are quoted as JSON's, which YAML reads alike.
private struct YAMLText {
    private(set) var text = ""

    mutating func line(_ depth: Int, _ content: String) {
        text += String(repeating: "  ", count: depth) + content + "\n"
    }

    mutating func add(_ route: Route, depth: Int, first: String = "") {
        line(depth - (first.isEmpty ? 0 : 1), "\(first)receiver: \(Self.quoted(route.receiver))")
        switch route.grouping {
        case .by(let names): line(depth, "group_by: \(Self.list(names))")
        case .byAllLabels: line(depth, "group_by: ['...']")
        }
        if !route.matchers.isEmpty { line(depth, "matchers: \(Self.list(route.matchers.map(\.description)))") }
        line(depth, "group_wait: \(DurationText.text(Int64(route.groupWait.milliseconds)))")
        line(depth, "group_interval: \(DurationText.text(Int64(route.groupInterval.milliseconds)))")
        line(depth, "repeat_interval: \(DurationText.text(Int64(route.repeatInterval.milliseconds)))")
        if route.continues { line(depth, "continue: true") }
        if !route.routes.isEmpty { line(depth, "routes:") }
        for child in route.routes { add(child, depth: depth + 1, first: "- ") }
    }

    static func list(_ texts: [String]) -> String { "[" + texts.map(quoted).joined(separator: ", ") + "]" }

    static func quoted(_ text: String) -> String {
        var writer = JSONWriter(escapesHTML: false)
        writer.string(text)
        return writer.text
    }
}
