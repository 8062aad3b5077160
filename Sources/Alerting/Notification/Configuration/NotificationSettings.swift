import Metrics
import PromQL
import Runtime

/// The part of the configuration that says who is told what: `alerting.receivers`, `route`, `inhibit_rules`, `silences`
/// and `heartbeats`, in Alertmanager's words where it has them.
public struct NotificationSettings: Sendable {
    public let switchboard: Switchboard.Configuration
    public let heartbeats: [Heartbeat]

    /// Nil when there is no receiver: then nobody is told.
    ///
    /// - Parameter externalURL: where Outrigger is reached, for the links in messages.
    public static func read(
        _ settings: Settings, externalURL: String
    ) throws(SettingsError) -> NotificationSettings? {
        let sections = (
            receivers: settings.readSection("alerting.receivers", "Who is told, and how: webhooks and Alertmanagers."),
            route: settings.readSection(
                "alerting.route", "Who is told what, and when, as in Alertmanager; without it the only receiver."),
            inhibitRules: settings.readSection(
                "alerting.inhibit_rules", "Alerts that keep others quiet, as in Alertmanager."),
            silences: settings.readSection(
                "alerting.silences", "Alerts that are kept quiet: {matchers, starts_at, ends_at, comment, created_by}."),
            heartbeats: settings.readSection(
                "alerting.heartbeats", "Receivers that get an alert which always fires, at an interval.")
        )
        let file = settings.fileName
        guard let node = sections.receivers, !node.isNull else {
            if let route = sections.route, !route.isNull {
                throw SettingsError(
                    place: "\(file):\(route.line)", key: "alerting.route", problem: "there are no receivers")
            }
            return nil
        }
        let receivers = try Self.receivers(node, file)
        let route = try Self.route(sections.route, receivers, file)
        var configuration = Switchboard.Configuration(route: route, receivers: receivers, externalURL: externalURL)
        if let node = sections.inhibitRules, !node.isNull {
            for fields in try Fields.list(node, file: file, path: "alerting.inhibit_rules") {
                configuration.inhibitRules.append(try InhibitRule(fields))
            }
        }
        if let node = sections.silences, !node.isNull {
            for fields in try Fields.list(node, file: file, path: "alerting.silences") {
                configuration.silences.append(try Silence(fields))
            }
        }
        var heartbeats: [Heartbeat] = []
        if let node = sections.heartbeats, !node.isNull {
            for fields in try Fields.list(node, file: file, path: "alerting.heartbeats") {
                heartbeats.append(try Heartbeat(fields, among: receivers))
            }
        }
        return NotificationSettings(switchboard: configuration, heartbeats: heartbeats)
    }

    private static func receivers(_ node: YAML, _ file: String) throws(SettingsError) -> [Receiver] {
        var receivers: [Receiver] = []
        for fields in try Fields.list(node, file: file, path: "alerting.receivers") {
            let receiver = try Receiver(fields)
            guard !receivers.contains(where: { $0.name == receiver.name }) else {
                throw fields.failure("name", "notification config name \"\(receiver.name)\" is not unique")
            }
            receivers.append(receiver)
        }
        guard !receivers.isEmpty else {
            throw SettingsError(place: "\(file):\(node.line)", key: "alerting.receivers", problem: "is empty")
        }
        return receivers
    }

    private static func route(_ node: YAML?, _ receivers: [Receiver], _ file: String) throws(SettingsError) -> Route {
        guard let node, !node.isNull else {
            guard receivers.count == 1 else {
                throw SettingsError(
                    place: file, key: "alerting.route", problem: "is missing, and there are several receivers")
            }
            // A group for each name: what always fires, such as Watchdog, keeps no other alert waiting for its group's turn.
            return Route(receiver: receivers[0].name, grouping: .by(["alertname"]))
        }
        let fields = try Fields(node, file: file, path: "alerting.route")
        for key in ["matchers", "match", "match_re", "continue"] where fields.has(key) {
            throw fields.failure(key, "the root route must match every alert")
        }
        guard fields.has("receiver") else { throw fields.failure(nil, "root route must specify a default receiver") }
        return try Route(fields, below: nil, receivers: Set(receivers.map(\.name)))
    }
}

extension Route {
    fileprivate init(_ fields: Fields, below parent: Route?, receivers: Set<String>) throws(SettingsError) {
        let receiver = try fields.text("receiver") ?? parent?.receiver ?? ""
        guard receivers.contains(receiver) else {
            throw fields.failure("receiver", "undefined receiver \"\(receiver)\" used in route")
        }
        self.init(
            receiver: receiver, matchers: try fields.routeMatchers(),
            grouping: try Self.grouping(fields) ?? parent?.grouping ?? .by([]),
            groupWait: try fields.duration("group_wait") ?? parent?.groupWait ?? Route.defaultGroupWait,
            groupInterval: try fields.duration("group_interval", orZero: false) ?? parent?.groupInterval
                ?? Route.defaultGroupInterval,
            repeatInterval: try fields.duration("repeat_interval", orZero: false) ?? parent?.repeatInterval
                ?? Route.defaultRepeatInterval, continues: try fields.value("continue", default: false))
        for below in try fields.mappings("routes") {
            routes.append(try Route(below, below: self, receivers: receivers))
        }
        try fields.finish()
    }

    private static func grouping(_ fields: Fields) throws(SettingsError) -> Grouping? {
        guard let names = try fields.texts("group_by") else { return nil }
        if names.contains("...") {
            guard names.count == 1 else {
                throw fields.failure("group_by", "cannot have wildcard group_by (`...`) and other labels")
            }
            return .byAllLabels
        }
        for (index, name) in names.enumerated() {
            guard Metric.isValidLabelName(name) else {
                throw fields.failure("group_by", "invalid label name \"\(name)\"")
            }
            guard !names[..<index].contains(name) else {
                throw fields.failure("group_by", "duplicated label \"\(name)\" in group_by")
            }
        }
        return .by(names)
    }
}

extension InhibitRule {
    fileprivate init(_ fields: Fields) throws(SettingsError) {
        let source = try fields.matchers("source_matchers", exact: "source_match", patterns: "source_match_re")
        let target = try fields.matchers("target_matchers", exact: "target_match", patterns: "target_match_re")
        self.init(source: source, target: target, equal: try fields.texts("equal") ?? [])
        try fields.finish()
    }
}

extension Silence {
    /// From the beginning of time and for ever where the configuration does not say.
    fileprivate init(_ fields: Fields) throws(SettingsError) {
        let matchers = try fields.matchers("matchers", exact: "match", patterns: "match_re")
        let startsAt = try fields.moment("starts_at") ?? Moment(milliseconds: 0)
        let endsAt = try fields.moment("ends_at") ?? Moment(milliseconds: 253_402_300_799_000)
        let text = "\(matchers.text) \(startsAt) \(endsAt)"
        self.init(
            id: UUID.of(text), matchers: matchers, startsAt: startsAt, endsAt: endsAt, updatedAt: startsAt,
            createdBy: try fields.text("created_by") ?? "configuration", comment: try fields.text("comment") ?? "")
        do { try check() } catch { throw fields.failure(nil, "\(error)") }
        try fields.finish()
    }
}

extension Heartbeat {
    fileprivate init(_ fields: Fields, among receivers: [Receiver]) throws(SettingsError) {
        let name = try fields.require("receiver")
        guard let receiver = receivers.first(where: { $0.name == name }), !receiver.webhooks.isEmpty else {
            throw fields.failure("receiver", "no receiver \"\(name)\" with a webhook")
        }
        self.init(
            receiver: name, interval: try fields.duration("interval", orZero: false) ?? .seconds(60),
            labels: Labels((try fields.pairs("labels") ?? []).map { Label($0.name, $0.value) }),
            annotations: (try fields.pairs("annotations") ?? []).map { Label($0.name, $0.value) })
        try fields.finish()
    }
}

extension Fields {
    /// Matchers in the three ways of Alertmanager: texts, names with values, names with patterns.
    fileprivate func matchers(_ key: String, exact: String, patterns: String?) throws(SettingsError) -> [Matcher] {
        var matchers: [Matcher] = []
        for text in try texts(key) ?? [] {
            matchers += try read(key) { () throws(MatcherError) in try Matcher.list(parsing: text) }
        }
        for (key, operation) in [(exact, Matcher.Operator.equal), (patterns, .matches)] {
            guard let key else { continue }
            for (name, value) in try pairs(key) ?? [] {
                matchers.append(try read(key) { () throws(MatcherError) in try Matcher(name, operation, value) })
            }
        }
        return matchers
    }

    /// Those of a route. Alertmanager keeps the patterns of `match_re` with their anchors, and shows them so in group keys.
    fileprivate func routeMatchers() throws(SettingsError) -> [Matcher] {
        var matchers = try matchers("matchers", exact: "match", patterns: nil)
        for (name, value) in try pairs("match_re") ?? [] {
            matchers.append(
                try read("match_re") { () throws(MatcherError) in
                    _ = try Matcher(name, .matches, value)
                    return try Matcher(name, .matches, "^(?:\(value))$")
                })
        }
        return matchers
    }

    private func read<Value>(_ key: String, _ body: () throws(MatcherError) -> Value) throws(SettingsError) -> Value {
        do { return try body() } catch { throw failure(key, error.description) }
    }
}
