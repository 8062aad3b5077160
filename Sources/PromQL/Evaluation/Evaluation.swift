/// One run of a query: what it asks, what it may cost, and the remarks it gathers.
final class Evaluation {
    let engine: Engine
    let source: any SeriesSource
    private let text: String

    /// What `@ start()` and `@ end()` stand for.
    let start: Int64
    let end: Int64

    /// Whether the query asks for more than one time, or for matrices.
    let isRange: Bool

    let deadline: Deadline
    private(set) var samples = 0

    /// Work since the limits were last looked at.
    private var effort = 0
    /// Samples of the shared budget that this run holds.
    private var held = 0
    private(set) var warnings: [String] = []
    private(set) var remarks: [String] = []

    init(engine: Engine, source: any SeriesSource, text: String, start: Int64, end: Int64, isRange: Bool) {
        self.engine = engine
        self.source = source
        self.text = text
        self.start = start
        self.end = end
        self.isRange = isRange
        deadline = Deadline(after: engine.timeout, isAbandoned: engine.isAbandoned)
    }

    deinit { engine.budget?.give(held) }

    /// Counts samples read or made, and ends the query once there were too many or it took too long.
    ///
    /// - Parameter looked: series that were looked at without finding a sample; they cost time, but do not count.
    func spend(_ count: Int, looked: Int = 0) throws(PromQLError) {
        samples += count
        effort += count + looked
        guard effort > 8192 else { return }
        effort = 0
        guard samples <= engine.sampleLimit else {
            engine.budget?.noteRefused()
            throw .tooManySamples(limit: engine.sampleLimit)
        }
        if let budget = engine.budget {
            guard budget.take(samples - held) else { throw .tooManySamples(limit: budget.limit) }
            held = samples
        }
        try checkTime()
    }

    func checkTime() throws(PromQLError) {
        guard deadline.hasPassed else { return }
        throw engine.isAbandoned?() == true ? .cancelled : .timedOut(limit: engine.timeout)
    }

    func warn(_ message: String, at range: Range<Int>) {
        let sentence = "PromQL warning: \(message) \(place(range))"
        if !warnings.contains(sentence), warnings.count < 100 { warnings.append(sentence) }
    }

    func remark(_ message: String, at range: Range<Int>) {
        let sentence = "PromQL info: \(message) \(place(range))"
        if !remarks.contains(sentence), remarks.count < 100 { remarks.append(sentence) }
    }

    private func place(_ range: Range<Int>) -> String {
        let (line, column) = SyntaxProblem.place(of: range.lowerBound, in: text)
        return "(\(line):\(column))"
    }

    /// Whether a name that was dropped is gone at once.
    var hidesDroppedNames: Bool { !engine.delaysNameRemoval }
}

/// When a part of a query will be evaluated.
struct Schedule {
    /// Milliseconds since the epoch.
    let first: Int64
    let last: Int64

    /// Whether it is more than once, so that what is read is worth keeping.
    let repeats: Bool
}
