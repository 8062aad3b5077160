/// A query that has been read and checked, ready to be evaluated any number of times.
public struct Query: Sendable {
    public let text: String
    public let expression: Expression

    /// Reads `text` as PromQL of Prometheus 3 without its experimental parts.
    ///
    /// Throws `PromQLError.syntax` with a position. Long or deeply nested texts are refused within the limits.
    public init(_ text: String, limits: ParserLimits = ParserLimits()) throws(PromQLError) {
        var parser = try Parser(text, limits: limits)
        self.text = text
        expression = try parser.parse()
    }
}

/// How much of a query is read before it is refused.
public struct ParserLimits: Sendable {
    /// Bytes of the text.
    public var bytes = 100_000

    /// Parentheses, calls and right sides of operators that are open at once. Reading takes 4.6 KB of stack for each,
    /// many times that in a debug build.
    public var nesting = 64

    /// Nodes from the root of the tree to a leaf; each operator of a chain like `a + b + c` adds one. Evaluating goes
    /// as deep.
    public var depth = 300

    /// Matchers with regular expressions; compiling a hard one takes some milliseconds.
    public var regexes = 200

    public init() {}
}
