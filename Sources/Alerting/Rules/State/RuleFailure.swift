import PromQL

/// Why an evaluation of a rule came to nothing. Worded as Prometheus words it.
public enum RuleFailure: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Subject: Sendable, Equatable { case alert, series }

    case query(PromQLError)

    /// The query's answer is a range or a text.
    case notAVector

    /// Two samples end up with the same labels.
    case sameLabelset(Subject)
    case overLimit(limit: Int, count: Int, what: Subject)

    public var description: String {
        switch self {
        case .query(let error): "\(error)"
        case .notAVector: "rule result is not a vector or scalar"
        case .sameLabelset(.alert): "vector contains metrics with the same labelset after applying alert labels"
        case .sameLabelset(.series): "vector contains metrics with the same labelset after applying rule labels"
        case .overLimit(let limit, let count, .alert): "exceeded limit of \(limit) with \(count) alerts"
        case .overLimit(let limit, let count, .series): "exceeded limit of \(limit) with \(count) series"
        }
    }
}
