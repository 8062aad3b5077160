import Metrics

/// A subquery: an instant vector evaluated again and again, at multiples of the step since the epoch.
///
/// What was evaluated is kept, so that windows that overlap, as those of a range query do, cost each step once.
final class SubqueryPlan: MatrixPlan {
    private let inner: VectorPlan
    private let step: Int64
    private var scratch: Elements = []

    private struct Made {
        let labels: Labels
        var dropsName: Bool
        var points: ContiguousArray<Point>
    }

    private var series: ContiguousArray<Made> = []
    private var index: [Identity: Int] = [:]
    private var remembered = Remembered<Int>()

    /// The first and the next time that was not evaluated yet.
    private var evaluated: (first: Int64, next: Int64)?

    init(_ subquery: Subquery, inner: VectorPlan, defaultStep: Int64) {
        self.inner = inner
        step = subquery.step ?? defaultStep
        super.init(
            isConstant: subquery.shift.anchor != nil, hasSingleName: inner.hasSingleName, window: subquery.window,
            shift: subquery.shift)
    }

    override func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        forget()
        let first = firstStep(after: end(at: schedule.first, run) - window)
        let last = end(at: schedule.last, run)
        try inner.prepare(Schedule(first: first, last: max(first, last), repeats: last > first), run)
    }

    override func forEachSeries(
        at time: Int64, _ run: Evaluation, _ body: (Labels, Bool, Span<Point>) throws(PromQLError) -> Void
    ) throws(PromQLError) {
        let end = end(at: time, run)
        let start = end - window
        try evaluate(from: firstStep(after: start), through: end, run)
        try run.spend(0, looked: series.count)
        for one in series {
            let first = one.points.firstIndex(after: start)
            let next = one.points.firstIndex(after: end)
            guard first < next else { continue }
            try run.spend(next - first)
            let span = one.points.span
            try body(one.labels, one.dropsName, span.extracting(first..<next))
        }
    }

    private func firstStep(after start: Int64) -> Int64 {
        let steps = start / step - (start % step < 0 ? 1 : 0)
        return (steps + 1) * step
    }

    private func evaluate(from first: Int64, through end: Int64, _ run: Evaluation) throws(PromQLError) {
        var time = first
        if let evaluated, evaluated.first <= first {
            time = max(time, evaluated.next)
        } else {
            forget()
        }
        let begin = evaluated?.first ?? first
        var elements = scratch
        scratch = []
        while time <= end {
            elements.removeAll(keepingCapacity: true)
            try inner.fill(&elements, at: time, run)
            for (place, element) in elements.enumerated() { append(element, place, at: time, run) }
            time += step
        }
        scratch = elements
        evaluated = (begin, time)
    }

    private func append(_ element: Element, _ place: Int, at time: Int64, _ run: Evaluation) {
        let hidesName = element.dropsName && run.hidesDroppedNames
        let number = remembered.value(at: place, of: element.labels, hidesName: hidesName) {
            let identity = Identity(element.labels, hidesName: hidesName)
            if let known = index[identity] { return known }
            index[identity] = series.count
            series.append(Made(labels: element.labels, dropsName: element.dropsName, points: []))
            return series.count - 1
        }
        if element.dropsName { series[number].dropsName = true }
        series[number].points.append(Point(time: time, value: element.value))
    }

    private func forget() {
        evaluated = nil
        series.removeAll(keepingCapacity: true)
        index.removeAll(keepingCapacity: true)
        remembered.forget()
    }
}
