import Runtime

/// Builds the tree of a template and of those it defines, as Go's `text/template/parse` does: unknown functions and
/// variables are found here, before anything runs.
struct TemplateParser {
    /// Branches and parentheses inside one another: the parser and the evaluator use the stack.
    static let depthLimit = 64

    private let source: [UInt8]
    private let functions: Set<String>
    private var lexer: TemplateLexer
    /// Tokens that were looked at, the next one last.
    private var pending: [TemplateToken] = []
    /// Where the newest token stands, for errors.
    private var position = 0
    private var variables = ["$"]
    /// Of variables whose type has methods; of a name that is declared twice the newer one counts.
    private var types: [String: TemplateMethods] = [:]
    private var loops = 0
    private var depth = 0
    private var definitions: [String: [TemplateNode]] = [:]

    /// How a list of nodes ended.
    private enum Ending {
        case end, `else`, elseIf, elseWith, endOfText

        var name: String { if case .end = self { "{{end}}" } else { "{{else}}" } }
    }

    /// The body of the template called `name`, and of every template it defines.
    static func parse(
        _ source: [UInt8], name: String, functions: Set<String>
    ) throws(TemplateError) -> [String: [TemplateNode]] {
        var parser = TemplateParser(source: source, functions: functions)
        let (body, ending) = try parser.list(isTop: true)
        guard case .endOfText = ending else { throw parser.error("unexpected \(ending.name)") }
        try parser.add(name, body)
        return parser.definitions
    }

    private init(source: [UInt8], functions: Set<String>) {
        self.source = source
        self.functions = functions
        lexer = TemplateLexer(source)
    }

    // MARK: Bodies

    private mutating func list(isTop: Bool = false) throws(TemplateError) -> ([TemplateNode], Ending) {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw error("nested deeper than \(Self.depthLimit)") }
        var nodes: [TemplateNode] = []
        while true {
            let token = try nextNonSpace()
            switch token.kind {
            case .text: nodes.append(TemplateNode(position: token.position, kind: .text(token.text)))
            case .end:
                guard isTop else { throw error("unexpected EOF") }
                return (nodes, .endOfText)
            case .open:
                if let ending = try action(into: &nodes, isTop: isTop) { return (nodes, ending) }
            default: throw unexpected(token, in: "input")
            }
        }
    }

    /// One action. Returns how the list ends, if this action ends it.
    private mutating func action(into nodes: inout [TemplateNode], isTop: Bool) throws(TemplateError) -> Ending? {
        let token = try nextNonSpace()
        guard case .keyword(let keyword) = token.kind else {
            pushBack(token)
            let pipeline = try pipeline("command")
            try expectClose("command")
            nodes.append(TemplateNode(position: token.position, kind: .action(pipeline)))
            return nil
        }
        switch keyword {
        case .end:
            try expectClose("end")
            return .end
        case .else: return try elseClause()
        case .if: nodes.append(try branch(.if))
        case .range: nodes.append(try branch(.range))
        case .with: nodes.append(try branch(.with))
        case .template: nodes.append(try call(token))
        case .block: nodes.append(try block(token))
        case .break, .continue:
            guard loops > 0 else { throw error("{{\(keyword.rawValue)}} outside {{range}}") }
            try expectClose("{{\(keyword.rawValue)}}")
            nodes.append(TemplateNode(position: token.position, kind: keyword == .break ? .break : .continue))
        case .define:
            guard isTop else { throw unexpected(token, in: "command") }
            try definition()
        }
        return nil
    }

    private mutating func elseClause() throws(TemplateError) -> Ending {
        let token = try nextNonSpace()
        switch token.kind {
        case .close: return .else
        case .keyword(.if): return .elseIf
        case .keyword(.with): return .elseWith
        default: throw unexpected(token, in: "else")
        }
    }

    private mutating func branch(_ keyword: TemplateKeyword) throws(TemplateError) -> TemplateNode {
        depth += 1
        let declared = variables.count
        defer {
            depth -= 1
            variables.removeLast(variables.count - declared)
        }
        guard depth <= Self.depthLimit else { throw error("nested deeper than \(Self.depthLimit)") }
        let pipeline = try pipeline(keyword.rawValue)
        try expectClose(keyword.rawValue)
        if keyword == .range { loops += 1 }
        let (body, ending) = try list()
        if keyword == .range { loops -= 1 }
        let otherwise = try otherwise(keyword, ending)
        let branch = TemplateBranch(pipeline: pipeline, body: body, otherwise: otherwise)
        let kind: TemplateNode.Kind =
            switch keyword {
            case .if: .if(branch)
            case .range: .range(branch)
            default: .with(branch)
            }
        return TemplateNode(position: pipeline.position, kind: kind)
    }

    /// The part behind `else`; `else if` is an `if` of its own that shares the `end`.
    private mutating func otherwise(
        _ keyword: TemplateKeyword, _ ending: Ending
    ) throws(TemplateError) -> [TemplateNode]? {
        switch (ending, keyword) {
        case (.end, _): return nil
        case (.elseIf, .if): return [try branch(.if)]
        case (.elseWith, .with): return [try branch(.with)]
        case (.else, _):
            let (nodes, ending) = try list()
            guard case .end = ending else { throw error("expected end; found {{else}}") }
            return nodes
        default: throw error("unexpected <if> in else")
        }
    }

    // MARK: Templates within templates

    private mutating func definition() throws(TemplateError) {
        let context = "define clause"
        let name = try templateName(try nextNonSpace(), context)
        try expectClose(context)
        try add(name, try separateBody(context))
    }

    private mutating func block(_ token: TemplateToken) throws(TemplateError) -> TemplateNode {
        let context = "block clause"
        let name = try templateName(try nextNonSpace(), context)
        let pipeline = try pipeline(context)
        try expectClose(context)
        try add(name, try separateBody(context))
        return TemplateNode(position: token.position, kind: .call(name: name, pipeline))
    }

    /// A body that sees no variables of its surroundings.
    private mutating func separateBody(_ context: String) throws(TemplateError) -> [TemplateNode] {
        let outside = (variables, types, loops)
        (variables, types, loops) = (["$"], [:], 0)
        let (body, ending) = try list()
        guard case .end = ending else { throw error("unexpected {{else}} in \(context)") }
        (variables, types, loops) = outside
        return body
    }

    private mutating func call(_ token: TemplateToken) throws(TemplateError) -> TemplateNode {
        let context = "template clause"
        let name = try templateName(try nextNonSpace(), context)
        let next = try nextNonSpace()
        if case .close = next.kind {
            return TemplateNode(position: token.position, kind: .call(name: name, nil))
        }
        pushBack(next)
        let pipeline = try pipeline(context)
        try expectClose(context)
        return TemplateNode(position: token.position, kind: .call(name: name, pipeline))
    }

    private func templateName(_ token: TemplateToken, _ context: String) throws(TemplateError) -> String {
        switch token.kind {
        case .string, .rawString:
            guard let name = GoQuote.unquoted(token.text) else { throw error("invalid syntax") }
            return name
        default: throw unexpected(token, in: context)
        }
    }

    /// A template may be given a body once; empty bodies do not count.
    private mutating func add(_ name: String, _ body: [TemplateNode]) throws(TemplateError) {
        guard let known = definitions[name], !Self.isEmpty(known) else {
            definitions[name] = body
            return
        }
        guard Self.isEmpty(body) else {
            throw error("template: multiple definition of template \(GoQuote.quoted(name))")
        }
    }

    private static func isEmpty(_ body: [TemplateNode]) -> Bool {
        body.allSatisfy {
            guard case .text(let text) = $0.kind else { return false }
            return text.utf8.allSatisfy(TemplateLexer.isSpace)
        }
    }

    // MARK: Pipelines

    /// Everything up to the closing `}}` or `)`, which stays.
    private mutating func pipeline(_ context: String) throws(TemplateError) -> TemplatePipeline {
        depth += 1
        defer { depth -= 1 }
        guard depth <= Self.depthLimit else { throw error("nested deeper than \(Self.depthLimit)") }
        let first = try nextNonSpace()
        pushBack(first)
        var pipeline = TemplatePipeline(position: first.position)
        try declarations(of: &pipeline, context)
        while true {
            let token = try nextNonSpace()
            switch token.kind {
            case .close, .rightParenthesis:
                pushBack(token)
                try check(pipeline, context)
                for name in pipeline.variables { note(context == "range" ? nil : methods(of: pipeline), of: name) }
                return pipeline
            case .bool, .character, .dot, .field, .identifier, .number, .nil, .rawString, .string, .variable,
                .leftParenthesis:
                pushBack(token)
                pipeline.commands.append(try command())
            default: throw unexpected(token, in: context)
            }
        }
    }

    private mutating func declarations(
        of pipeline: inout TemplatePipeline, _ context: String
    ) throws(TemplateError) {
        while true {
            let variable = try nextNonSpace()
            guard case .variable = variable.kind else { return pushBack(variable) }
            // Whether `$x` is declared or only named is told by the word behind it, white space aside.
            let adjacent = try next()
            var following = adjacent
            if case .space = adjacent.kind { following = try nextNonSpace() }
            switch following.kind {
            case .assign, .declare:
                if case .assign = following.kind {
                    pipeline.isAssignment = true
                    guard variables.contains(variable.text) else {
                        throw error("undefined variable \(GoQuote.quoted(variable.text))")
                    }
                }
                pipeline.variables.append(variable.text)
                variables.append(variable.text)
                return
            case .comma:
                pipeline.variables.append(variable.text)
                variables.append(variable.text)
                guard context == "range", pipeline.variables.count < 2 else {
                    throw error("too many declarations in \(context)")
                }
                let second = try nextNonSpace()
                pushBack(second)
                guard case .variable = second.kind else { throw error("range can only initialize variables") }
            default:
                pushBack(following)
                if case .space = adjacent.kind { pushBack(adjacent) }
                return pushBack(variable)
            }
        }
    }

    private func check(_ pipeline: TemplatePipeline, _ context: String) throws(TemplateError) {
        guard !pipeline.commands.isEmpty else { throw error("missing value for \(context)") }
        for (index, command) in pipeline.commands.enumerated().dropFirst() where command.words[0].isLiteral {
            throw error("non executable command in pipeline stage \(index + 1)")
        }
    }

    private mutating func command() throws(TemplateError) -> TemplateCommand {
        let first = try nextNonSpace()
        pushBack(first)
        var command = TemplateCommand(position: first.position)
        while true {
            if let operand = try operand() { command.words.append(operand) }
            let token = try next()
            switch token.kind {
            case .space: continue
            case .close, .rightParenthesis: pushBack(token)
            case .pipe: break
            default: throw error("unexpected \(token.name) in operand")
            }
            guard !command.words.isEmpty else { throw error("empty command") }
            return command
        }
    }

    /// A term and the fields taken from it; nil where something else follows.
    private mutating func operand() throws(TemplateError) -> TemplateOperand? {
        guard let term = try term() else { return nil }
        var fields: [String] = []
        var token = try next()
        let position = token.position
        while case .field = token.kind {
            fields.append(String(token.text.dropFirst()))
            token = try next()
        }
        pushBack(token)
        guard !fields.isEmpty else { return term }
        if let type = methods(of: term) { try check(fields, of: type) }
        switch term.kind {
        case .field(let names): return TemplateOperand(position: position, kind: .field(names + fields))
        case .variable(let name, let names):
            return TemplateOperand(position: position, kind: .variable(name, fields: names + fields))
        case .function, .pipeline, .chain:
            return TemplateOperand(position: position, kind: .chain(term, fields: fields))
        default: throw error("unexpected . after term \(GoQuote.quoted(term.source))")
        }
    }

    // MARK: Methods

    /// What is known of a variable inside a branch may be wrong behind it, so only a first declaration is believed.
    private mutating func note(_ type: TemplateMethods?, of variable: String) {
        let isFirst = variables.count(where: { $0 == variable }) <= 1
        types[variable] = isFirst ? type : nil
    }

    private func methods(of pipeline: TemplatePipeline) -> TemplateMethods? {
        guard let command = pipeline.commands.last, let word = command.words.first else { return nil }
        if case .function(let name) = word.kind { return TemplateMethods(resultOf: name) }
        return command.words.count == 1 ? methods(of: word) : nil
    }

    private func methods(of operand: TemplateOperand) -> TemplateMethods? {
        switch operand.kind {
        case .pipeline(let pipeline): methods(of: pipeline)
        case .variable(let name, let fields) where fields.isEmpty: types[name]
        default: nil
        }
    }

    /// The first has to be a method; what it yields has fields only where it is a moment or a duration again.
    private func check(_ fields: [String], of type: TemplateMethods) throws(TemplateError) {
        guard let name = fields.first, !type.has(name) else { return }
        throw error("can't evaluate field \(name) in type \(type.type)")
    }

    private mutating func term() throws(TemplateError) -> TemplateOperand? {
        let token = try nextNonSpace()
        let position = token.position
        switch token.kind {
        case .identifier:
            guard functions.contains(token.text) else {
                throw error("function \(GoQuote.quoted(token.text)) not defined")
            }
            return TemplateOperand(position: position, kind: .function(token.text))
        case .dot: return TemplateOperand(position: position, kind: .dot)
        case .nil: return TemplateOperand(position: position, kind: .nil)
        case .bool: return TemplateOperand(position: position, kind: .bool(token.text == "true"))
        case .field: return TemplateOperand(position: position, kind: .field([String(token.text.dropFirst())]))
        case .variable:
            guard variables.contains(token.text) else {
                throw error("undefined variable \(GoQuote.quoted(token.text))")
            }
            return TemplateOperand(position: position, kind: .variable(token.text, fields: []))
        case .number, .character:
            return TemplateOperand(position: position, kind: .number(try number(token)), literal: token.text)
        case .string, .rawString:
            guard let text = GoQuote.unquoted(token.text) else { throw error("invalid syntax") }
            return TemplateOperand(position: position, kind: .string(text), literal: token.text)
        case .leftParenthesis:
            let pipeline = try pipeline("parenthesized pipeline")
            let closing = try next()
            guard case .rightParenthesis = closing.kind else {
                throw error("unclosed right paren: unexpected \(closing.name)")
            }
            return TemplateOperand(position: position, kind: .pipeline(pipeline))
        default:
            pushBack(token)
            return nil
        }
    }

    private func number(_ token: TemplateToken) throws(TemplateError) -> TemplateNumber {
        if case .character = token.kind {
            guard let text = GoQuote.unquoted(token.text), text.unicodeScalars.count == 1,
                let scalar = text.unicodeScalars.first
            else { throw error("malformed character constant: \(token.text)") }
            return .int(Int(scalar.value))
        }
        guard let number = GoNumber.parse(token.text) else {
            throw error("illegal number syntax: \(GoQuote.quoted(token.text))")
        }
        return number
    }

    // MARK: Tokens

    private mutating func next() throws(TemplateError) -> TemplateToken {
        let token = if let pushed = pending.popLast() { pushed } else { try lexer.next() }
        position = token.position
        return token
    }

    private mutating func nextNonSpace() throws(TemplateError) -> TemplateToken {
        var token = try next()
        while case .space = token.kind { token = try next() }
        return token
    }

    private mutating func pushBack(_ token: TemplateToken) { pending.append(token) }

    private mutating func expectClose(_ context: String) throws(TemplateError) {
        let token = try nextNonSpace()
        guard case .close = token.kind else { throw unexpected(token, in: context) }
    }

    private func unexpected(_ token: TemplateToken, in context: String) -> TemplateError {
        error("unexpected \(token.name) in \(context)")
    }

    private func error(_ what: String) -> TemplateError {
        .syntax(line: TemplateSource.line(of: position, in: source), what)
    }
}
