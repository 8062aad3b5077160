import Runtime

/// A part of a parsed template that errors can point at.
protocol TemplatePlace: Sendable {
    /// Offset in the source, in bytes.
    var position: Int { get }
    /// The part as Go prints its parse tree, which is how error messages quote it.
    var source: String { get }
}

/// One piece of a template's body.
struct TemplateNode: TemplatePlace {
    indirect enum Kind: Sendable {
        case text(String)
        case action(TemplatePipeline)
        case `if`(TemplateBranch)
        case range(TemplateBranch)
        case with(TemplateBranch)
        case call(name: String, TemplatePipeline?)
        case `break`
        case `continue`
    }

    let position: Int
    let kind: Kind

    var source: String {
        switch kind {
        case .text(let text): GoQuote.quoted(text)
        case .action(let pipeline): "{{\(pipeline.source)}}"
        case .if(let branch): branch.source("if")
        case .range(let branch): branch.source("range")
        case .with(let branch): branch.source("with")
        case .call(let name, let pipeline):
            "{{template \(GoQuote.quoted(name))\(pipeline.map { " " + $0.source } ?? "")}}"
        case .break: "{{break}}"
        case .continue: "{{continue}}"
        }
    }
}

/// The condition and the two bodies of `if`, `range` and `with`.
struct TemplateBranch: Sendable {
    let pipeline: TemplatePipeline
    let body: [TemplateNode]
    let otherwise: [TemplateNode]?

    func source(_ word: String) -> String {
        let other = otherwise.map { "{{else}}" + Self.source($0) } ?? ""
        return "{{\(word) \(pipeline.source)}}\(Self.source(body))\(other){{end}}"
    }

    private static func source(_ nodes: [TemplateNode]) -> String {
        nodes.map { node in if case .text(let text) = node.kind { text } else { node.source } }.joined()
    }
}

/// Commands whose results flow from left to right, perhaps into variables.
struct TemplatePipeline: TemplatePlace {
    let position: Int
    /// Variables with their `$`; two of them only in `range`.
    var variables: [String] = []
    /// `=` instead of `:=`.
    var isAssignment = false
    var commands: [TemplateCommand] = []

    var source: String {
        let declared = variables.isEmpty ? "" : variables.joined(separator: ", ") + (isAssignment ? " = " : " := ")
        return declared + commands.map(\.source).joined(separator: " | ")
    }
}

/// A function or value and its arguments; never empty.
struct TemplateCommand: TemplatePlace {
    let position: Int
    var words: [TemplateOperand] = []

    var source: String { words.map(\.source).joined(separator: " ") }
}

/// One word of a command.
struct TemplateOperand: TemplatePlace {
    indirect enum Kind: Sendable {
        case dot
        case `nil`
        case bool(Bool)
        case number(TemplateNumber)
        case string(String)
        /// `.A.B`
        case field([String])
        /// `$x.A.B`
        case variable(String, fields: [String])
        case function(String)
        case pipeline(TemplatePipeline)
        /// `(…).A.B`
        case chain(TemplateOperand, fields: [String])
    }

    let position: Int
    let kind: Kind
    /// The literal as it was written.
    private let literal: String

    init(position: Int, kind: Kind, literal: String = "") {
        self.position = position
        self.kind = kind
        self.literal = literal
    }

    var source: String {
        switch kind {
        case .dot: "."
        case .nil: "nil"
        case .bool(let value): value ? "true" : "false"
        case .number, .string: literal
        case .field(let names): names.map { "." + $0 }.joined()
        case .variable(let name, let fields): name + fields.map { "." + $0 }.joined()
        case .function(let name): name
        case .pipeline(let pipeline): "(\(pipeline.source))"
        case .chain(let operand, let fields): operand.source + fields.map { "." + $0 }.joined()
        }
    }

    var isLiteral: Bool {
        switch kind {
        case .bool, .dot, .nil, .number, .string: true
        default: false
        }
    }
}

/// A number constant: Go lets its spelling decide what it is.
enum TemplateNumber: Sendable {
    case int(Int)
    case float(Double)
}
