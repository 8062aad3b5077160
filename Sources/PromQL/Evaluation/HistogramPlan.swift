import Metrics

/// `histogram_quantile` and `histogram_fraction` over classic histograms: series that differ only in `le` are one.
final class HistogramPlan: VectorPlan {
    enum Question {
        case quantile(ScalarPlan)
        case fraction(ScalarPlan, ScalarPlan)

        var scalars: [ScalarPlan] {
            switch self {
            case .quantile(let quantile): [quantile]
            case .fraction(let lower, let upper): [lower, upper]
            }
        }
    }

    /// The upper bound that `le` names, and the histogram it belongs to; no group if it names none.
    private struct Place {
        let upperBound: Double
        let group: Int?
    }

    private let question: Question
    private let vector: VectorPlan
    private let quantileRange: Range<Int>
    private let vectorRange: Range<Int>
    private var groups = GroupTable(.allBut("le"))
    private var places = Remembered<Place>()
    private var scratch: Elements = []
    private var histograms: ContiguousArray<Buckets> = []
    private var met: ContiguousArray<Int> = []

    init(_ question: Question, _ vector: VectorPlan, quantileRange: Range<Int>, vectorRange: Range<Int>) {
        self.question = question
        self.vector = vector
        self.quantileRange = quantileRange
        self.vectorRange = vectorRange
        super.init(
            isConstant: vector.isConstant && question.scalars.allSatisfy(\.isConstant),
            hasSingleName: vector.hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
        for scalar in question.scalars { try scalar.prepare(schedule, run) }
        if groups.count > 4 * met.count + 1024 {
            groups.forget()
            places.forget()
            met.removeAll()
        }
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        var numbers: [Double] = []
        for scalar in question.scalars { numbers.append(try scalar.value(at: time, run)) }
        if case .quantile = question { run.check(quantile: numbers[0], at: quantileRange) }
        scratch.removeAll(keepingCapacity: true)
        try vector.fill(&scratch, at: time, run)
        gather(run)
        for group in met {
            let value: Double
            switch question {
            case .quantile: value = histograms[group].quantile(numbers[0])
            case .fraction: value = histograms[group].fraction(from: numbers[0], to: numbers[1])
            }
            let labels = groups.labels(of: group)
            if histograms[group].wasForcedMonotonic {
                run.remark(
                    "input to histogram_quantile needed to be fixed for monotonicity (see "
                        + "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) "
                        + "for metric name \(quoted(labels[nameLabel] ?? ""))", at: vectorRange)
            }
            elements.append(Element(labels: labels, value: value, dropsName: true))
        }
        if !hasSingleName, run.hidesDroppedNames { try elements.checkUnique(run) }
    }

    private func gather(_ run: Evaluation) {
        histograms.removeAll(keepingCapacity: true)
        histograms.append(contentsOf: repeatElement(Buckets(), count: groups.count))
        met.removeAll(keepingCapacity: true)
        for (index, element) in scratch.enumerated() {
            let hidesName = element.dropsName && run.hidesDroppedNames
            let place = places.value(at: index, of: element.labels, hidesName: hidesName) {
                guard let bound = element.labels["le"].flatMap({ Double($0) }), !bound.isNaN else {
                    return Place(upperBound: .nan, group: nil)
                }
                return Place(upperBound: bound, group: groups.group(of: element.labels, hidesName: hidesName))
            }
            guard let group = place.group else {
                let name = hidesName ? "" : element.labels[nameLabel] ?? ""
                run.warn(
                    "bucket label \"le\" is missing or has a malformed value of \(quoted(element.labels["le"] ?? "")) "
                        + "for metric name \(quoted(name))", at: vectorRange)
                continue
            }
            while group >= histograms.count { histograms.append(Buckets()) }
            if histograms[group].isEmpty { met.append(group) }
            histograms[group].add(upperBound: place.upperBound, count: element.value)
        }
        places.keep(scratch.count)
    }
}
