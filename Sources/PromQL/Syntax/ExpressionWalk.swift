extension Expression {
    /// The expressions right below this one.
    public var children: [Expression] {
        switch self {
        case .number, .string, .vector, .matrix: []
        case .subquery(let node): [node.inner]
        case .call(let node): node.arguments
        case .aggregation(let node): (node.parameter.map { [$0] } ?? []) + [node.inner]
        case .binary(let node): [node.left, node.right]
        case .sign(let node): [node.operand]
        case .parentheses(let node): [node.inner]
        }
    }

    /// Every selector in the expression, and how far back its samples are needed.
    public var reads: [SeriesRead] {
        var reads: [SeriesRead] = []
        collectReads(into: &reads, reach: 0, isPinned: false)
        return reads
    }

    private func collectReads(into reads: inout [SeriesRead], reach: Int64, isPinned: Bool) {
        switch self {
        case .vector(let node):
            reads.append(SeriesRead(node, window: nil, outerReach: reach, isPinned: isPinned))
        case .matrix(let node):
            reads.append(SeriesRead(node.vector, window: node.window, outerReach: reach, isPinned: isPinned))
        case .subquery(let node):
            node.inner.collectReads(
                into: &reads, reach: reach + node.window + max(0, node.shift.offset),
                isPinned: isPinned || node.shift.anchor != nil)
        default:
            for child in children { child.collectReads(into: &reads, reach: reach, isPinned: isPinned) }
        }
    }
}

/// What one selector of a query reads: for deciding how much history to keep.
public struct SeriesRead: Sendable {
    /// The name if the selector demands one, else nil.
    public let metricName: String?
    public let matchers: [Matcher]

    /// Milliseconds of the range in brackets; nil for an instant selector, which looks back as far as the engine says.
    public let window: Int64?

    /// Milliseconds before the time of evaluation that the oldest sample may have: window, `offset`, and those of the
    /// subqueries around. An instant selector's lookback is not counted in.
    public let reach: Int64

    /// Whether `@` makes the reach depend on something else than the time of evaluation.
    public let isPinned: Bool

    init(_ selector: VectorSelector, window: Int64?, outerReach: Int64, isPinned: Bool) {
        metricName = selector.matchers.first { $0.name == nameLabel && $0.operation == .equal }?.value
        matchers = selector.matchers
        self.window = window
        reach = outerReach + (window ?? 0) + max(0, selector.shift.offset)
        self.isPinned = isPinned || selector.shift.anchor != nil
    }
}
