import Metrics

/// What operators between two vectors share: both sides, and which elements find each other.
class MatchingPlan: VectorPlan {
    let left: VectorPlan
    let right: VectorPlan
    let matching: VectorMatching
    private(set) var groups: GroupTable
    private var leftGroups = Remembered<Int>()
    private var rightGroups = Remembered<Int>()
    private var leftScratch: Elements = []
    private var rightScratch: Elements = []
    private(set) var leftGroupOf: ContiguousArray<Int> = []
    private(set) var rightGroupOf: ContiguousArray<Int> = []

    init(_ left: VectorPlan, _ right: VectorPlan, _ matching: VectorMatching, hasSingleName: Bool) {
        self.left = left
        self.right = right
        self.matching = matching
        groups = GroupTable(matching.isOn ? .only(matching.labels) : .without(matching.labels))
        super.init(isConstant: left.isConstant && right.isConstant, hasSingleName: hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try left.prepare(schedule, run)
        try right.prepare(schedule, run)
        if groups.count > 4 * (leftGroupOf.count + rightGroupOf.count) + 1024 {
            groups.forget()
            leftGroups.forget()
            rightGroups.forget()
        }
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        var leftElements = leftScratch
        var rightElements = rightScratch
        leftScratch = []
        rightScratch = []
        try left.fill(&leftElements, at: time, run)
        try right.fill(&rightElements, at: time, run)
        number(leftElements, &leftGroups, &leftGroupOf, run)
        number(rightElements, &rightGroups, &rightGroupOf, run)
        try combine(leftElements, rightElements, into: &elements, run)
        leftElements.removeAll(keepingCapacity: true)
        rightElements.removeAll(keepingCapacity: true)
        leftScratch = leftElements
        rightScratch = rightElements
    }

    /// Appends what becomes of both sides; `leftGroupOf` and `rightGroupOf` say which elements belong together.
    func combine(_ left: Elements, _ right: Elements, into elements: inout Elements, _ run: Evaluation)
        throws(PromQLError)
    {}

    private func number(
        _ elements: Elements, _ remembered: inout Remembered<Int>, _ numbers: inout ContiguousArray<Int>,
        _ run: Evaluation
    ) {
        numbers.removeAll(keepingCapacity: true)
        for (index, element) in elements.enumerated() {
            let hidesName = element.dropsName && run.hidesDroppedNames
            numbers.append(
                remembered.value(at: index, of: element.labels, hidesName: hidesName) {
                    groups.group(of: element.labels, hidesName: hidesName)
                })
        }
        remembered.keep(elements.count)
    }

    /// The labels that decided, for messages.
    final func labels(ofGroup group: Int) -> Labels { groups.labels(of: group) }
}

/// `and`, `or` and `unless`.
final class SetPlan: MatchingPlan {
    private let operation: BinaryOperator
    private var isPresent: ContiguousArray<Bool> = []

    init(_ operation: BinaryOperator, _ left: VectorPlan, _ right: VectorPlan, _ matching: VectorMatching) {
        self.operation = operation
        let keepsRight = operation == .or
        let isWhole = !matching.isOn && matching.labels.isEmpty
        super.init(
            left, right, matching,
            hasSingleName: left.hasSingleName && (!keepsRight || right.hasSingleName && isWhole))
    }

    override func combine(_ left: Elements, _ right: Elements, into elements: inout Elements, _ run: Evaluation)
        throws(PromQLError)
    {
        isPresent.removeAll(keepingCapacity: true)
        isPresent.append(contentsOf: repeatElement(false, count: groups.count))
        if operation == .or {
            elements.append(contentsOf: left)
            for group in leftGroupOf { isPresent[group] = true }
            for (index, element) in right.enumerated() where !isPresent[rightGroupOf[index]] {
                elements.append(element)
            }
            if !hasSingleName, run.hidesDroppedNames { try elements.checkUnique(run) }
            return
        }
        for group in rightGroupOf { isPresent[group] = true }
        for (index, element) in left.enumerated() where isPresent[leftGroupOf[index]] == (operation == .and) {
            elements.append(element)
        }
    }
}

/// Arithmetic and comparisons between two vectors.
final class VectorOperationPlan: MatchingPlan {
    private let operation: BinaryOperator
    private let returnsBool: Bool

    /// The element of the side that has one for each group, by group; -1 if none.
    private var oneSide: ContiguousArray<Int> = []
    private var isMatched: ContiguousArray<Bool> = []
    private var madeLabels = Remembered<Labels>()
    private var madeWith: ContiguousArray<Labels> = []

    init(
        _ operation: BinaryOperator, _ left: VectorPlan, _ right: VectorPlan, _ matching: VectorMatching,
        returnsBool: Bool
    ) {
        self.operation = operation
        self.returnsBool = returnsBool
        let many = matching.cardinality == .oneToMany ? right : left
        let includesName = matching.included.contains(nameLabel)
        super.init(
            left, right, matching,
            hasSingleName: !includesName
                && (many.hasSingleName || matching.cardinality == .oneToOne && (operation.isArithmetic || returnsBool)))
    }

    override func combine(_ left: Elements, _ right: Elements, into elements: inout Elements, _ run: Evaluation)
        throws(PromQLError)
    {
        guard !left.isEmpty, !right.isEmpty else { return }
        let isSwapped = matching.cardinality == .oneToMany
        let many = isSwapped ? right : left
        let one = isSwapped ? left : right
        let manyGroupOf = isSwapped ? rightGroupOf : leftGroupOf
        let oneGroupOf = isSwapped ? leftGroupOf : rightGroupOf
        try indexOneSide(one, oneGroupOf, isSwapped: isSwapped, run)

        let isOneToOne = matching.cardinality == .oneToOne
        let checksResult = !isOneToOne && !(matching.included.isEmpty && many.count > 0 && hasSingleName)
        var results: Set<Identity> = []
        let start = elements.count
        for (index, element) in many.enumerated() {
            let group = manyGroupOf[index]
            let partner = oneSide[group]
            guard partner >= 0 else { continue }
            let other = one[partner]
            // Both are checked even if the comparison then fails, so that an ambiguous rule does not come and go.
            if isOneToOne {
                guard !isMatched[group] else {
                    throw .evaluation(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")
                }
                isMatched[group] = true
            }
            let leftValue = isSwapped ? other.value : element.value
            let rightValue = isSwapped ? element.value : other.value
            var value = operation.apply(leftValue, rightValue)
            var holds = true
            if operation.isComparison {
                holds = operation.holds(leftValue, rightValue)
                if returnsBool { value = holds ? 1 : 0 }
            }
            guard holds || returnsBool || checksResult else { continue }
            let made = result(of: element, at: index, with: other, value: value, run)
            if checksResult {
                guard results.insert(Identity(made.labels, hidesName: made.dropsName)).inserted else {
                    throw .evaluation(
                        "multiple matches for labels: grouping labels must ensure unique matches")
                }
            }
            if holds || returnsBool { elements.append(made) }
        }
        madeLabels.keep(many.count)
        if isOneToOne, !hasSingleName, run.hidesDroppedNames, operation.isArithmetic || returnsBool {
            try Elements(elements[start...]).checkUnique(run)
        }
    }

    private func indexOneSide(
        _ one: Elements, _ groupOf: ContiguousArray<Int>, isSwapped: Bool, _ run: Evaluation
    ) throws(PromQLError) {
        oneSide.removeAll(keepingCapacity: true)
        oneSide.append(contentsOf: repeatElement(-1, count: groups.count))
        isMatched.removeAll(keepingCapacity: true)
        isMatched.append(contentsOf: repeatElement(false, count: groups.count))
        for (index, group) in groupOf.enumerated() {
            guard oneSide[group] < 0 else {
                let both = [one[oneSide[group]], one[index]].map { element in
                    let hidesName = element.dropsName && run.hidesDroppedNames
                    return (hidesName ? element.labels.removing(nameLabel) : element.labels).spelledOut
                }
                throw .evaluation(
                    "found duplicate series for the match group \(labels(ofGroup: group).spelledOut) on the "
                        + "\(isSwapped ? "left" : "right") hand-side of the operation: "
                        + "[\(both.sorted().joined(separator: ", "))];many-to-many matching not allowed: "
                        + "matching labels must be unique on one side")
            }
            oneSide[group] = index
        }
    }

    /// The element with the labels that the matching leaves.
    private func result(of element: Element, at index: Int, with other: Element, value: Double, _ run: Evaluation)
        -> Element
    {
        let losesName = operation.isArithmetic || returnsBool
        let isOneToOne = matching.cardinality == .oneToOne
        let keepsAll = isOneToOne ? !matching.isOn && matching.labels.isEmpty : matching.included.isEmpty
        if keepsAll {
            return Element(labels: element.labels, value: value, dropsName: element.dropsName || losesName)
        }
        let hidesName = element.dropsName && run.hidesDroppedNames || operation.isArithmetic
        let labels: Labels
        if isOneToOne {
            labels = madeLabels.value(at: index, of: element.labels, hidesName: hidesName) {
                projected(element.labels, hidesName: hidesName)
            }
        } else {
            labels = included(in: element, at: index, from: other, hidesName: hidesName)
        }
        return Element(labels: labels, value: value, dropsName: element.dropsName || losesName)
    }

    private func projected(_ labels: Labels, hidesName: Bool) -> Labels {
        Labels(
            sortedUnique: labels.pairs.filter { label in
                !(hidesName && label.name == nameLabel) && matching.labels.contains(label.name) == matching.isOn
            })
    }

    /// The many side's labels, and of the one side those that are asked for.
    private func included(in element: Element, at index: Int, from other: Element, hidesName: Bool) -> Labels {
        while madeWith.count <= index { madeWith.append(.none) }
        let isKnown = madeWith[index].isSame(as: other.labels)
        if !isKnown {
            madeWith[index] = other.labels
            madeLabels.forget(at: index)
        }
        return madeLabels.value(at: index, of: element.labels, hidesName: hidesName) {
            var pairs = element.labels.pairs.filter { label in
                !(hidesName && label.name == nameLabel) && !matching.included.contains(label.name)
            }
            for name in matching.included {
                if let value = other.labels[name] { pairs.append(Label(name, value)) }
            }
            return Labels(pairs)
        }
    }
}

extension Labels {
    /// As error messages show labels: `{a="b", c="d"}`.
    var spelledOut: String {
        "{" + pairs.map { "\(labelName($0.name))=\(quoted($0.value))" }.joined(separator: ", ") + "}"
    }
}
