import Metrics
import Runtime

/// Makes plans of expressions.
struct Planner {
    let engine: Engine

    func vector(_ expression: Expression) throws(PromQLError) -> VectorPlan {
        switch expression {
        case .parentheses(let node): return try vector(node.inner)
        case .vector(let selector):
            return InstantSelectorPlan(selector, lookback: engine.lookback.milliseconds)
        case .aggregation(let node): return try aggregation(node)
        case .binary(let node): return try operation(node)
        case .sign(let node):
            let operand = try vector(node.operand)
            return node.isMinus ? VectorNegationPlan(operand) : operand
        case .call(let node): return try call(node)
        case .number, .string, .matrix, .subquery: throw mismatch(expression, .vector)
        }
    }

    func scalar(_ expression: Expression) throws(PromQLError) -> ScalarPlan {
        switch expression {
        case .parentheses(let node): return try scalar(node.inner)
        case .number(let node): return NumberPlan(node.value)
        case .sign(let node):
            let operand = try scalar(node.operand)
            return node.isMinus ? NegationPlan(operand) : operand
        case .binary(let node):
            return ScalarOperationPlan(node.operation, try scalar(node.left), try scalar(node.right))
        case .call(let node):
            switch node.function.work {
            case .time: return TimePlan()
            case .pi: return NumberPlan(.pi)
            case .scalar: return OnlyElementPlan(try vector(node.arguments[0]))
            default: throw mismatch(expression, .scalar)
            }
        case .string, .vector, .matrix, .subquery, .aggregation: throw mismatch(expression, .scalar)
        }
    }

    func matrix(_ expression: Expression) throws(PromQLError) -> MatrixPlan {
        switch expression {
        case .parentheses(let node): return try matrix(node.inner)
        case .matrix(let selector): return MatrixSelectorPlan(selector)
        case .subquery(let node):
            return SubqueryPlan(
                node, inner: try vector(node.inner), defaultStep: engine.defaultSubqueryStep.milliseconds)
        default: throw mismatch(expression, .matrix)
        }
    }

    func string(_ expression: Expression) throws(PromQLError) -> String {
        guard case .string(let node) = expression.unwrapped else { throw mismatch(expression, .string) }
        guard node.isUTF8 else { throw .evaluation("invalid UTF-8 in \(quoted(node.value))") }
        return node.value
    }

    private func aggregation(_ node: Aggregation) throws(PromQLError) -> VectorPlan {
        let inner = try vector(node.inner)
        switch node.aggregator {
        case .countValues:
            return CountValuesPlan(inner, label: try node.parameter.map(string) ?? "", grouping: node.grouping)
        case .topk, .bottomk:
            return BestPlan(
                inner, wantsGreatest: node.aggregator == .topk, parameter: try node.parameter.map(scalar) ?? TimePlan(),
                grouping: node.grouping)
        default:
            return AggregationPlan(
                node.aggregator, inner, parameter: try node.parameter.map(scalar),
                parameterRange: node.parameter?.range ?? node.range, grouping: node.grouping)
        }
    }

    private func operation(_ node: BinaryOperation) throws(PromQLError) -> VectorPlan {
        guard let matching = node.matching else {
            let scalarIsLeft = node.left.type == .scalar
            return VectorScalarPlan(
                node.operation, try vector(scalarIsLeft ? node.right : node.left),
                try scalar(scalarIsLeft ? node.left : node.right), scalarIsLeft: scalarIsLeft,
                returnsBool: node.returnsBool)
        }
        let left = try vector(node.left)
        let right = try vector(node.right)
        if node.operation.isSet { return SetPlan(node.operation, left, right, matching) }
        return VectorOperationPlan(node.operation, left, right, matching, returnsBool: node.returnsBool)
    }

    private func call(_ node: Call) throws(PromQLError) -> VectorPlan {
        let arguments = node.arguments
        switch node.function.work {
        case .number(let function): return NumberFunctionPlan(try vector(arguments[0]), function)
        case .numberWith(let function):
            var scalars: [ScalarPlan] = []
            for argument in arguments.dropFirst() { scalars.append(try scalar(argument)) }
            return NumberWithScalarsPlan(try vector(arguments[0]), scalars, function)
        case .date(let part):
            let moment = try arguments.first.map(vector) ?? ScalarVectorPlan(TimePlan())
            return DatePlan(moment, isConstant: moment.isConstant, part)
        case .window(let function):
            let isMatrix: (Expression) -> Bool = { $0.type == .matrix }
            guard let samples = arguments.first(where: isMatrix) else { break }
            var scalars: [ScalarPlan] = []
            for argument in arguments where !isMatrix(argument) { scalars.append(try scalar(argument)) }
            return WindowPlan(
                function, try matrix(samples), scalars: scalars,
                argumentRange: arguments[0].range)
        case .absent:
            return AbsentPlan(try vector(arguments[0]), labels: absentLabels(arguments[0]))
        case .absentOverTime:
            return AbsentWindowPlan(try matrix(arguments[0]), labels: absentLabels(arguments[0]))
        case .histogramQuantile:
            return HistogramPlan(
                .quantile(try scalar(arguments[0])), try vector(arguments[1]), quantileRange: arguments[0].range,
                vectorRange: arguments[1].range)
        case .histogramFraction:
            return HistogramPlan(
                .fraction(try scalar(arguments[0]), try scalar(arguments[1])), try vector(arguments[2]),
                quantileRange: arguments[0].range, vectorRange: arguments[2].range)
        case .labelJoin:
            var sources: [String] = []
            for argument in arguments.dropFirst(3) { sources.append(try string(argument)) }
            return try LabelPlan(
                try vector(arguments[0]), destination: try string(arguments[1]),
                .join(sources, separator: try string(arguments[2])))
        case .labelReplace: return try labelReplace(arguments)
        case .timestamp:
            if case .vector(let selector) = arguments[0].unwrapped {
                return TimestampPlan(InstantSelectorPlan(selector, lookback: engine.lookback.milliseconds))
            }
            return EvaluationTimePlan(try vector(arguments[0]))
        case .vector: return ScalarVectorPlan(try scalar(arguments[0]))
        case .sort(let descending):
            return SortPlan(try vector(arguments[0]), descending: descending, range: node.range)
        case .pi, .scalar, .time: break
        }
        throw mismatch(.call(node), .vector)
    }

    private func labelReplace(_ arguments: [Expression]) throws(PromQLError) -> VectorPlan {
        let text = try string(arguments[4])
        let pattern: Pattern
        do throws(PatternError) {
            pattern = try Pattern(text, dotMatchesNewline: true)
        } catch {
            throw .evaluation("invalid regular expression in label_replace(): \(text): \(error)")
        }
        return try LabelPlan(
            try vector(arguments[0]), destination: try string(arguments[1]),
            .replace(pattern, source: try string(arguments[3]), template: try string(arguments[2])))
    }

    private func absentLabels(_ expression: Expression) -> Labels {
        switch expression.unwrapped {
        case .vector(let selector): selector.absentLabels
        case .matrix(let selector): selector.vector.absentLabels
        default: .none
        }
    }

    /// The parser has checked types, so this tells of a fault in the engine, not in the query.
    private func mismatch(_ expression: Expression, _ expected: ValueType) -> PromQLError {
        .evaluation("cannot evaluate \(quoted(expression.description)) as \(expected.documented)")
    }
}
