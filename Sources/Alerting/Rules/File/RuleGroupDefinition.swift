import Metrics
import PromQL

/// A group of rules as a file writes it.
public struct RuleGroupDefinition: Sendable, Equatable {
    public let name: String

    /// Milliseconds between evaluations; nil for the process' own interval.
    public let interval: Int64?

    /// Series a recording rule, or alerts an alerting rule, may have; 0 for any number.
    public let limit: Int

    /// Milliseconds into the past at which queries are asked; nil for the process' own offset.
    public let queryOffset: Int64?

    /// In the order of evaluation, the group's labels already among theirs.
    public let rules: [Rule]

    public init(name: String, interval: Int64? = nil, limit: Int = 0, queryOffset: Int64? = nil, rules: [Rule]) {
        self.name = name
        self.interval = interval
        self.limit = limit
        self.queryOffset = queryOffset
        self.rules = rules
    }
}

/// A query that is asked again and again, and what becomes of its answer.
public enum Rule: Sendable, Equatable {
    case alerting(AlertingRule)
    case recording(RecordingRule)

    public var name: String {
        switch self {
        case .alerting(let rule): rule.name
        case .recording(let rule): rule.name
        }
    }

    public var query: Query {
        switch self {
        case .alerting(let rule): rule.query
        case .recording(let rule): rule.query
        }
    }

    /// Before templates are expanded, sorted by name.
    public var labels: [Label] {
        switch self {
        case .alerting(let rule): rule.labels.map { Label($0.name, $0.template.text) }
        case .recording(let rule): rule.labels
        }
    }

    /// What tells a rule from its siblings: its state is kept across a reload as long as this stays.
    var identity: RuleIdentity { RuleIdentity(name: name, labels: Labels(labels)) }
}

struct RuleIdentity: Hashable, Sendable {
    let name: String
    let labels: Labels
}

/// A rule whose samples are alerts.
public struct AlertingRule: Sendable, Equatable {
    public let name: String
    public let query: Query

    /// `for`: milliseconds that a sample has to be there before its alert fires.
    public let holdDuration: Int64

    /// Milliseconds that an alert goes on firing after its sample has gone.
    public let keepFiringFor: Int64

    /// Sorted by name.
    public let labels: [TemplatedText]
    public let annotations: [TemplatedText]

    public init(
        name: String, query: Query, holdDuration: Int64 = 0, keepFiringFor: Int64 = 0, labels: [TemplatedText] = [],
        annotations: [TemplatedText] = []
    ) {
        self.name = name
        self.query = query
        self.holdDuration = holdDuration
        self.keepFiringFor = keepFiringFor
        self.labels = labels
        self.annotations = annotations
    }

    public static func == (left: AlertingRule, right: AlertingRule) -> Bool {
        left.name == right.name && left.query.text == right.query.text && left.holdDuration == right.holdDuration
            && left.keepFiringFor == right.keepFiringFor && left.labels == right.labels
            && left.annotations == right.annotations
    }
}

/// A rule whose samples become series of another name.
public struct RecordingRule: Sendable, Equatable {
    public let name: String
    public let query: Query

    /// Sorted by name.
    public let labels: [Label]

    public init(name: String, query: Query, labels: [Label] = []) {
        self.name = name
        self.query = query
        self.labels = labels
    }

    public static func == (left: RecordingRule, right: RecordingRule) -> Bool {
        left.name == right.name && left.query.text == right.query.text && left.labels == right.labels
    }
}

/// A label or annotation of an alert, its value a template.
public struct TemplatedText: Sendable, Equatable {
    public let name: String
    public let template: Template

    public init(_ name: String, _ template: Template) {
        self.name = name
        self.template = template
    }

    public static func == (left: TemplatedText, right: TemplatedText) -> Bool {
        left.name == right.name && left.template.text == right.template.text
    }
}
