import Metrics
import Runtime

/// `query` and what is done with its samples.
extension TemplateFunction {
    static let vectors: [TemplateFunction] = [
        TemplateFunction("query", [.string]) { environment, _, arguments throws(TemplateFailure) in
            guard case .string(let query) = arguments[0] else { return .nothing }
            return .vector(try environment.query(query))
        },
        TemplateFunction("first", [.vector]) { _, _, arguments throws(TemplateFailure) in
            guard case .vector(let samples) = arguments[0], let first = samples.first else {
                throw TemplateFailure("first() called on vector with no elements")
            }
            return .sample(first)
        },
        TemplateFunction("label", [.string, .sample]) { _, _, arguments throws(TemplateFailure) in
            guard case .string(let name) = arguments[0] else { return .nothing }
            return .string(try sample(arguments[1]).labels[name] ?? "")
        },
        TemplateFunction("value", [.sample]) { _, _, arguments throws(TemplateFailure) in
            .float(try sample(arguments[0]).value)
        },
        TemplateFunction("strvalue", [.sample]) { _, _, arguments throws(TemplateFailure) in
            .string(try sample(arguments[0]).labels["__value__"] ?? "")
        },
        TemplateFunction("sortByLabel", [.string, .vector]) { _, _, arguments in
            guard case .string(let name) = arguments[0], case .vector(let samples) = arguments[1] else {
                return .nothing
            }
            // Swift's sort keeps equals in order, as Go's sort.Stable does.
            return .vector(
                samples.sorted { ($0.labels[name] ?? "").utf8.lexicographicallyPrecedes(($1.labels[name] ?? "").utf8) })
        },
        TemplateFunction("args", [], rest: .any) { _, _, arguments in .arguments(arguments) },
    ]

    private static func sample(_ value: TemplateValue) throws(TemplateFailure) -> TemplateSample {
        guard case .sample(let sample) = value else { throw nilPointer }
        return sample
    }

    /// What Go says where Prometheus follows a pointer that is not there.
    static let nilPointer = TemplateFailure("runtime error: invalid memory address or nil pointer dereference")
}
