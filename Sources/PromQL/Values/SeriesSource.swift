import Metrics

/// Where the engine finds its series: a history in memory, or a script's.
///
/// A query asks once for every selector in it, before it evaluates anything, and reads the series afterwards; both on
/// the caller's thread.
public protocol SeriesSource: Sendable {
    /// The series that match and may have samples in the selection's time, each once, in any order. Series without
    /// samples there do no harm.
    func select(_ selection: Selection) -> [any StoredSeries]

    /// Before which there can be no samples, in milliseconds since the epoch; nil where nobody knows.
    var began: Int64? { get }
}

extension SeriesSource {
    public var began: Int64? { nil }
}

/// What a selector of a query needs.
public struct Selection: Sendable {
    /// All of them have to match. Where a source keeps an index, `Matcher.candidates` helps to use it.
    public let matchers: [Matcher]

    /// Samples in (`after`, `through`] will be read, in milliseconds since the epoch.
    public let after: Int64
    public let through: Int64

    /// The query's time limit, for expressions that are slow to match.
    let deadline: Deadline

    init(matchers: [Matcher], after: Int64, through: Int64, deadline: Deadline) {
        self.matchers = matchers
        self.after = after
        self.through = through
        self.deadline = deadline
    }

    /// A selection outside a query.
    ///
    /// - Parameter timeout: after which nothing is wanted any more.
    public init(matchers: [Matcher], after: Int64, through: Int64, timeout: Duration = .seconds(30)) {
        self.init(matchers: matchers, after: after, through: through, deadline: Deadline(after: timeout))
    }

    /// Whether a series is wanted. Once the query has run out of time nothing is, so that the search ends soon.
    public func matches(_ labels: Labels) -> Bool {
        for matcher in matchers {
            let value = labels[matcher.name] ?? ""
            let steps = matcher.stepsPerByte
            if steps > 1, !deadline.allows(steps * (value.utf8.count + 1)) { return false }
            if !matcher.matches(value) { return false }
        }
        return true
    }
}

/// A series that a source has found.
public protocol StoredSeries: AnyObject, Sendable {
    /// With the name as `__name__`. The same object in every answer lets a repeated query skip work.
    var labels: Labels { get }

    /// The newest sample in (`after`, `through`], even if it is the mark of an ended series.
    func newest(after: Int64, through: Int64) -> Point?

    /// Appends the samples in (`after`, `through`], oldest first, the marks of an ended series among them.
    func read(after: Int64, through: Int64, into points: inout ContiguousArray<Point>)
}
