import Metrics
import Runtime

/// One condition on a label, as in `job=~"api|web"`. A label that a series has not counts as the empty text.
public struct Matcher: Sendable, Equatable {
    public enum Operation: String, Sendable {
        case equal = "="
        case notEqual = "!="
        case regex = "=~"
        case notRegex = "!~"
    }

    public let name: String
    public let operation: Operation
    public let value: String
    private let pattern: Pattern?

    public init(_ name: String, equals value: String) {
        self.name = name
        operation = .equal
        self.value = value
        pattern = nil
    }

    public init(_ name: String, _ operation: Operation, _ value: String) throws(PatternError) {
        self.name = name
        self.operation = operation
        self.value = value
        switch operation {
        case .equal, .notEqual: pattern = nil
        case .regex, .notRegex: pattern = try Pattern(value, dotMatchesNewline: true)
        }
    }

    public func matches(_ text: String) -> Bool {
        switch operation {
        case .equal: text == value
        case .notEqual: text != value
        case .regex: pattern?.matches(text) ?? false
        case .notRegex: !(pattern?.matches(text) ?? true)
        }
    }

    public func matches(_ labels: Labels) -> Bool { matches(labels[name] ?? "") }

    /// The most steps that matching can take for each byte of a value.
    var stepsPerByte: Int { pattern?.stepsPerByte ?? 1 }

    /// The only values that match, where they can be listed: for a source that keeps an index.
    public var candidates: [String]? {
        switch operation {
        case .equal: [value]
        case .regex: pattern?.literals
        case .notEqual, .notRegex: nil
        }
    }

    public static func == (left: Matcher, right: Matcher) -> Bool {
        left.name == right.name && left.operation == right.operation && left.value == right.value
    }
}

extension Matcher: CustomStringConvertible {
    public var description: String { labelName(name) + operation.rawValue + quoted(value) }
}

/// A label's name as it stands in a query: in quotes unless it is made of letters, digits and underscores.
func labelName(_ name: String) -> String { isPlainLabelName(name) ? name : quoted(name) }

func isPlainLabelName(_ name: String) -> Bool {
    guard let first = name.utf8.first, first.isLetter else { return false }
    return name.utf8.allSatisfy { $0.isLetter || $0.isDigit }
}

/// The label that holds a series' name.
let nameLabel = "__name__"
