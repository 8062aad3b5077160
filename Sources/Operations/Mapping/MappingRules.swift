import Metrics
import Runtime

/// All mapping rules, in the order of the configuration.
///
/// As in statsd_exporter the first glob that fits wins, and regular expressions are asked only when no glob fits. Asking
/// takes time linear in the rules; whoever asks remembers the answer for each name.
struct MappingRules: Sendable {
    private let globs: [MappingRule]
    private let expressions: [MappingRule]

    static let none = MappingRules([])

    init(_ rules: [MappingRule]) {
        globs = rules.filter(\.isGlob)
        expressions = rules.filter { !$0.isGlob }
    }

    /// What a rule makes of a name.
    struct Found {
        let rule: MappingRule
        let name: String
        let labels: [Label]
    }

    func match(_ name: String, kind: StatsDKind) -> Found? {
        for rule in globs {
            if let found = rule.apply(to: name, kind: kind) { return found }
        }
        for rule in expressions {
            if let found = rule.apply(to: name, kind: kind) { return found }
        }
        return nil
    }
}

extension MappingRules {
    /// Reads the list under `statsd.mappings`.
    init(_ settings: Settings) throws(SettingsError) {
        let section = settings.readSection(
            "statsd.mappings",
            "Rules that give StatsD names a metric's name and labels, as statsd_exporter's do: match (a.*.b), match_type"
                + " (glob, regex), name, labels ($1), action (map, drop), match_metric_type (counter, gauge, observer),"
                + " observer_type (histogram, summary), buckets or histogram_options, scale, ttl, help.")
        guard let section, !section.isNull else {
            self = .none
            return
        }
        var reader = MappingRuleReader(fileName: settings.fileName, path: "statsd.mappings", node: section)
        guard let items = section.items else {
            throw reader.wrong(section, "must be a list, but is \(section.kindText)")
        }
        var rules: [MappingRule] = []
        for (index, item) in items.enumerated() {
            reader = MappingRuleReader(
                fileName: settings.fileName, path: "statsd.mappings[\(index)]", node: item)
            rules.append(try reader.rule())
        }
        self.init(rules)
    }
}

/// One rule out of YAML. Every complaint names file, line and key.
private struct MappingRuleReader {
    let fileName: String
    let path: String
    let node: YAML

    private static let keys = [
        "match", "match_type", "name", "labels", "action", "match_metric_type", "observer_type", "timer_type",
        "buckets",
        "histogram_options", "quantiles", "summary_options", "help", "scale", "ttl",
    ]

    func rule() throws(SettingsError) -> MappingRule {
        guard let entries = node.entries else { throw wrong(node, "must be a mapping, but is \(node.kindText)") }
        for entry in entries where !Self.keys.contains(entry.key) {
            let guess = closest(to: entry.key, among: Self.keys).map { ", did you mean \($0)?" } ?? ""
            throw SettingsError(
                place: "\(fileName):\(entry.line)", key: "\(path).\(entry.key)", problem: "unknown\(guess)")
        }
        guard let text = try text("match"), !text.isEmpty else { throw wrong("match", "is missing") }
        let (match, captures) = try match(text)
        let action = try choice("action", MappingRule.Action.self) ?? .map
        let name = try self.text("name") ?? ""
        guard !name.isEmpty || action == .drop else { throw wrong("name", "is missing") }
        try check(name: name)
        let observer = try choice("observer_type", MappingRule.ObserverType.self)
        let olderObserver = try choice("timer_type", MappingRule.ObserverType.self)
        return MappingRule(
            match: match, action: action, metricType: try choice("match_metric_type", MappingRule.MetricType.self),
            name: MappingTemplate(name, captures: captures), labels: try labels(captures: captures),
            observer: observer ?? olderObserver ?? .histogram,
            buckets: try buckets(), quantiles: try quantiles(), help: try self.text("help"),
            scale: try number("scale") ?? 1,
            timeToLive: try duration("ttl"))
    }

    private func match(_ text: String) throws(SettingsError) -> (MappingRule.Match, captures: Int) {
        switch try self.text("match_type") ?? "glob" {
        case "glob":
            let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { String($0) }
            guard parts.allSatisfy({ $0 == "*" || (!$0.isEmpty && !$0.contains("*")) }) else {
                throw wrong("match", "\"\(text)\" is no glob: between dots stands a name or *")
            }
            return (.glob(parts.map { $0 == "*" ? nil : $0 }), captures: parts.count { $0 == "*" })
        case "regex":
            do {
                let pattern = try Pattern(text)
                return (.regex(pattern), captures: pattern.groupNames.count - 1)
            } catch { throw wrong("match", "\(error)") }
        case let type: throw wrong("match_type", "\"\(type)\" is none of glob, regex")
        }
    }

    /// Only names of our own are refused; what else a template brings is made a valid name when it is filled in.
    private func check(name: String) throws(SettingsError) {
        guard name.hasPrefix("outrigger_"), name != OperationMetrics.duration.name else { return }
        throw wrong("name", "\"\(name)\" begins with outrigger_, which is kept for Outrigger's own metrics")
    }

    private func labels(captures: Int) throws(SettingsError) -> [(name: String, value: MappingTemplate)] {
        guard let found = node["labels"], !found.isNull else { return [] }
        guard let entries = found.entries else { throw wrong("labels", "must be a mapping, but is \(found.kindText)") }
        var labels: [(name: String, value: MappingTemplate)] = []
        for entry in entries {
            guard MetricName.isFreeLabel(entry.key) else {
                throw wrong("labels", "\"\(entry.key)\" cannot be a label's name")
            }
            guard let text = entry.value.text else {
                throw wrong("labels", "\(entry.key) must be text, but is \(entry.value.kindText)")
            }
            labels.append((entry.key, MappingTemplate(text, captures: captures)))
        }
        return labels
    }

    private func buckets() throws(SettingsError) -> [Double]? {
        guard let items = try items("buckets", orIn: "histogram_options") else { return nil }
        var texts: [String] = []
        for item in items { texts.append(item.text ?? "") }
        do { return try Buckets.parse(texts) } catch { throw wrong("buckets", error.problem) }
    }

    /// Quantiles as statsd_exporter writes them: `{quantile: 0.99, error: 0.001}`. Ours are exact to a hundredth of the
    /// value, whatever error is allowed.
    private func quantiles() throws(SettingsError) -> [Double]? {
        guard let items = try items("quantiles", orIn: "summary_options") else { return nil }
        var quantiles: [Double] = []
        for item in items {
            guard let text = item["quantile"]?.text ?? item.text, let quantile = Double(text), 0...1 ~= quantile else {
                throw wrong("quantiles", "must hold numbers between 0 and 1, or mappings with quantile")
            }
            quantiles.append(quantile)
        }
        return quantiles
    }

    /// A list that stands in the rule itself or in its options.
    private func items(_ key: String, orIn options: String) throws(SettingsError) -> [YAML]? {
        if let found = node[options], !found.isNull {
            guard let entries = found.entries, entries.allSatisfy({ $0.key == key }) else {
                throw wrong(options, "must be a mapping with \(key) only")
            }
        }
        guard let found = node[key] ?? node[options]?[key], !found.isNull else { return nil }
        guard let items = found.items else { throw wrong(key, "must be a list, but is \(found.kindText)") }
        return items
    }

    private func text(_ key: String) throws(SettingsError) -> String? {
        guard let found = node[key], !found.isNull else { return nil }
        guard let text = found.text else { throw wrong(key, "must be text, but is \(found.kindText)") }
        return text
    }

    private func number(_ key: String) throws(SettingsError) -> Double? {
        guard let text = try text(key) else { return nil }
        guard let number = Double(setting: text) else { throw wrong(key, "\"\(text)\" is not \(Double.kind)") }
        return number
    }

    private func duration(_ key: String) throws(SettingsError) -> Duration? {
        guard let text = try text(key) else { return nil }
        guard let duration = Duration(setting: text) else { throw wrong(key, "\"\(text)\" is not \(Duration.kind)") }
        return duration == .zero ? nil : duration
    }

    private func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, _ type: Choice.Type
    ) throws(SettingsError) -> Choice? where Choice.RawValue == String {
        guard let text = try text(key) else { return nil }
        guard let choice = Choice(rawValue: text) else {
            throw wrong(key, "\"\(text)\" is none of \(Choice.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        return choice
    }

    private func wrong(_ key: String, _ problem: String) -> SettingsError {
        SettingsError(place: "\(fileName):\((node[key] ?? node).line)", key: "\(path).\(key)", problem: problem)
    }

    func wrong(_ node: YAML, _ problem: String) -> SettingsError {
        SettingsError(place: "\(fileName):\(node.line)", key: path, problem: problem)
    }
}
