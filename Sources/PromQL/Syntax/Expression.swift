/// A query as a tree. Every node knows where it stands in the text, in bytes.
public indirect enum Expression: Sendable {
    case number(NumberLiteral)
    case string(StringLiteral)
    case vector(VectorSelector)
    case matrix(MatrixSelector)
    case subquery(Subquery)
    case call(Call)
    case aggregation(Aggregation)
    case binary(BinaryOperation)
    case sign(Sign)
    case parentheses(Parentheses)

    public var range: Range<Int> {
        switch self {
        case .number(let node): node.range
        case .string(let node): node.range
        case .vector(let node): node.range
        case .matrix(let node): node.range
        case .subquery(let node): node.range
        case .call(let node): node.range
        case .aggregation(let node): node.range
        case .binary(let node): node.left.range.lowerBound..<node.right.range.upperBound
        case .sign(let node): node.range
        case .parentheses(let node): node.range
        }
    }

    public var type: ValueType {
        switch self {
        case .number: .scalar
        case .string: .string
        case .vector, .aggregation: .vector
        case .matrix, .subquery: .matrix
        case .call(let node): node.function.returns
        case .binary(let node):
            node.left.type == .scalar && node.right.type == .scalar ? .scalar : .vector
        case .sign(let node): node.operand.type
        case .parentheses(let node): node.inner.type
        }
    }

    /// The same without parentheses around it.
    public var unwrapped: Expression {
        if case .parentheses(let node) = self { return node.inner.unwrapped }
        return self
    }
}

public struct NumberLiteral: Sendable {
    public let value: Double

    /// Whether it was written as a duration, such as `5m`; the value is in seconds.
    public let isDuration: Bool
    public let range: Range<Int>
}

public struct StringLiteral: Sendable {
    public let value: String

    /// Whether escapes such as `\xff` made something else than UTF-8; `value` then has replacement characters.
    public let isUTF8: Bool
    public let range: Range<Int>
}

/// `offset` and `@`: when, seen from the time of evaluation, samples are looked for.
public struct TimeShift: Sendable, Equatable {
    public enum Anchor: Sendable, Equatable {
        /// Milliseconds since the epoch.
        case time(Int64)
        case start
        case end
    }

    /// Milliseconds into the past.
    public var offset: Int64 = 0
    public var anchor: Anchor?
}

public struct VectorSelector: Sendable {
    /// The name before the braces, if any; `matchers` then hold it too.
    public let name: String?
    public let matchers: [Matcher]
    public var shift = TimeShift()
    public var range: Range<Int>
}

public struct MatrixSelector: Sendable {
    public var vector: VectorSelector

    /// Milliseconds.
    public let window: Int64
    public var range: Range<Int>
}

public struct Subquery: Sendable {
    public let inner: Expression

    /// Milliseconds.
    public let window: Int64

    /// Milliseconds, or nil for the engine's default.
    public let step: Int64?
    public var shift = TimeShift()
    public var range: Range<Int>
}

public struct Call: Sendable {
    public let function: Function
    public let arguments: [Expression]
    public let range: Range<Int>
}

public struct Aggregation: Sendable {
    public enum Grouping: Sendable, Equatable {
        case by([String])
        case without([String])
    }

    public let aggregator: Aggregator
    public let inner: Expression
    public let parameter: Expression?
    public let grouping: Grouping
    public let range: Range<Int>
}

public struct BinaryOperation: Sendable {
    public let operation: BinaryOperator
    public let left: Expression
    public let right: Expression

    /// Whether a comparison answers 0 or 1 instead of filtering.
    public let returnsBool: Bool

    /// How series find each other; nil unless both sides are vectors.
    public let matching: VectorMatching?
}

public struct VectorMatching: Sendable, Equatable {
    public enum Cardinality: Sendable {
        case oneToOne, manyToOne, oneToMany, manyToMany
    }

    public var cardinality: Cardinality = .oneToOne

    /// Whether `labels` are all that is compared (`on`), or all that is not (`ignoring`).
    public var isOn = false
    public var labels: [String] = []

    /// The labels that `group_left` and `group_right` copy from the one side.
    public var included: [String] = []
}

public struct Sign: Sendable {
    public let isMinus: Bool
    public let operand: Expression
    public let range: Range<Int>
}

public struct Parentheses: Sendable {
    public let inner: Expression
    public let range: Range<Int>
}
