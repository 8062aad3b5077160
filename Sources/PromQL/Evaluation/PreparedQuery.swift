import Metrics

/// A query to be asked again and again, as rules do: it keeps its buffers and what it worked out from labels.
///
/// One thread at a time.
public final class PreparedQuery {
    public let query: Query
    private let engine: Engine
    private let plan: Plan
    private var finalLabels = Remembered<Labels>()
    private var scratch: Elements = []

    private enum Plan {
        case scalar(ScalarPlan)
        case vector(VectorPlan)
        case matrix(MatrixPlan)
        case string(String)
    }

    public init(_ query: Query, engine: Engine = Engine()) throws(PromQLError) {
        self.query = query
        self.engine = engine
        let planner = Planner(engine: engine)
        let expression = query.expression
        switch expression.type {
        case .scalar: plan = .scalar(try planner.scalar(expression))
        case .vector: plan = .vector(try planner.vector(expression))
        case .matrix: plan = .matrix(try planner.matrix(expression))
        case .string: plan = .string(try planner.string(expression))
        }
    }

    /// Evaluates the query at one time, in milliseconds since the epoch.
    public func instant(at time: Int64, source: any SeriesSource) throws(PromQLError) -> Answer {
        let run = Evaluation(
            engine: engine, source: source, text: query.text, start: time, end: time, isRange: false)
        let schedule = Schedule(first: time, last: time, repeats: false)
        let value: Value
        switch plan {
        case .string(let text): value = .string(text)
        case .scalar(let plan):
            try plan.prepare(schedule, run)
            value = .scalar(try plan.value(at: time, run))
        case .vector(let plan):
            try plan.prepare(schedule, run)
            value = .vector(try vector(plan, at: time, run))
        case .matrix(let plan):
            try plan.prepare(schedule, run)
            value = .matrix(try matrix(plan, at: time, run))
        }
        return answer(value, run)
    }

    /// Evaluates the query at `start`, `start` + `step` and so on up to `end`, in milliseconds since the epoch.
    ///
    /// The query has to be a scalar or an instant vector, and the step positive.
    public func range(from start: Int64, to end: Int64, step: Int64, source: any SeriesSource) throws(PromQLError)
        -> Answer
    {
        guard step > 0 else { throw .evaluation("zero or negative query resolution step widths are not accepted") }
        let run = Evaluation(
            engine: engine, source: source, text: query.text, start: start, end: end, isRange: true)
        let schedule = Schedule(first: start, last: max(start, end), repeats: end - start >= step)
        switch plan {
        case .scalar(let plan):
            try plan.prepare(schedule, run)
            var points: [Point] = []
            for time in stride(from: start, through: end, by: Int(step)) {
                try run.spend(1)
                points.append(Point(time: time, value: try plan.value(at: time, run)))
            }
            return answer(.matrix([Series(labels: .none, points: points)]), run)
        case .vector(let plan):
            try plan.prepare(schedule, run)
            var gathered = GatheredSeries()
            var elements: Elements = []
            for time in stride(from: start, through: end, by: Int(step)) {
                elements.removeAll(keepingCapacity: true)
                try plan.fill(&elements, at: time, run)
                try gathered.add(elements, at: time)
            }
            return answer(.matrix(gathered.sorted()), run)
        case .matrix, .string:
            throw .evaluation(
                "invalid expression type \(quoted(query.expression.type.documented)) for range query, must be Scalar or instant Vector"
            )
        }
    }

    private func vector(_ plan: VectorPlan, at time: Int64, _ run: Evaluation) throws(PromQLError) -> [Sample] {
        var elements = scratch
        scratch = []
        try plan.fill(&elements, at: time, run)
        if engine.delaysNameRemoval { try elements.checkUnique(run) }
        var samples: [Sample] = []
        samples.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            samples.append(Sample(labels: labels(of: element, at: index), value: element.value))
        }
        finalLabels.keep(elements.count)
        elements.removeAll(keepingCapacity: true)
        scratch = elements
        return samples
    }

    private func labels(of element: Element, at index: Int) -> Labels {
        guard element.dropsName else { return element.labels }
        return finalLabels.value(at: index, of: element.labels, hidesName: true) { element.labels.removing(nameLabel) }
    }

    private func matrix(_ plan: MatrixPlan, at time: Int64, _ run: Evaluation) throws(PromQLError) -> [Series] {
        var series: [Series] = []
        try plan.forEachSeries(at: time, run) { labels, dropsName, points throws(PromQLError) in
            var copy: [Point] = []
            copy.reserveCapacity(points.count)
            for index in points.indices { copy.append(points[index]) }
            series.append(Series(labels: dropsName ? labels.removing(nameLabel) : labels, points: copy))
        }
        return series.sorted { $0.labels.precedes($1.labels) }
    }

    private func answer(_ value: Value, _ run: Evaluation) -> Answer {
        Answer(value: value, warnings: run.warnings, remarks: run.remarks, samples: run.samples)
    }
}

/// The series of a range query's result while its steps come in.
private struct GatheredSeries {
    private var series: [Series] = []
    private var index: [Labels: Int] = [:]
    private var numbers = Remembered<Int>()

    mutating func add(_ elements: Elements, at time: Int64) throws(PromQLError) {
        for (place, element) in elements.enumerated() {
            let number = numbers.value(at: place, of: element.labels, hidesName: element.dropsName) {
                let labels = element.dropsName ? element.labels.removing(nameLabel) : element.labels
                if let known = index[labels] { return known }
                index[labels] = series.count
                series.append(Series(labels: labels, points: []))
                return series.count - 1
            }
            if series[number].points.last?.time == time {
                throw .evaluation("vector cannot contain metrics with the same labelset")
            }
            series[number].points.append(Point(time: time, value: element.value))
        }
    }

    func sorted() -> [Series] { series.sorted { $0.labels.precedes($1.labels) } }
}

extension Labels {
    /// The order of a range query's result: by names and values from the first label on.
    func precedes(_ other: Labels) -> Bool {
        for (left, right) in zip(pairs, other.pairs) {
            if left.name != right.name { return left.name.utf8.lexicographicallyPrecedes(right.name.utf8) }
            if left.value != right.value { return left.value.utf8.lexicographicallyPrecedes(right.value.utf8) }
        }
        return pairs.count < other.pairs.count
    }
}
