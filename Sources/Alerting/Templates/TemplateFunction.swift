import Metrics
import Runtime

/// What a function takes in one place.
enum TemplateParameter {
    case any, string, vector, sample

    var type: String {
        switch self {
        case .any: "interface {}"
        case .string: "string"
        case .vector: "template.queryResult"
        case .sample: "*template.sample"
        }
    }
}

/// A function that templates may call.
struct TemplateFunction: Sendable {
    typealias Body =
        @Sendable (TemplateEnvironment, TemplateData, [TemplateValue]) throws(TemplateFailure) -> TemplateValue

    let name: String
    let parameters: [TemplateParameter]
    /// What any further arguments are; nil where there may be none.
    let rest: TemplateParameter?
    /// For `and` and `or`: the truth that decides. The evaluator computes those two itself.
    let shortCircuit: Bool?
    let body: Body

    init(
        _ name: String, _ parameters: [TemplateParameter], rest: TemplateParameter? = nil, shortCircuit: Bool? = nil,
        _ body: @escaping Body
    ) {
        self.name = name
        self.parameters = parameters
        self.rest = rest
        self.shortCircuit = shortCircuit
        self.body = body
    }

    /// A function of one value that needs nothing else.
    init(_ name: String, _ body: @escaping @Sendable (TemplateValue) throws(TemplateFailure) -> TemplateValue) {
        self.init(name, [.any]) { _, _, arguments throws(TemplateFailure) in try body(arguments[0]) }
    }

    /// A function of texts that needs nothing else.
    init(
        _ name: String, strings: Int,
        _ body: @escaping @Sendable ([String]) throws(TemplateFailure) -> TemplateValue
    ) {
        self.init(name, Array(repeating: .string, count: strings)) { _, _, arguments throws(TemplateFailure) in
            try body(arguments.map { if case .string(let text) = $0 { text } else { "" } })
        }
    }

    /// What stands at `index` of the arguments.
    func parameter(_ index: Int) -> TemplateParameter {
        index < parameters.count ? parameters[index] : rest ?? .any
    }

    /// Every function there is. A new one is a row in one of these lists.
    static let all = builtins + comparisons + vectors + texts + numbers + links

    static let named = Dictionary(all.map { ($0.name, $0) }) { first, _ in first }
    static let names = Set(named.keys)
}
