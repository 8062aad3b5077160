import Metrics
import Runtime

/// The alerts of all groups as they are kept on disk, so that `kill -9` loses and repeats nothing.
struct SavedAlerts: Equatable, Sendable {
    struct Group: Equatable, Sendable {
        let file: String
        let name: String
        let rules: [Rule]
    }

    struct Rule: Equatable, Sendable {
        let name: String
        let labels: Labels
        let alerts: [ActiveAlert]
        /// Earlier ends of alerts that are active again. Missing in files of versions that did not write them.
        let endedBefore: [ActiveAlert]
    }

    var groups: [Group] = []

    static let version: Int64 = 1

    /// Whether only values and annotations differ, which change with every evaluation and are found anew by the next.
    func hasSameStates(as other: SavedAlerts) -> Bool {
        groups.elementsEqual(other.groups) { left, right in
            left.file == right.file && left.name == right.name
                && left.rules.elementsEqual(right.rules) { left, right in
                    left.name == right.name && left.labels == right.labels
                        && left.alerts.elementsEqual(right.alerts) { $0.hasSameState(as: $1) }
                        && left.endedBefore.elementsEqual(right.endedBefore) { $0.hasSameState(as: $1) }
                }
        }
    }

    // MARK: Writing

    /// JSON; times are milliseconds since the epoch.
    var encoded: [UInt8] {
        var writer = JSONWriter(escapesHTML: false)
        writer.object { writer in
            writer.key("version")
            writer.integer(SavedAlerts.version)
            writer.key("groups")
            writer.array { writer in for group in groups { group.write(to: &writer) } }
        }
        return writer.bytes
    }

    // MARK: Reading

    init() {}

    init(_ bytes: [UInt8]) throws(SavedAlertsError) {
        let json: JSON
        do throws(JSONError) {
            json = try JSON.parse(bytes, limits: .init(bytes: StateFile.limit, values: 10_000_000))
        } catch {
            throw .notJSON(error)
        }
        guard json["version"]?.integer == SavedAlerts.version else { throw .unknownVersion }
        for group in json["groups"]?.array ?? [] {
            guard let file = group["file"]?.string, let name = group["name"]?.string, let rules = group["rules"]?.array
            else { throw .malformed }
            groups.append(
                Group(file: file, name: name, rules: try rules.map { rule throws(SavedAlertsError) in try Rule(rule) }))
        }
    }
}

enum SavedAlertsError: Error, CustomStringConvertible {
    case notJSON(JSONError)
    case unknownVersion
    case malformed

    var description: String {
        switch self {
        case .notJSON(let error): "\(error)"
        case .unknownVersion: "written by another version"
        case .malformed: "lacks something"
        }
    }
}

extension SavedAlerts.Group {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("file", file)
            writer.member("name", name)
            writer.key("rules")
            writer.array { writer in for rule in rules { rule.write(to: &writer) } }
        }
    }
}

extension SavedAlerts.Rule {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("name", name)
            writer.member("labels", labels.pairs)
            writer.key("alerts")
            writer.array { writer in for alert in alerts { alert.write(to: &writer) } }
            guard !endedBefore.isEmpty else { return }
            writer.key("endedBefore")
            writer.array { writer in for alert in endedBefore { alert.write(to: &writer) } }
        }
    }

    fileprivate init(_ json: JSON) throws(SavedAlertsError) {
        guard let name = json["name"]?.string, let labels = json["labels"]?.labelPairs,
            let alerts = json["alerts"]?.array
        else { throw .malformed }
        self.name = name
        self.labels = Labels(labels)
        self.alerts = try alerts.map { alert throws(SavedAlertsError) in try ActiveAlert(alert) }
        endedBefore = try (json["endedBefore"]?.array ?? []).map { alert throws(SavedAlertsError) in
            try ActiveAlert(alert)
        }
    }
}

extension ActiveAlert {
    fileprivate func hasSameState(as other: ActiveAlert) -> Bool {
        labels == other.labels && phase == other.phase && activeAt == other.activeAt && lastSentAt == other.lastSentAt
    }

    fileprivate func write(to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("labels", labels.pairs)
            writer.member("annotations", annotations)
            // As text, since JSON has no infinity.
            writer.member("value", GoFormat.text(value))
            writer.member("activeAt", activeAt)
            switch phase {
            case .pending: break
            case .firing(let since, let keptSince):
                writer.member("firedAt", since)
                if let keptSince { writer.member("keptSince", keptSince) }
            case .resolved(let firedAt, let at):
                writer.member("firedAt", firedAt)
                writer.member("resolvedAt", at)
            }
            if let lastSentAt { writer.member("lastSentAt", lastSentAt) }
        }
    }

    fileprivate init(_ json: JSON) throws(SavedAlertsError) {
        guard let labels = json["labels"]?.labelPairs, let annotations = json["annotations"]?.labelPairs,
            let value = json["value"]?.string.flatMap(Double.init), let activeAt = json["activeAt"]?.integer
        else { throw .malformed }
        self.init(labels: Labels(labels), annotations: annotations, value: value, activeAt: activeAt)
        lastSentAt = json["lastSentAt"]?.integer
        guard let firedAt = json["firedAt"]?.integer else { return }
        if let resolvedAt = json["resolvedAt"]?.integer {
            phase = .resolved(firedAt: firedAt, at: resolvedAt)
        } else {
            phase = .firing(since: firedAt, keptSince: json["keptSince"]?.integer)
        }
    }
}

extension JSONWriter {
    mutating func member(_ key: String, _ value: String) {
        self.key(key)
        string(value)
    }

    fileprivate mutating func member(_ key: String, _ value: Int64) {
        self.key(key)
        integer(value)
    }

    mutating func member(_ key: String, _ labels: [Label]) {
        self.key(key)
        object { writer in
            for label in labels { writer.member(label.name, label.value) }
        }
    }
}

extension JSON {
    /// An object of texts as labels.
    fileprivate var labelPairs: [Label]? {
        guard let members else { return nil }
        var labels: [Label] = []
        for member in members {
            guard let value = member.value.string else { return nil }
            labels.append(Label(member.key, value))
        }
        return labels
    }
}
