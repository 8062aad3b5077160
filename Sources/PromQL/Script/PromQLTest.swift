import Metrics

/// Runs test scripts against the engine.
///
/// Every instant query is asked three ways: as it stands, as the middle of a range query, and, where nothing in it
/// depends on the time of evaluation, with `@` on its selectors at other times. A case fails if one way does.
public struct PromQLTest: Sendable {
    public struct Case: Sendable {
        public enum Outcome: Sendable, Equatable {
            case passed
            case failed(String)

            /// Not run, because it needs what this engine leaves out.
            case skipped(String)
        }

        /// Counted from 1.
        public let line: Int
        public let expression: String
        public let outcome: Outcome
    }

    private let engine: Engine

    /// - Parameter delaysNameRemoval: the switch of that name, which a few scripts suppose to be on.
    public init(delaysNameRemoval: Bool = false) {
        var engine = Engine()
        engine.delaysNameRemoval = delaysNameRemoval
        self.engine = engine
    }

    /// Every case of the script in its order. Throws if the script itself cannot be read.
    public func run(_ script: String) throws(ScriptProblem) -> [Case] {
        var reader = ScriptReader(script)
        var store = ScriptStore()
        var cases: [Case] = []
        while let command = try reader.command() {
            switch command {
            case .clear: store = ScriptStore()
            case .load(let series, let step, let makesHistograms):
                for one in series { store.load(one, step: step, makesHistograms: makesHistograms) }
            case .evaluate(let test):
                cases.append(Case(line: test.line, expression: test.expression, outcome: outcome(of: test, store)))
            }
        }
        return cases
    }

    private func outcome(of test: ScriptCase, _ store: ScriptStore) -> Case.Outcome {
        if test.expectsHistograms { return .skipped("expects native histograms") }
        let query: Query
        do throws(PromQLError) {
            query = try Query(test.expression)
        } catch {
            if case .syntax(let problem) = error, problem.isUnsupported { return .skipped(problem.message) }
            return judge(error, test)
        }
        if let obstacle = store.obstacle(to: query) { return .skipped(obstacle) }
        do throws(PromQLError) {
            let answer = try ask(query, test.times, store.source)
            if test.failure != nil { return .failed("expected an error, got \(answer.value)") }
            if let difference = test.difference(from: answer) { return .failed(difference) }
            guard case .instant(let time) = test.times else { return .passed }
            if let difference = try rangeDifference(query, test, at: time, store.source) { return .failed(difference) }
            if let difference = try pinnedDifference(query, test, at: time, store.source) { return .failed(difference) }
            return .passed
        } catch {
            return judge(error, test)
        }
    }

    private func judge(_ error: PromQLError, _ test: ScriptCase) -> Case.Outcome {
        guard let expected = test.failure else { return .failed("\(error)") }
        if expected.accepts("\(error)") { return .passed }
        return .failed("expected the error \(expected.description), got \(error)")
    }

    private func ask(_ query: Query, _ times: ScriptCase.Times, _ source: MemorySource) throws(PromQLError) -> Answer {
        switch times {
        case .instant(let time): try engine.instant(query, at: time, source: source)
        case .range(let from, let to, let step): try engine.range(query, from: from, to: to, step: step, source: source)
        }
    }

    /// A range query's middle point has to be the instant query's value.
    private func rangeDifference(_ query: Query, _ test: ScriptCase, at time: Int64, _ source: MemorySource)
        throws(PromQLError) -> String?
    {
        let type = query.expression.type
        // Range queries sort by labels, so an order that is asked for cannot be seen.
        guard !test.isOrdered, type == .vector || type == .scalar else { return nil }
        let answer = try engine.range(
            query, from: time - 60_000, to: time + 60_000, step: 60_000, source: source)
        guard case .matrix(let series) = answer.value else { return "range query gave \(answer.value)" }
        let samples = series.compactMap { one in
            one.points.first { $0.time == time }.map { Sample(labels: one.labels, value: $0.value) }
        }
        let value: Value = type == .scalar ? .scalar(samples.first?.value ?? 0) : .vector(samples)
        return test.difference(from: value).map { "as a range query: \($0)" }
    }

    /// With every selector pinned to the time of the test, other times have to give the same.
    private func pinnedDifference(_ query: Query, _ test: ScriptCase, at time: Int64, _ source: MemorySource)
        throws(PromQLError) -> String?
    {
        guard !test.isOrdered, let pinned = query.expression.pinned(at: time) else { return nil }
        let text = pinned.description
        let pinnedQuery = try Query(text)
        for other in time == 0 ? [-1000, 0, 1000] : [-10 * time, 0, time / 5, time, 10 * time] {
            let answer = try engine.instant(pinnedQuery, at: other, source: source)
            if let difference = test.difference(from: answer.value) { return "\(text) at \(other) ms: \(difference)" }
        }
        return nil
    }
}

extension Expression {
    /// The same with `@` on every selector and subquery that has none, except inside subqueries; nil if a function
    /// depends on the time of evaluation.
    fileprivate func pinned(at time: Int64) -> Expression? {
        switch self {
        case .number, .string: return self
        case .vector(var node):
            node.shift.anchor = node.shift.anchor ?? .time(time)
            return .vector(node)
        case .matrix(var node):
            node.vector.shift.anchor = node.vector.shift.anchor ?? .time(time)
            return .matrix(node)
        case .subquery(var node):
            guard !node.inner.dependsOnTime else { return nil }
            node.shift.anchor = node.shift.anchor ?? .time(time)
            return .subquery(node)
        case .call(let node):
            guard !node.dependsOnTime else { return nil }
            let arguments = node.arguments.compactMap { $0.pinned(at: time) }
            guard arguments.count == node.arguments.count else { return nil }
            return .call(Call(function: node.function, arguments: arguments, range: node.range))
        case .aggregation(let node):
            guard let inner = node.inner.pinned(at: time) else { return nil }
            let parameter = node.parameter?.pinned(at: time)
            guard (parameter == nil) == (node.parameter == nil) else { return nil }
            return .aggregation(
                Aggregation(
                    aggregator: node.aggregator, inner: inner, parameter: parameter, grouping: node.grouping,
                    range: node.range))
        case .binary(let node):
            guard let left = node.left.pinned(at: time), let right = node.right.pinned(at: time) else { return nil }
            return .binary(
                BinaryOperation(
                    operation: node.operation, left: left, right: right, returnsBool: node.returnsBool,
                    matching: node.matching))
        case .sign(let node):
            return node.operand.pinned(at: time).map {
                .sign(Sign(isMinus: node.isMinus, operand: $0, range: node.range))
            }
        case .parentheses(let node):
            return node.inner.pinned(at: time).map { .parentheses(Parentheses(inner: $0, range: node.range)) }
        }
    }

    private var dependsOnTime: Bool {
        if case .call(let node) = self, node.dependsOnTime { return true }
        return children.contains(where: \.dependsOnTime)
    }
}

extension Call {
    fileprivate var dependsOnTime: Bool {
        switch function.work {
        case .time, .timestamp, .date: true
        case .window(let function): function.usesEvaluationTime
        default: false
        }
    }
}
