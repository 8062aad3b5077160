import Metrics

/// An aggregation that makes one element of each group.
final class AggregationPlan: VectorPlan {
    private let aggregator: Aggregator
    private let vector: VectorPlan
    private let parameter: ScalarPlan?
    private let parameterRange: Range<Int>
    private var groups: GroupTable
    private var groupOf = Remembered<Int>()
    private var scratch: Elements = []
    private var totals: ContiguousArray<Total> = []

    /// The groups met in this evaluation, in the order of their first element.
    private var met: ContiguousArray<Int> = []

    /// What was gathered of one group.
    private struct Total {
        var isMet = false
        var dropsName = false
        var count = 0.0
        var value = 0.0
        var sum = KahanSum()
        var mean = KahanMean(0)
        var variance = KahanVariance()
        var values: [Double] = []
    }

    init(
        _ aggregator: Aggregator, _ vector: VectorPlan, parameter: ScalarPlan?, parameterRange: Range<Int>,
        grouping: Aggregation.Grouping
    ) {
        self.aggregator = aggregator
        self.vector = vector
        self.parameter = parameter
        self.parameterRange = parameterRange
        groups = GroupTable(grouping.projection)
        super.init(
            isConstant: vector.isConstant && parameter?.isConstant ?? true, hasSingleName: grouping.dropsName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
        try parameter?.prepare(schedule, run)
        if groups.count > 4 * met.count + 1024 {
            groups.forget()
            groupOf.forget()
            totals.removeAll()
            met.removeAll()
        }
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        let number = try parameter?.value(at: time, run) ?? .nan
        if aggregator == .quantile { run.check(quantile: number, at: parameterRange) }
        var input = scratch
        scratch = []
        try vector.fill(&input, at: time, run)
        for group in met { totals[group].isMet = false }
        met.removeAll(keepingCapacity: true)
        for (index, element) in input.enumerated() {
            let group = groupOf.value(
                at: index, of: element.labels, hidesName: element.dropsName && run.hidesDroppedNames
            ) { groups.group(of: element.labels, hidesName: element.dropsName && run.hidesDroppedNames) }
            if group >= totals.count {
                totals.append(contentsOf: repeatElement(Total(), count: group + 1 - totals.count))
            }
            if totals[group].isMet {
                add(element.value, to: &totals[group])
            } else {
                begin(&totals[group], with: element.value)
                met.append(group)
            }
            if element.dropsName { totals[group].dropsName = true }
        }
        groupOf.keep(input.count)
        for group in met {
            elements.append(
                Element(
                    labels: groups.labels(of: group), value: result(of: &totals[group], number),
                    dropsName: totals[group].dropsName && !run.hidesDroppedNames))
        }
        input.removeAll(keepingCapacity: true)
        scratch = input
    }

    private func begin(_ total: inout Total, with value: Double) {
        total.isMet = true
        total.dropsName = false
        total.count = 1
        switch aggregator {
        case .sum: total.sum = KahanSum(value)
        case .avg: total.mean = KahanMean(value)
        case .min, .max: total.value = value
        case .stddev, .stdvar:
            total.variance = KahanVariance()
            total.variance.add(value)
        case .quantile:
            total.values.removeAll(keepingCapacity: true)
            total.values.append(value)
        case .count, .group, .topk, .bottomk, .countValues: break
        }
    }

    private func add(_ value: Double, to total: inout Total) {
        total.count += 1
        switch aggregator {
        case .sum: total.sum.add(value)
        case .avg: total.mean.add(value)
        case .min: if value < total.value || total.value.isNaN { total.value = value }
        case .max: if value > total.value || total.value.isNaN { total.value = value }
        case .stddev, .stdvar: total.variance.add(value)
        case .quantile: total.values.append(value)
        case .count, .group, .topk, .bottomk, .countValues: break
        }
    }

    private func result(of total: inout Total, _ number: Double) -> Double {
        switch aggregator {
        case .sum: total.sum.total
        case .avg: total.mean.mean
        case .min, .max: total.value
        case .count: total.count
        case .stdvar: total.variance.variance
        case .stddev: total.variance.variance.squareRoot()
        case .quantile: quantile(number, of: &total.values)
        case .group, .topk, .bottomk, .countValues: 1
        }
    }
}

extension Aggregation.Grouping {
    var projection: Projection {
        switch self {
        case .by(let names): .only(names)
        case .without(let names): .without(names)
        }
    }

    /// Whether the groups' labels have no name.
    var dropsName: Bool {
        if case .by(let names) = self { return !names.contains(nameLabel) }
        return true
    }
}
