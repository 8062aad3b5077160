import Metrics
import Runtime

/// A function over the samples of each series within a window.
final class WindowPlan: VectorPlan {
    private let function: WindowFunction
    private let matrix: MatrixPlan
    private let parameter: ScalarPlan?
    private let second: ScalarPlan?

    /// Where the first argument stands, for remarks.
    private let argumentRange: Range<Int>

    /// - Parameter scalars: the scalar arguments in their order, at most two.
    init(_ function: WindowFunction, _ matrix: MatrixPlan, scalars: [ScalarPlan], argumentRange: Range<Int>) {
        self.function = function
        self.matrix = matrix
        parameter = scalars.first
        second = scalars.count > 1 ? scalars[1] : nil
        self.argumentRange = argumentRange
        super.init(
            isConstant: matrix.isConstant && scalars.allSatisfy(\.isConstant) && !function.usesEvaluationTime,
            hasSingleName: matrix.hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try matrix.prepare(schedule, run)
        try parameter?.prepare(schedule, run)
        try second?.prepare(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        let end = matrix.end(at: time, run)
        var start = end - matrix.window
        if run.engine.fitsWindows, let began = run.source.began { start = max(start, min(began, end - 1)) }
        let window = Window(
            start: start, end: end, evaluation: time,
            parameter: try parameter?.value(at: time, run) ?? .nan,
            second: try second?.value(at: time, run) ?? .nan)
        let takesFactors = function.takesFactors
        let apply = function.apply
        let dropsName = !function.keepsName
        let before = elements.count
        try matrix.forEachSeries(at: time, run) { labels, isDropped, points throws(PromQLError) in
            if takesFactors { try window.checkFactors() }
            guard let value = apply(points, window) else { return }
            elements.append(Element(labels: labels, value: value, dropsName: isDropped || dropsName))
        }
        guard elements.count > before else { return }
        if let note = function.note { run.remark(note, at: argumentRange) }
        if function.takesQuantile { run.check(quantile: window.parameter, at: argumentRange) }
        if function.wantsCounter { remarkNonCounters(elements[before...], run) }
        if dropsName, !hasSingleName, run.hidesDroppedNames { try elements.checkUnique(run) }
    }

    private func remarkNonCounters(_ elements: ContiguousArray<Element>.SubSequence, _ run: Evaluation) {
        for element in elements {
            if let name = element.labels[nameLabel], !name.isEmpty,
                !["_total", "_sum", "_count", "_bucket"].contains(where: name.hasSuffix)
            {
                run.remark(
                    "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \(quoted(name))",
                    at: argumentRange)
            }
            if hasSingleName { return }
        }
    }
}

extension Window {
    fileprivate func checkFactors() throws(PromQLError) {
        for (name, factor, what) in [("sf", parameter, "smoothing"), ("tf", second, "trend")]
        where !(factor > 0 && factor < 1) {
            let shown = GoFormat.text(factor, .fixed, precision: 6)
            throw .evaluation("invalid \(what) factor. Expected: 0 < \(name) < 1, got: \(shown)")
        }
    }
}

extension Evaluation {
    func check(quantile: Double, at range: Range<Int>) {
        if quantile.isNaN || quantile < 0 || quantile > 1 {
            warn("quantile value should be between 0 and 1, got \(GoFormat.text(quantile))", at: range)
        }
    }
}

/// `absent_over_time`: one element if no series has a sample in the window.
final class AbsentWindowPlan: VectorPlan {
    private let matrix: MatrixPlan
    private let labels: Labels

    init(_ matrix: MatrixPlan, labels: Labels) {
        self.matrix = matrix
        self.labels = labels
        super.init(isConstant: matrix.isConstant, hasSingleName: true)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try matrix.prepare(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        var isPresent = false
        try matrix.forEachSeries(at: time, run) { _, _, _ throws(PromQLError) in isPresent = true }
        if !isPresent { elements.append(Element(labels: labels, value: 1)) }
    }
}

/// `absent`: one element if the vector is empty.
final class AbsentPlan: VectorPlan {
    private let vector: VectorPlan
    private let labels: Labels
    private var scratch: Elements = []

    init(_ vector: VectorPlan, labels: Labels) {
        self.vector = vector
        self.labels = labels
        super.init(isConstant: vector.isConstant, hasSingleName: true)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        scratch.removeAll(keepingCapacity: true)
        try vector.fill(&scratch, at: time, run)
        if scratch.isEmpty { elements.append(Element(labels: labels, value: 1)) }
    }
}

extension VectorSelector {
    /// The labels that an absent series would have had: what is matched by `=` once.
    var absentLabels: Labels {
        var kept: [Label] = []
        var seen: Set<String> = []
        for matcher in matchers where matcher.name != nameLabel {
            if matcher.operation == .equal, seen.insert(matcher.name).inserted {
                kept.append(Label(matcher.name, matcher.value))
            } else {
                kept.removeAll { $0.name == matcher.name }
            }
        }
        return Labels(kept)
    }
}
