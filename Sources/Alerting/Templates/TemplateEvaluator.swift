import Metrics
import Runtime

/// Runs one template once. Steps, depth and output are bounded, so that a template can be wrong but not harmful.
struct TemplateEvaluator {
    static let stepLimit = 200_000
    /// Bytes of the output, and of every text on the way to it.
    static let sizeLimit = 1 << 20
    static let depthLimit = 200

    private let definitions: [String: [TemplateNode]]
    private let source: [UInt8]
    private let environment: TemplateEnvironment
    private let data: TemplateData

    private var variables: [(name: String, value: TemplateValue)] = []
    private var output = ""
    private var steps = 0
    private var depth = 0
    /// What an error would be about.
    private var place: any TemplatePlace = TemplatePipeline(position: 0)
    private var template: String?

    private enum Flow { case on, `break`, `continue` }

    init(
        definitions: [String: [TemplateNode]], source: [UInt8], environment: TemplateEnvironment, data: TemplateData
    ) {
        self.definitions = definitions
        self.source = source
        self.environment = environment
        self.data = data
    }

    mutating func expand() throws(TemplateError) -> String {
        let dot = TemplateValue.alert(data)
        variables = [("$", dot)]
        _ = try walk(definitions[""] ?? [], dot)
        return output
    }

    // MARK: Nodes

    private mutating func walk(_ nodes: [TemplateNode], _ dot: TemplateValue) throws(TemplateError) -> Flow {
        try enter()
        defer { depth -= 1 }
        for node in nodes {
            place = node
            let flow = try walk(node, dot)
            guard case .on = flow else { return flow }
        }
        return .on
    }

    private mutating func walk(_ node: TemplateNode, _ dot: TemplateValue) throws(TemplateError) -> Flow {
        switch node.kind {
        case .text(let text): try write(text)
        case .action(let pipeline):
            let value = try evaluate(pipeline, dot)
            guard pipeline.variables.isEmpty else { return .on }
            place = node
            if case .nothing = value { try write("<no value>") } else { try write(GoPrinter.print([value])) }
        case .if(let branch):
            return try scoped { evaluator throws(TemplateError) in
                let isTrue = try evaluator.evaluate(branch.pipeline, dot).isTrue
                return try evaluator.walk(isTrue ? branch.body : branch.otherwise ?? [], dot)
            }
        case .with(let branch):
            return try scoped { evaluator throws(TemplateError) in
                let value = try evaluator.evaluate(branch.pipeline, dot)
                return try value.isTrue
                    ? evaluator.walk(branch.body, value) : evaluator.walk(branch.otherwise ?? [], dot)
            }
        case .range(let branch):
            return try scoped { evaluator throws(TemplateError) in
                try evaluator.walkRange(branch, dot)
            }
        case .call(let name, let pipeline): try call(name, pipeline, dot)
        case .break: return .break
        case .continue: return .continue
        }
        return .on
    }

    /// Runs `body` and forgets the variables it declared.
    private mutating func scoped(
        _ body: (inout TemplateEvaluator) throws(TemplateError) -> Flow
    ) throws(TemplateError) -> Flow {
        let declared = variables.count
        defer { variables.removeLast(variables.count - declared) }
        return try body(&self)
    }

    private mutating func walkRange(_ branch: TemplateBranch, _ dot: TemplateValue) throws(TemplateError) -> Flow {
        let value = try evaluate(branch.pipeline, dot)
        let elements = try elements(of: value)
        let declared = variables.count
        for (key, element) in elements {
            assign(branch.pipeline, key, element)
            let flow = try walk(branch.body, element)
            variables.removeLast(variables.count - declared)
            if case .break = flow { return .on }
        }
        return elements.isEmpty ? try walk(branch.otherwise ?? [], dot) : .on
    }

    private func elements(of value: TemplateValue) throws(TemplateError) -> [(TemplateValue, TemplateValue)] {
        switch value {
        case .nothing: return []
        case .vector(let samples): return samples.enumerated().map { (.int($0), .sample($1)) }
        case .map(let labels): return labels.pairs.map { (.string($0.name), .string($0.value)) }
        case .arguments(let values):
            return TemplateValue.argumentNames(values).map { (.string($0), TemplateValue.argument($0, of: values)) }
        case .int(let count):
            guard count <= Self.stepLimit else { throw fail("exceeded \(Self.stepLimit) steps") }
            return (0..<max(0, count)).map { (.int($0), .int($0)) }
        default: throw fail("range can't iterate over \(GoPrinter.print([value]))")
        }
    }

    /// One variable of a range is the element, two are the key and the element.
    private mutating func assign(_ pipeline: TemplatePipeline, _ key: TemplateValue, _ element: TemplateValue) {
        let values = pipeline.variables.count == 2 ? [key, element] : [element]
        for (name, value) in zip(pipeline.variables, values) { set(name, value) }
    }

    private mutating func call(
        _ name: String, _ pipeline: TemplatePipeline?, _ dot: TemplateValue
    ) throws(TemplateError) {
        guard let body = definitions[name] else { throw fail("template \(GoQuote.quoted(name)) not defined") }
        let argument = if let pipeline { try evaluate(pipeline, dot) } else { TemplateValue.nothing }
        let outside = (variables, template)
        (variables, template) = ([("$", argument)], name)
        _ = try walk(body, argument)
        (variables, template) = outside
    }

    // MARK: Pipelines

    private mutating func evaluate(
        _ pipeline: TemplatePipeline, _ dot: TemplateValue
    ) throws(TemplateError) -> TemplateValue {
        try enter()
        defer { depth -= 1 }
        place = pipeline
        var value: TemplateValue?
        for command in pipeline.commands {
            value = try evaluate(command, dot, final: value)
        }
        let result = value ?? .nothing
        for name in pipeline.variables {
            if pipeline.isAssignment { set(name, result) } else { variables.append((name, result)) }
        }
        return result
    }

    /// `final` is what the command before it in the pipeline yielded: its last argument.
    private mutating func evaluate(
        _ command: TemplateCommand, _ dot: TemplateValue, final: TemplateValue?
    ) throws(TemplateError) -> TemplateValue {
        let word = command.words[0]
        place = word
        switch word.kind {
        case .function(let name):
            return try call(name, Array(command.words.dropFirst()), dot, final: final, at: command)
        case .field(let names):
            let receiver = try fields(names.dropLast(), of: dot)
            return try lastField(names, of: receiver, command, final)
        case .variable(let name, let names) where !names.isEmpty:
            let receiver = try fields(names.dropLast(), of: variable(name))
            return try lastField(names, of: receiver, command, final)
        case .chain(let operand, let names):
            let receiver = try fields(names.dropLast(), of: try evaluate(operand, dot))
            return try lastField(names, of: receiver, command, final)
        case .nil: throw fail("nil is not a command")
        default:
            guard command.words.count == 1, final == nil else {
                throw fail("can't give argument to non-function \(word.source)")
            }
            return try evaluate(word, dot)
        }
    }

    private func fields(_ names: some Sequence<String>, of value: TemplateValue) throws(TemplateError) -> TemplateValue
    {
        var value = value
        for name in names {
            guard let field = value.field(name) else {
                throw fail("can't evaluate field \(name) in type \(value.type)")
            }
            value = field
        }
        return value
    }

    private func lastField(
        _ names: [String], of receiver: TemplateValue, _ command: TemplateCommand, _ final: TemplateValue?
    ) throws(TemplateError) -> TemplateValue {
        let value = try fields(names.suffix(1), of: receiver)
        guard command.words.count == 1, final == nil else {
            throw fail("\(names.last ?? "") is not a method but has arguments")
        }
        return value
    }

    private mutating func evaluate(
        _ operand: TemplateOperand, _ dot: TemplateValue
    ) throws(TemplateError) -> TemplateValue {
        place = operand
        switch operand.kind {
        case .dot: return dot
        case .nil: return .nothing
        case .bool(let value): return .bool(value)
        case .number(.int(let value)): return .int(value)
        case .number(.float(let value)): return .float(value)
        case .string(let text): return .string(text)
        case .field(let names): return try fields(names, of: dot)
        case .variable(let name, let names): return try fields(names, of: variable(name))
        case .function(let name): return try call(name, [], dot, final: nil, at: operand)
        case .pipeline(let pipeline): return try evaluate(pipeline, dot)
        case .chain(let operand, let names): return try fields(names, of: try evaluate(operand, dot))
        }
    }

    // MARK: Functions

    private mutating func call(
        _ name: String, _ operands: [TemplateOperand], _ dot: TemplateValue, final: TemplateValue?,
        at command: any TemplatePlace
    ) throws(TemplateError) -> TemplateValue {
        guard let function = TemplateFunction.named[name] else {
            throw fail("\(GoQuote.quoted(name)) is not a defined function")
        }
        let count = operands.count + (final == nil ? 0 : 1)
        try check(count, function)
        if let stop = function.shortCircuit { return try decide(stop, operands, dot, final) }
        var arguments: [TemplateValue] = []
        for (index, operand) in operands.enumerated() {
            arguments.append(try argument(operand, dot, for: function.parameter(index)))
        }
        if let final { arguments.append(try accept(final, as: function.parameter(count - 1))) }
        do throws(TemplateFailure) {
            let result = try function.body(environment, data, arguments)
            if case .string(let text) = result { try spendText(text) }
            return result
        } catch {
            place = command
            throw fail("error calling \(name): \(error.message)")
        }
    }

    private func check(_ count: Int, _ function: TemplateFunction) throws(TemplateError) {
        let wanted = function.parameters.count
        if function.rest != nil {
            guard count >= wanted else {
                throw fail("wrong number of args for \(function.name): want at least \(wanted) got \(count)")
            }
        } else if count != wanted {
            throw fail("wrong number of args for \(function.name): want \(wanted) got \(count)")
        }
    }

    /// `and` and `or`: what stands behind the deciding argument is not evaluated.
    private mutating func decide(
        _ stop: Bool, _ operands: [TemplateOperand], _ dot: TemplateValue, _ final: TemplateValue?
    ) throws(TemplateError) -> TemplateValue {
        var value = TemplateValue.nothing
        for operand in operands {
            value = try evaluate(operand, dot)
            if value.isTrue == stop { return value }
        }
        return final ?? value
    }

    private mutating func argument(
        _ operand: TemplateOperand, _ dot: TemplateValue, for parameter: TemplateParameter
    ) throws(TemplateError) -> TemplateValue {
        place = operand
        switch (operand.kind, parameter) {
        case (.nil, .string): throw fail("cannot assign nil to string")
        case (.bool, .string), (.number, .string): throw fail("expected string; found \(operand.source)")
        case (.bool, .vector), (.number, .vector), (.string, .vector), (.bool, .sample), (.number, .sample),
            (.string, .sample):
            throw fail("can't handle \(operand.source) for arg of type \(parameter.type)")
        default: return try accept(try evaluate(operand, dot), as: parameter)
        }
    }

    private func accept(_ value: TemplateValue, as parameter: TemplateParameter) throws(TemplateError) -> TemplateValue
    {
        switch (parameter, value) {
        case (.any, _), (.string, .string), (.vector, .vector), (.sample, .sample), (.sample, .nothing): return value
        case (.vector, .nothing): return .vector([])
        case (.string, .nothing): throw fail("invalid value; expected string")
        default: throw fail("wrong type for value; expected \(parameter.type); got \(value.type)")
        }
    }

    // MARK: Variables

    private func variable(_ name: String) throws(TemplateError) -> TemplateValue {
        guard let found = variables.last(where: { $0.name == name }) else { throw fail("undefined variable: \(name)") }
        return found.value
    }

    private mutating func set(_ name: String, _ value: TemplateValue) {
        guard let index = variables.lastIndex(where: { $0.name == name }) else { return }
        variables[index].value = value
    }

    // MARK: Limits

    /// Begins a body or a pipeline, each of which is a step: an empty body in a long loop costs time, too.
    private mutating func enter() throws(TemplateError) {
        steps += 1
        guard steps <= Self.stepLimit else { throw fail("exceeded \(Self.stepLimit) steps") }
        depth += 1
        guard depth <= Self.depthLimit else {
            depth -= 1
            throw fail("exceeded maximum template depth (\(Self.depthLimit))")
        }
    }

    /// A text costs a step for each 64 bytes, and may not be longer than the output could be.
    private mutating func spendText(_ text: String) throws(TemplateFailure) {
        steps += text.utf8.count / 64
        guard text.utf8.count <= Self.sizeLimit, steps <= Self.stepLimit else {
            throw TemplateFailure("text of \(text.utf8.count) bytes exceeds the limits of a template")
        }
    }

    private mutating func write(_ text: String) throws(TemplateError) {
        output += text
        guard output.utf8.count <= Self.sizeLimit else { throw fail("exceeded \(Self.sizeLimit) bytes of output") }
    }

    private func fail(_ what: String) -> TemplateError {
        .execution(
            template: template, line: TemplateSource.line(of: place.position, in: source),
            column: TemplateSource.column(of: place.position, in: source), source: place.source, what)
    }
}
