import Metrics
import Runtime

/// The functions that Go's `text/template` brings along.
extension TemplateFunction {
    static let builtins: [TemplateFunction] = [
        TemplateFunction("and", [.any], rest: .any, shortCircuit: false) { _, _, arguments in
            arguments.first { !$0.isTrue } ?? arguments[arguments.count - 1]
        },
        TemplateFunction("or", [.any], rest: .any, shortCircuit: true) { _, _, arguments in
            arguments.first { $0.isTrue } ?? arguments[arguments.count - 1]
        },
        TemplateFunction("not") { .bool(!$0.isTrue) },
        TemplateFunction("len") { value throws(TemplateFailure) in .int(try length(value)) },
        TemplateFunction("index", [.any], rest: .any) { _, _, arguments throws(TemplateFailure) in
            var value = arguments[0]
            for index in arguments.dropFirst() { value = try element(of: value, at: index) }
            return value
        },
        TemplateFunction("slice", [.any], rest: .any) { _, _, arguments throws(TemplateFailure) in
            try slice(arguments[0], Array(arguments.dropFirst()))
        },
        TemplateFunction("call", [.any], rest: .any) { _, _, arguments throws(TemplateFailure) in
            throw TemplateFailure("non-function of type \(arguments[0].type)")
        },
        TemplateFunction("print", [], rest: .any) { _, _, arguments in .string(GoPrinter.print(arguments)) },
        TemplateFunction("println", [], rest: .any) { _, _, arguments in .string(GoPrinter.printLine(arguments)) },
        TemplateFunction("printf", [.string], rest: .any) { _, _, arguments in
            guard case .string(let format) = arguments[0] else { return .nothing }
            return .string(GoPrinter.printf(format, Array(arguments.dropFirst())))
        },
        TemplateFunction("html", [], rest: .any) { _, _, arguments in .string(Escape.html(joined(arguments))) },
        TemplateFunction("js", [], rest: .any) { _, _, arguments in .string(Escape.javaScript(joined(arguments))) },
        TemplateFunction("urlquery", [], rest: .any) { _, _, arguments in .string(Escape.query(joined(arguments))) },
    ]

    /// Arguments as one text; what is absent reads as it does when a template prints it.
    private static func joined(_ arguments: [TemplateValue]) -> String {
        GoPrinter.print(
            arguments.map { value in
                if case .nothing = value { return .string("<no value>") }
                return value
            })
    }

    private static func length(_ value: TemplateValue) throws(TemplateFailure) -> Int {
        switch value {
        case .string(let text), .html(let text): return text.utf8.count
        case .map(let labels): return labels.pairs.count
        case .arguments(let values): return values.count
        case .vector(let samples): return samples.count
        case .nothing: throw TemplateFailure("len of nil pointer")
        default: throw TemplateFailure("len of type \(value.type)")
        }
    }

    private static func element(
        of value: TemplateValue, at index: TemplateValue
    ) throws(TemplateFailure) -> TemplateValue {
        switch value {
        case .map(let labels):
            guard case .string(let name) = index else { throw wrongIndex(index, for: value) }
            return .string(labels[name] ?? "")
        case .arguments(let values):
            guard case .string(let name) = index else { throw wrongIndex(index, for: value) }
            return TemplateValue.argument(name, of: values)
        case .vector(let samples): return .sample(samples[try position(index, below: samples.count)])
        case .string(let text), .html(let text):
            let bytes = Array(text.utf8)
            return .byte(bytes[try position(index, below: bytes.count)])
        case .nothing: throw TemplateFailure("index of untyped nil")
        default: throw TemplateFailure("can't index item of type \(value.type)")
        }
    }

    private static func wrongIndex(_ index: TemplateValue, for value: TemplateValue) -> TemplateFailure {
        TemplateFailure("value has type \(index.type); should be \(value.isString ? "int" : "string")")
    }

    private static func position(_ index: TemplateValue, below count: Int) throws(TemplateFailure) -> Int {
        switch index {
        case .int(let value):
            guard value >= 0, value < count else { throw TemplateFailure("index out of range: \(value)") }
            return value
        case .nothing: throw TemplateFailure("cannot index slice/array with nil")
        default: throw TemplateFailure("cannot index slice/array with type \(index.type)")
        }
    }

    private static func slice(
        _ value: TemplateValue, _ indices: [TemplateValue]
    ) throws(TemplateFailure) -> TemplateValue {
        guard indices.count <= 2 else {
            throw TemplateFailure(
                value.isString ? "cannot 3-index slice a string" : "too many slice indexes: \(indices.count)")
        }
        let count =
            switch value {
            case .string(let text), .html(let text): text.utf8.count
            case .vector(let samples): samples.count
            case .nothing: throw TemplateFailure("slice of untyped nil")
            default: throw TemplateFailure("can't slice item of type \(value.type)")
            }
        var bounds = [0, count]
        for (place, index) in indices.enumerated() { bounds[place] = try position(index, below: count + 1) }
        guard bounds[0] <= bounds[1] else {
            throw TemplateFailure("invalid slice index: \(bounds[0]) > \(bounds[1])")
        }
        switch value {
        case .vector(let samples): return .vector(Array(samples[bounds[0]..<bounds[1]]))
        case .string(let text), .html(let text):
            return .string(String(decoding: Array(text.utf8)[bounds[0]..<bounds[1]], as: UTF8.self))
        default: return .nothing
        }
    }
}
