/// A number that is written in the query.
final class NumberPlan: ScalarPlan {
    private let number: Double

    init(_ number: Double) {
        self.number = number
        super.init(isConstant: true)
    }

    override func value(at time: Int64, _ run: Evaluation) throws(PromQLError) -> Double { number }
}

/// `time()`, in seconds.
final class TimePlan: ScalarPlan {
    init() { super.init(isConstant: false) }

    override func value(at time: Int64, _ run: Evaluation) throws(PromQLError) -> Double { Double(time) / 1000 }
}

/// `scalar()`: the only element's value, or NaN.
final class OnlyElementPlan: ScalarPlan {
    private let vector: VectorPlan
    private var scratch: Elements = []

    init(_ vector: VectorPlan) {
        self.vector = vector
        super.init(isConstant: vector.isConstant)
    }

    override func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try vector.prepare(schedule, run)
    }

    override func value(at time: Int64, _ run: Evaluation) throws(PromQLError) -> Double {
        var elements = scratch
        scratch = []
        try vector.fill(&elements, at: time, run)
        let value = elements.count == 1 ? elements[0].value : .nan
        elements.removeAll(keepingCapacity: true)
        scratch = elements
        return value
    }
}

/// An operator between two numbers; a comparison answers 0 or 1.
final class ScalarOperationPlan: ScalarPlan {
    private let operation: BinaryOperator
    private let left: ScalarPlan
    private let right: ScalarPlan

    init(_ operation: BinaryOperator, _ left: ScalarPlan, _ right: ScalarPlan) {
        self.operation = operation
        self.left = left
        self.right = right
        super.init(isConstant: left.isConstant && right.isConstant)
    }

    override func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try left.prepare(schedule, run)
        try right.prepare(schedule, run)
    }

    override func value(at time: Int64, _ run: Evaluation) throws(PromQLError) -> Double {
        let first = try left.value(at: time, run)
        let second = try right.value(at: time, run)
        return operation.isComparison ? (operation.holds(first, second) ? 1 : 0) : operation.apply(first, second)
    }
}

/// A number with its sign turned.
final class NegationPlan: ScalarPlan {
    private let operand: ScalarPlan

    init(_ operand: ScalarPlan) {
        self.operand = operand
        super.init(isConstant: operand.isConstant)
    }

    override func prepare(_ schedule: Schedule, _ run: Evaluation) throws(PromQLError) {
        try operand.prepare(schedule, run)
    }

    override func value(at time: Int64, _ run: Evaluation) throws(PromQLError) -> Double {
        -(try operand.value(at: time, run))
    }
}

extension BinaryOperator {
    @inline(__always)
    func apply(_ left: Double, _ right: Double) -> Double {
        switch self {
        case .add: left + right
        case .subtract: left - right
        case .multiply: left * right
        case .divide: left / right
        case .modulo: Mathematics.remainder(left, right)
        case .power: Mathematics.power(left, right)
        case .arcTangent: Mathematics.arcTangent(left, right)
        // A comparison that holds keeps the left value.
        case .equal, .notEqual, .less, .lessOrEqual, .greater, .greaterOrEqual, .and, .or, .unless: left
        }
    }

    @inline(__always)
    func holds(_ left: Double, _ right: Double) -> Bool {
        switch self {
        case .equal: left == right
        case .notEqual: left != right
        case .less: left < right
        case .lessOrEqual: left <= right
        case .greater: left > right
        case .greaterOrEqual: left >= right
        default: true
        }
    }
}
