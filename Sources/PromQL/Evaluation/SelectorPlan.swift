import Metrics

/// The series that a selector found, and their samples once they were read.
struct SelectedSeries {
    let selector: VectorSelector

    /// How far before the time that is looked at samples count, in milliseconds.
    let reach: Int64
    private(set) var series: [any StoredSeries] = []

    /// The samples of each series over the whole schedule, if it repeats.
    private(set) var points: [ContiguousArray<Point>] = []

    init(_ selector: VectorSelector, reach: Int64) {
        self.selector = selector
        self.reach = reach
    }

    var hasSingleName: Bool { selector.matchers.contains { $0.name == nameLabel && $0.operation == .equal } }

    mutating func prepare(_ schedule: Schedule, _ run: Evaluation, keepsStale: Bool) throws(PromQLError) {
        let looked = selector.shift.apply(to: schedule, run)
        let after = looked.first - reach
        series = run.source.select(
            Selection(matchers: selector.matchers, after: after, through: looked.last, deadline: run.deadline))
        try run.checkTime()
        try run.spend(series.count)
        points.removeAll()
        guard schedule.repeats else { return }
        for one in series {
            var read: ContiguousArray<Point> = []
            one.read(after: after, through: looked.last, into: &read)
            try run.spend(read.count)
            if !keepsStale { read.removeAll { $0.value.isStale } }
            points.append(read)
        }
    }
}

/// An instant selector: the newest sample of each series that is not too old.
final class InstantSelectorPlan: VectorPlan {
    private var selected: SelectedSeries

    init(_ selector: VectorSelector, lookback: Int64) {
        selected = SelectedSeries(selector, reach: lookback)
        super.init(isConstant: selector.shift.anchor != nil, hasSingleName: selected.hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try selected.prepare(schedule, run, keepsStale: true)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        try run.spend(0, looked: selected.series.count)
        forEachNewest(at: time, run) { labels, point in elements.append(Element(labels: labels, value: point.value)) }
    }

    /// The times of the samples in seconds, for `timestamp`.
    func computeTimes(_ elements: inout Elements, at time: Int64, _ run: Evaluation) {
        forEachNewest(at: time, run) { labels, point in
            elements.append(Element(labels: labels, value: Double(point.time) / 1000, dropsName: true))
        }
    }

    private func forEachNewest(at time: Int64, _ run: Evaluation, _ body: (Labels, Point) -> Void) {
        let end = selected.selector.shift.apply(to: time, run)
        let start = end - selected.reach
        if selected.points.isEmpty {
            for one in selected.series {
                guard let point = one.newest(after: start, through: end), !point.value.isStale else { continue }
                body(one.labels, point)
            }
            return
        }
        for (index, one) in selected.series.enumerated() {
            let next = selected.points[index].firstIndex(after: end)
            guard next > 0 else { continue }
            let point = selected.points[index][next - 1]
            guard point.time > start, !point.value.isStale else { continue }
            body(one.labels, point)
        }
    }
}

/// `timestamp` of a selector, which is when the sample was taken, not when it is looked at.
final class TimestampPlan: VectorPlan {
    private let selector: InstantSelectorPlan

    init(_ selector: InstantSelectorPlan) {
        self.selector = selector
        super.init(isConstant: selector.isConstant, hasSingleName: selector.hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try selector.prepareParts(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        selector.computeTimes(&elements, at: time, run)
        if !hasSingleName, run.hidesDroppedNames { try elements.checkUnique(run) }
    }
}

/// A range selector.
final class MatrixSelectorPlan: MatrixPlan {
    private var selected: SelectedSeries
    private var scratch: ContiguousArray<Point> = []

    init(_ selector: MatrixSelector) {
        selected = SelectedSeries(selector.vector, reach: selector.window)
        super.init(
            isConstant: selector.vector.shift.anchor != nil, hasSingleName: selected.hasSingleName,
            window: selector.window, shift: selector.vector.shift)
    }

    override func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try selected.prepare(schedule, run, keepsStale: false)
    }

    override func forEachSeries(
        at time: Int64, _ run: Evaluation, _ body: (Labels, Bool, Span<Point>) throws(PromQLError) -> Void
    ) throws(PromQLError) {
        let end = end(at: time, run)
        let start = end - window
        try run.spend(0, looked: selected.series.count)
        if !selected.points.isEmpty {
            for (index, one) in selected.series.enumerated() {
                let points = selected.points[index]
                let first = points.firstIndex(after: start)
                let next = points.firstIndex(after: end)
                guard first < next else { continue }
                try run.spend(next - first)
                let span = points.span
                try body(one.labels, false, span.extracting(first..<next))
            }
            return
        }
        var points = scratch
        scratch = []
        for one in selected.series {
            points.removeAll(keepingCapacity: true)
            one.read(after: start, through: end, into: &points)
            try run.spend(points.count)
            if points.contains(where: \.value.isStale) { points.removeAll { $0.value.isStale } }
            guard !points.isEmpty else { continue }
            try body(one.labels, false, points.span)
        }
        scratch = points
    }
}
