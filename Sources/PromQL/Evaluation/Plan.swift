import Metrics

/// A part of a query made ready to give a vector, time after time.
///
/// Plans are a mutable twin of the expression: they hold buffers to use again, the series a selector found, and what
/// was derived from labels. One thread at a time.
class VectorPlan {
    /// Whether the result is the same at every time, because every selector in it is pinned by `@`.
    let isConstant: Bool

    /// Whether all elements carry one name or none, so that dropping it cannot make two of them equal.
    let hasSingleName: Bool

    private var repeats = false
    private var known: Elements?

    init(isConstant: Bool, hasSingleName: Bool) {
        self.isConstant = isConstant
        self.hasSingleName = hasSingleName
    }

    /// Finds the series for a run that will ask at the times of `schedule`, in ascending order.
    final func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        known = nil
        repeats = schedule.repeats && isConstant
        try prepareParts(
            isConstant ? Schedule(first: schedule.first, last: schedule.first, repeats: false) : schedule, run)
    }

    /// Appends the vector at `time`, in milliseconds since the epoch.
    final func fill(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        if let known {
            elements.append(contentsOf: known)
            return try run.spend(known.count + 1)
        }
        let before = elements.count
        try compute(&elements, at: time, run)
        try run.spend(elements.count - before + 1)
        if repeats { known = Elements(elements[before...]) }
    }

    func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {}

    func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {}
}

/// A part of a query made ready to give a number, time after time.
class ScalarPlan {
    let isConstant: Bool

    init(isConstant: Bool) { self.isConstant = isConstant }

    func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {}

    func value(at time: Int64, _ run: Evaluation) throws(PromQLError) -> Double { .nan }
}

/// A part of a query made ready to give the samples within a window, time after time.
class MatrixPlan {
    let isConstant: Bool
    let hasSingleName: Bool

    /// Milliseconds.
    let window: Int64
    private let shift: TimeShift

    init(isConstant: Bool, hasSingleName: Bool, window: Int64, shift: TimeShift) {
        self.isConstant = isConstant
        self.hasSingleName = hasSingleName
        self.window = window
        self.shift = shift
    }

    /// Where the window ends that is asked for at `time`.
    final func end(at time: Int64, _ run: Evaluation) -> Int64 { shift.apply(to: time, run) }

    func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {}

    /// Calls `body` for every series with samples in the window: its labels, whether its name is dropped, the samples.
    func forEachSeries(
        at time: Int64, _ run: Evaluation,
        _ body: (Metrics.Labels, Bool, Span<Point>) throws(PromQLError) -> Void
    ) throws(PromQLError) {}
}

extension TimeShift {
    /// The time that is looked at, when asked at `time`.
    func apply(to time: Int64, _ run: Evaluation) -> Int64 {
        switch anchor {
        case .time(let pinned): pinned - offset
        case .start: run.start - offset
        case .end: run.end - offset
        case nil: time - offset
        }
    }

    func apply(to schedule: Schedule, _ run: Evaluation) -> Schedule {
        Schedule(
            first: apply(to: schedule.first, run), last: apply(to: schedule.last, run), repeats: schedule.repeats)
    }
}
