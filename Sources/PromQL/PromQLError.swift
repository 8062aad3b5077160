/// Why a query has no answer.
public enum PromQLError: Error, Sendable, Equatable {
    /// The text is not PromQL, or asks for something that this engine leaves out and says so.
    case syntax(SyntaxProblem)

    /// The query is well formed, but the data does not allow it: two series with the same labels, or matching that
    /// is ambiguous.
    case evaluation(String)

    /// The query read or made more samples than the engine allows.
    case tooManySamples(limit: Int)

    /// The query took longer than the engine allows.
    case timedOut(limit: Duration)

    /// Nobody waits for the answer any more.
    case cancelled
}

/// What is wrong with a text, and where.
public struct SyntaxProblem: Error, Sendable, Equatable {
    public let message: String

    /// Bytes from the start of the text, of what is wrong.
    public let range: Range<Int>

    /// Counted from 1, the column in bytes.
    public let line: Int
    public let column: Int

    /// The name that was probably meant.
    public let suggestion: String?

    /// Whether Prometheus would have read it, but this engine leaves it out.
    public let isUnsupported: Bool

    init(
        _ message: String, at range: Range<Int>, in text: String, suggestion: String? = nil,
        isUnsupported: Bool = false
    ) {
        self.message = message
        self.range = range
        self.suggestion = suggestion
        self.isUnsupported = isUnsupported
        (line, column) = SyntaxProblem.place(of: range.lowerBound, in: text)
    }

    static func place(of offset: Int, in text: String) -> (line: Int, column: Int) {
        let before = text.utf8.prefix(offset)
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { before.index(after: $0) } ?? before.startIndex
        return (line, before.distance(from: lineStart, to: before.endIndex) + 1)
    }
}

extension PromQLError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .syntax(let problem):
            "\(problem.line):\(problem.column): parse error: \(problem.message)"
                + (problem.suggestion.map { "; did you mean \"\($0)\"?" } ?? "")
        case .evaluation(let message): message
        case .tooManySamples(let limit):
            "query processing would load too many samples into memory in query execution: more than \(limit)"
        case .timedOut(let limit): "query timed out in expression evaluation: it took longer than \(limit)"
        case .cancelled: "query was canceled in expression evaluation"
        }
    }
}
