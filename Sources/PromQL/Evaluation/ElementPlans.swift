import Metrics

/// Something done to each element of a vector on its own.
class ElementwisePlan: VectorPlan {
    let vector: VectorPlan
    private let dropsName: Bool

    init(_ vector: VectorPlan, isConstant: Bool, dropsName: Bool) {
        self.vector = vector
        self.dropsName = dropsName
        super.init(isConstant: isConstant, hasSingleName: vector.hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
    }

    /// Applies `change` to the elements in place; nil takes one out.
    final func change(
        _ elements: inout Elements, at time: Int64, _ run: Evaluation, _ change: (Double) -> Double?
    ) throws(PromQLError) {
        let start = elements.count
        try vector.fill(&elements, at: time, run)
        var kept = start
        for index in start..<elements.count {
            guard let value = change(elements[index].value) else { continue }
            if kept != index { elements.swapAt(kept, index) }
            elements[kept].value = value
            if dropsName { elements[kept].dropsName = true }
            kept += 1
        }
        elements.removeSubrange(kept...)
        if dropsName, !hasSingleName, run.hidesDroppedNames { try elements.checkUnique(run) }
    }
}

/// A function of the number alone, such as `abs`.
final class NumberFunctionPlan: ElementwisePlan {
    private let function: @Sendable (Double) -> Double

    init(_ vector: VectorPlan, _ function: @escaping @Sendable (Double) -> Double) {
        self.function = function
        super.init(vector, isConstant: vector.isConstant, dropsName: true)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        try change(&elements, at: time, run) { function($0) }
    }
}

/// A function of the number and further scalars, such as `clamp`.
final class NumberWithScalarsPlan: ElementwisePlan {
    private let scalars: [ScalarPlan]
    private let function: @Sendable (Double, [Double]) -> Double?

    init(_ vector: VectorPlan, _ scalars: [ScalarPlan], _ function: @escaping @Sendable (Double, [Double]) -> Double?) {
        self.scalars = scalars
        self.function = function
        super.init(vector, isConstant: vector.isConstant && scalars.allSatisfy(\.isConstant), dropsName: true)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try super.prepareParts(schedule, run)
        for scalar in scalars { try scalar.prepare(schedule, run) }
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        var arguments: [Double] = []
        for scalar in scalars { arguments.append(try scalar.value(at: time, run)) }
        try change(&elements, at: time, run) { function($0, arguments) }
    }
}

/// `timestamp` of anything but a selector: the time of evaluation.
final class EvaluationTimePlan: ElementwisePlan {
    init(_ vector: VectorPlan) { super.init(vector, isConstant: false, dropsName: true) }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        try change(&elements, at: time, run) { _ in Double(time) / 1000 }
    }
}

/// A vector with its sign turned.
final class VectorNegationPlan: ElementwisePlan {
    init(_ vector: VectorPlan) { super.init(vector, isConstant: vector.isConstant, dropsName: true) }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        try change(&elements, at: time, run) { -$0 }
    }
}

/// An operator between a vector and a number. A comparison without `bool` keeps the vector's value.
final class VectorScalarPlan: ElementwisePlan {
    private let operation: BinaryOperator
    private let scalar: ScalarPlan
    private let scalarIsLeft: Bool
    private let returnsBool: Bool

    init(
        _ operation: BinaryOperator, _ vector: VectorPlan, _ scalar: ScalarPlan, scalarIsLeft: Bool, returnsBool: Bool
    ) {
        self.operation = operation
        self.scalar = scalar
        self.scalarIsLeft = scalarIsLeft
        self.returnsBool = returnsBool
        super.init(
            vector, isConstant: vector.isConstant && scalar.isConstant,
            dropsName: operation.isArithmetic || returnsBool)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try super.prepareParts(schedule, run)
        try scalar.prepare(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        let number = try scalar.value(at: time, run)
        let operation = operation
        let scalarIsLeft = scalarIsLeft
        if operation.isArithmetic {
            try change(&elements, at: time, run) {
                scalarIsLeft ? operation.apply(number, $0) : operation.apply($0, number)
            }
        } else {
            let returnsBool = returnsBool
            try change(&elements, at: time, run) { value in
                let holds = scalarIsLeft ? operation.holds(number, value) : operation.holds(value, number)
                return returnsBool ? (holds ? 1 : 0) : holds ? value : nil
            }
        }
    }
}

/// A part of the date of each element, or of the time of evaluation.
final class DatePlan: ElementwisePlan {
    private let part: @Sendable (CivilTime) -> Double

    init(_ vector: VectorPlan, isConstant: Bool, _ part: @escaping @Sendable (CivilTime) -> Double) {
        self.part = part
        super.init(vector, isConstant: isConstant, dropsName: true)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        try change(&elements, at: time, run) { seconds in CivilTime(seconds: seconds).map(part) ?? .nan }
    }
}

/// `vector()`: one element without labels.
final class ScalarVectorPlan: VectorPlan {
    private let scalar: ScalarPlan

    init(_ scalar: ScalarPlan) {
        self.scalar = scalar
        super.init(isConstant: scalar.isConstant, hasSingleName: true)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try scalar.prepare(schedule, run)
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        elements.append(Element(labels: .none, value: try scalar.value(at: time, run)))
    }
}

/// `sort` and `sort_desc`; NaN comes last either way.
final class SortPlan: VectorPlan {
    private let vector: VectorPlan
    private let descending: Bool
    private let range: Range<Int>

    init(_ vector: VectorPlan, descending: Bool, range: Range<Int>) {
        self.vector = vector
        self.descending = descending
        self.range = range
        super.init(isConstant: vector.isConstant, hasSingleName: vector.hasSingleName)
    }

    override func prepareParts(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
        if run.isRange {
            run.warn("sort is ineffective for range queries since results are always ordered by labels", at: range)
        }
    }

    override func compute(_ elements: inout Elements, at time: Int64, _ run: Evaluation) throws(PromQLError) {
        let start = elements.count
        try vector.fill(&elements, at: time, run)
        elements[start...].sort { left, right in
            if left.value.isNaN || right.value.isNaN { return !left.value.isNaN && right.value.isNaN }
            return descending ? left.value > right.value : left.value < right.value
        }
    }
}
