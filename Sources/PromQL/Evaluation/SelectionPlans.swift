import Metrics
import Runtime

/// `topk` and `bottomk`: the elements with the greatest or least values of each group, as they are.
final class BestPlan: VectorPlan {
    private let wantsGreatest: Bool
    private let vector: VectorPlan
    private let parameter: ScalarPlan
    private var groups: GroupTable
    private var groupOf = Remembered<Int>()
    private var scratch: Elements = []
    private var heaps: ContiguousArray<Elements> = []
    private var met: ContiguousArray<Int> = []

    init(_ vector: VectorPlan, wantsGreatest: Bool, parameter: ScalarPlan, grouping: Aggregation.Grouping) {
        self.vector = vector
        self.wantsGreatest = wantsGreatest
        self.parameter = parameter
        groups = GroupTable(grouping.projection)
        super.init(isConstant: vector.isConstant && parameter.isConstant, hasSingleName: vector.hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
        try parameter.prepare(schedule, run)
        if groups.count > 4 * met.count + 1024 {
            groups.forget()
            groupOf.forget()
            heaps.removeAll()
            met.removeAll()
        }
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        let number = try parameter.value(at: time, run)
        if number.isNaN { throw .evaluation("Parameter value is NaN") }
        if number.magnitude >= 0x1p63 {
            throw .evaluation("Scalar value \(GoFormat.text(number)) overflows int64")
        }
        var input = scratch
        scratch = []
        try vector.fill(&input, at: time, run)
        let wanted = min(Int(number), input.count)
        if wanted >= 1 {
            gather(input, wanted, run)
            for group in met {
                // The worst of the best lies on top.
                heaps[group].sort { isWorse($1.value, $0.value) }
                elements.append(contentsOf: heaps[group])
                heaps[group].removeAll(keepingCapacity: true)
            }
        }
        input.removeAll(keepingCapacity: true)
        scratch = input
    }

    private func gather(_ input: Elements, _ wanted: Int, _ run: Evaluation) {
        met.removeAll(keepingCapacity: true)
        for (index, element) in input.enumerated() {
            let hidesName = element.dropsName && run.hidesDroppedNames
            let group = groupOf.value(at: index, of: element.labels, hidesName: hidesName) {
                groups.group(of: element.labels, hidesName: hidesName)
            }
            if group >= heaps.count {
                heaps.append(contentsOf: repeatElement([], count: group + 1 - heaps.count))
            }
            if heaps[group].isEmpty { met.append(group) }
            if heaps[group].count < wanted {
                heaps[group].append(element)
                rise(&heaps[group])
            } else if improves(on: heaps[group][0].value, element.value) {
                heaps[group][0] = element
                sink(&heaps[group])
            }
        }
        groupOf.keep(input.count)
    }

    /// Whether `left` is thrown out before `right`: NaN first.
    private func isWorse(_ left: Double, _ right: Double) -> Bool {
        if left.isNaN { return true }
        return wantsGreatest ? left < right : left > right
    }

    private func improves(on worst: Double, _ value: Double) -> Bool {
        if worst.isNaN { return !value.isNaN }
        return wantsGreatest ? worst < value : worst > value
    }

    private func rise(_ heap: inout Elements) {
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard isWorse(heap[child].value, heap[parent].value) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private func sink(_ heap: inout Elements) {
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, isWorse(heap[child + 1].value, heap[child].value) { child += 1 }
            guard isWorse(heap[child].value, heap[parent].value) else { return }
            heap.swapAt(child, parent)
            parent = child
        }
    }
}

/// `count_values`: how often each value occurs in each group, the value in a label.
final class CountValuesPlan: VectorPlan {
    private let vector: VectorPlan
    private let label: String
    private let grouping: Aggregation.Grouping
    private var scratch: Elements = []

    init(_ vector: VectorPlan, label: String, grouping: Aggregation.Grouping) {
        self.vector = vector
        self.label = label
        self.grouping = grouping
        let keepsName = label == nameLabel || !grouping.dropsName
        super.init(isConstant: vector.isConstant, hasSingleName: !keepsName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        guard !label.isEmpty else { throw .evaluation("invalid label name \(quoted(label))") }
        scratch.removeAll(keepingCapacity: true)
        try vector.fill(&scratch, at: time, run)
        var counts: [Labels: Int] = [:]
        // The label is set before grouping, so `without` its name loses it again.
        let projection: Projection
        switch grouping {
        case .by(let names): projection = .only(names + [label])
        case .without(let names): projection = .without(names)
        }
        for element in scratch {
            let hidesName = element.dropsName && run.hidesDroppedNames
            let base = hidesName ? element.labels.removing(nameLabel) : element.labels
            let labels = base.adding([Label(label, GoFormat.text(element.value, .fixed))])
            counts[projection.labels(labels, hidesName: false), default: 0] += 1
        }
        for (labels, count) in counts { elements.append(Element(labels: labels, value: Double(count))) }
    }
}
