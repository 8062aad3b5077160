import Runtime

/// Reads a query by recursive descent, with precedence climbing for operators.
struct Parser {
    private let text: String
    private let tokens: [Token]
    private let limits: ParserLimits
    private var position = 0

    /// How many calls of `expression` are under way.
    private var nesting = 0
    private var regexes = 0

    init(_ text: String, limits: ParserLimits = ParserLimits()) throws(PromQLError) {
        guard text.utf8.count <= limits.bytes else {
            throw .syntax(SyntaxProblem("query is longer than \(limits.bytes) bytes", at: 0..<0, in: text))
        }
        self.text = text
        self.limits = limits
        var lexer = Lexer(text)
        tokens = try lexer.tokens()
    }

    mutating func parse() throws(PromQLError) -> Expression {
        guard current.kind != .end else { throw failure("no expression found in input", at: current.range) }
        let tree = try expression(minimum: 1)
        guard current.kind == .end else { throw unexpected("after the expression") }
        return tree.expression
    }

    /// A selector alone, as series are written in test scripts; the text after it is left.
    mutating func parseSeries() throws(PromQLError) -> (selector: VectorSelector, end: Int) {
        let start = current.range.lowerBound
        var name: String?
        if current.kind == .identifier {
            name = String(slice(current.range))
            advance()
        }
        var matchers = name.map { [Matcher(nameLabel, equals: $0)] } ?? []
        var end = position > 0 ? tokens[position - 1].range.upperBound : start
        if current.kind == .leftBrace {
            matchers += try braces()
            end = tokens[position - 1].range.upperBound
        }
        return (VectorSelector(name: name, matchers: matchers, range: start..<end), end)
    }

    // MARK: Operators

    /// An expression and the number of nodes above its deepest leaf.
    private struct Tree {
        var expression: Expression
        var depth: Int
    }

    private mutating func expression(minimum: Int) throws(PromQLError) -> Tree {
        nesting += 1
        defer { nesting -= 1 }
        guard nesting <= limits.nesting else {
            throw failure("query nests deeper than \(limits.nesting) levels", at: current.range)
        }
        var left = try operand()
        while let (operation, token) = binaryOperator, operation.precedence >= minimum {
            advance()
            let modifiers = try binaryModifiers(operation, at: token.range)
            // A power binds its right side first: 2^3^2 is 2^(3^2).
            let right = try expression(minimum: operation.precedence + (operation == .power ? 0 : 1))
            let node = try BinaryOperation.checked(
                operation, left.expression, right.expression, modifiers, operatorRange: token.range, fail: failure)
            left = try tree(.binary(node), over: [left, right], at: token.range)
        }
        if current.kind == .trimUpper || current.kind == .trimLower {
            throw unsupported("the operator \(slice(current.range)) needs native histograms", at: current.range)
        }
        return left
    }

    private func tree(_ expression: Expression, over children: [Tree], at range: Range<Int>) throws(PromQLError) -> Tree
    {
        let depth = (children.map(\.depth).max() ?? 0) + 1
        guard depth <= limits.depth else {
            throw failure("query has more than \(limits.depth) operations in a row", at: range)
        }
        return Tree(expression: expression, depth: depth)
    }

    private var binaryOperator: (BinaryOperator, Token)? {
        let operation: BinaryOperator? =
            switch current.kind {
            case .plus: .add
            case .minus: .subtract
            case .star: .multiply
            case .slash: .divide
            case .percent: .modulo
            case .caret: .power
            case .equals: .equal
            case .notEquals: .notEqual
            case .less: .less
            case .lessOrEqual: .lessOrEqual
            case .greater: .greater
            case .greaterOrEqual: .greaterOrEqual
            case .identifier: BinaryOperator(rawValue: keyword)
            default: nil
            }
        return operation.map { ($0, current) }
    }

    private mutating func binaryModifiers(_ operation: BinaryOperator, at range: Range<Int>) throws(PromQLError)
        -> BinaryModifiers
    {
        var modifiers = BinaryModifiers()
        if keyword == "bool" {
            modifiers.boolRange = current.range
            advance()
        }
        if keyword == "on" || keyword == "ignoring" {
            modifiers.matchingRange = current.range
            modifiers.matching.isOn = keyword == "on"
            advance()
            modifiers.matching.labels = try labelList("grouping")
            if keyword == "group_left" || keyword == "group_right" {
                modifiers.matching.cardinality = keyword == "group_left" ? .manyToOne : .oneToMany
                modifiers.groupRange = current.range
                advance()
                if current.kind == .leftParenthesis { modifiers.matching.included = try labelList("grouping") }
            }
        }
        if ["fill", "fill_left", "fill_right"].contains(keyword), following.kind == .leftParenthesis {
            throw unsupported("the fill modifier is experimental", at: current.range)
        }
        return modifiers
    }

    // MARK: Operands

    /// One operand with its sign and whatever follows it in brackets, after `offset` or after `@`.
    private mutating func operand() throws(PromQLError) -> Tree {
        guard current.kind == .plus || current.kind == .minus else { return try postfix(try primary()) }

        let sign = current
        advance()
        let operand = try expression(minimum: BinaryOperator.power.precedence)
        let range = sign.range.lowerBound..<operand.expression.range.upperBound
        if case .number(let literal) = operand.expression {
            let value = sign.kind == .minus ? -literal.value : literal.value
            let number = NumberLiteral(value: value, isDuration: literal.isDuration, range: range)
            return Tree(expression: .number(number), depth: operand.depth)
        }
        let type = operand.expression.type
        guard type == .scalar || type == .vector else {
            throw failure(
                "unary expression only allowed on expressions of type scalar or instant vector, got "
                    + quoted(type.documented), at: range)
        }
        let node = Sign(isMinus: sign.kind == .minus, operand: operand.expression, range: range)
        return try tree(.sign(node), over: [operand], at: range)
    }

    private mutating func primary() throws(PromQLError) -> Tree {
        let token = current
        switch token.kind {
        case .number:
            advance()
            guard let value = NumberText.parse(slice(token.range)) else {
                throw failure("bad number: \(quoted(String(slice(token.range))))", at: token.range)
            }
            return Tree(
                expression: .number(NumberLiteral(value: value, isDuration: false, range: token.range)), depth: 1)
        case .duration:
            let milliseconds = try duration()
            let literal = NumberLiteral(value: Double(milliseconds) / 1000, isDuration: true, range: token.range)
            return Tree(expression: .number(literal), depth: 1)
        case .string:
            advance()
            guard let bytes = unquotedBytes(slice(token.range)) else {
                throw failure("invalid escape in string \(slice(token.range))", at: token.range)
            }
            let literal = StringLiteral(
                value: String(decoding: bytes, as: UTF8.self), isUTF8: String(validating: bytes, as: UTF8.self) != nil,
                range: token.range)
            return Tree(expression: .string(literal), depth: 1)
        case .leftParenthesis:
            advance()
            let inner = try expression(minimum: 1)
            try expect(.rightParenthesis, "unclosed left parenthesis", at: token.range)
            let range = token.range.lowerBound..<tokens[position - 1].range.upperBound
            return try tree(
                .parentheses(Parentheses(inner: inner.expression, range: range)), over: [inner], at: range)
        case .leftBrace:
            return Tree(expression: .vector(try selector(named: nil)), depth: 1)
        case .identifier:
            return try named()
        default:
            throw unexpected("")
        }
    }

    private mutating func named() throws(PromQLError) -> Tree {
        let token = current
        let opensCall = following.kind == .leftParenthesis
        if keyword == "inf" || keyword == "nan", !opensCall {
            advance()
            let value = slice(token.range).lowercased() == "inf" ? Double.infinity : Double.nan
            return Tree(
                expression: .number(NumberLiteral(value: value, isDuration: false, range: token.range)), depth: 1)
        }
        let follower = following.kind == .identifier ? slice(following.range).lowercased() : ""
        if opensCall || follower == "by" || follower == "without" {
            if let aggregator = Aggregator(rawValue: keyword) { return try aggregation(aggregator) }
            if let reason = FunctionCatalogue.experimentalAggregators[keyword] {
                throw unsupported(reason, at: token.range)
            }
        }
        if opensCall { return try call() }
        let selected = try selector(named: String(slice(token.range)))
        return Tree(expression: .vector(selected), depth: 1)
    }

    private mutating func selector(named name: String?) throws(PromQLError) -> VectorSelector {
        let start = current.range.lowerBound
        if name != nil { advance() }
        var matchers: [Matcher] = []
        if current.kind == .leftBrace { matchers = try braces() }
        let range = start..<tokens[position - 1].range.upperBound
        if let name {
            if let other = matchers.first(where: { $0.name == nameLabel && $0.operation == .equal }) {
                throw failure("metric name must not be set twice: \(quoted(name)) or \(quoted(other.value))", at: range)
            }
            matchers.append(Matcher(nameLabel, equals: name))
        }
        // Else the whole store would be read by mistake.
        guard matchers.contains(where: { !$0.matches("") }) else {
            throw failure("vector selector must contain at least one non-empty matcher", at: range)
        }
        return VectorSelector(name: name, matchers: matchers, range: range)
    }

    private mutating func braces() throws(PromQLError) -> [Matcher] {
        let open = current.range
        advance()
        var matchers: [Matcher] = []
        while current.kind != .rightBrace {
            let place = current.range
            let isQuoted = current.kind == .string
            let name: String
            switch current.kind {
            case .identifier:
                name = String(slice(place))
                advance()
            case .string: name = try string()
            default: throw unexpected("in label matching, expected identifier or \"}\"", unclosed: open)
            }
            if isQuoted, current.kind == .comma || current.kind == .rightBrace {
                // A metric's name in quotes, for names that are no identifiers.
                guard !matchers.contains(where: { $0.name == nameLabel && $0.operation == .equal }) else {
                    throw failure("metric name must not be set twice: \(quoted(name))", at: place)
                }
                matchers.append(Matcher(nameLabel, equals: name))
            } else {
                matchers.append(try matcher(on: name, place: place))
            }
            guard current.kind == .comma else { break }
            advance()
        }
        guard current.kind == .rightBrace else {
            throw unexpected("in label matching, expected \",\" or \"}\"", unclosed: open)
        }
        advance()
        return matchers
    }

    private mutating func matcher(on name: String, place: Range<Int>) throws(PromQLError) -> Matcher {
        let operation: Matcher.Operation
        switch current.kind {
        case .equal: operation = .equal
        case .notEquals: operation = .notEqual
        case .equalsRegex: operation = .regex
        case .notRegex: operation = .notRegex
        default: throw unexpected("in label matching, expected label matching operator")
        }
        guard isPlainLabelName(name) || tokens[position - 1].kind == .string else {
            throw failure("unexpected character in label name \(quoted(name))", at: place)
        }
        advance()
        let valuePlace = current.range
        guard current.kind == .string else { throw unexpected("in label matching, expected string") }
        let value = try string()
        if operation == .regex || operation == .notRegex { regexes += 1 }
        guard regexes <= limits.regexes else {
            throw failure("query has more than \(limits.regexes) regular expressions", at: valuePlace)
        }
        do throws(PatternError) {
            return try Matcher(name, operation, value)
        } catch {
            // The opening quote is the one byte between the literal's start and the expression's.
            let start = min(valuePlace.lowerBound + 1 + error.offset, valuePlace.upperBound)
            throw failure("error parsing regexp: \(error)", at: start..<valuePlace.upperBound)
        }
    }

    // MARK: Calls and aggregations

    private mutating func call() throws(PromQLError) -> Tree {
        let token = current
        let name = String(slice(token.range))
        guard let function = FunctionCatalogue.functions[name] else {
            if let reason = FunctionCatalogue.unsupported[name] { throw unsupported(reason, at: token.range) }
            let known = FunctionCatalogue.functions.keys.sorted() + Aggregator.allCases.map(\.rawValue)
            throw .syntax(
                SyntaxProblem(
                    "unknown function with name \(quoted(name))", at: token.range, in: text,
                    suggestion: name.utf8.count < 64 ? closest(to: name, among: known) : nil))
        }
        advance()
        let arguments = try argumentList()
        let range = token.range.lowerBound..<tokens[position - 1].range.upperBound
        let values = arguments.map(\.expression)
        try function.check(values, range: range, fail: failure)
        return try tree(
            .call(Call(function: function, arguments: values, range: range)), over: arguments, at: range)
    }

    private mutating func argumentList() throws(PromQLError) -> [Tree] {
        let open = current.range
        advance()
        var arguments: [Tree] = []
        while current.kind != .rightParenthesis {
            arguments.append(try expression(minimum: 1))
            guard current.kind == .comma else { break }
            advance()
            if current.kind == .rightParenthesis {
                throw failure("trailing commas not allowed in function call args", at: current.range)
            }
        }
        try expect(.rightParenthesis, "unclosed left parenthesis", at: open)
        return arguments
    }

    private mutating func aggregation(_ aggregator: Aggregator) throws(PromQLError) -> Tree {
        let start = current.range
        advance()
        var grouping = try self.grouping()
        guard current.kind == .leftParenthesis else { throw unexpected("in aggregation, expected \"(\"") }
        let arguments = try argumentList()
        if grouping == nil { grouping = try self.grouping() }
        let range = start.lowerBound..<tokens[position - 1].range.upperBound

        let expected = aggregator.parameterType == nil ? 1 : 2
        guard arguments.count == expected else {
            if arguments.isEmpty {
                throw failure("no arguments for aggregate expression provided", at: range)
            }
            throw failure(
                "wrong number of arguments for aggregate expression provided, expected \(expected), got \(arguments.count)",
                at: range)
        }
        let inner = arguments[expected - 1].expression
        try check(inner, is: .vector, in: "aggregation expression")
        let parameter = expected == 2 ? arguments[0].expression : nil
        if let parameter, let type = aggregator.parameterType {
            try check(parameter, is: type, in: "aggregation parameter")
        }
        let node = Aggregation(
            aggregator: aggregator, inner: inner, parameter: parameter, grouping: grouping ?? .by([]), range: range)
        return try tree(.aggregation(node), over: arguments, at: range)
    }

    private mutating func grouping() throws(PromQLError) -> Aggregation.Grouping? {
        let word = keyword
        guard word == "by" || word == "without" else { return nil }
        advance()
        let labels = try labelList("grouping")
        return word == "by" ? .by(labels) : .without(labels)
    }

    private mutating func labelList(_ place: String) throws(PromQLError) -> [String] {
        guard current.kind == .leftParenthesis else { throw unexpected("in \(place) opts, expected \"(\"") }
        let open = current.range
        advance()
        var labels: [String] = []
        while current.kind != .rightParenthesis {
            let token = current
            switch token.kind {
            case .identifier where !slice(token.range).contains(":"):
                labels.append(String(slice(token.range)))
                advance()
            case .string: labels.append(try string())
            default: throw unexpected("in \(place) opts, expected label", unclosed: open)
            }
            guard current.kind == .comma else { break }
            advance()
        }
        try expect(.rightParenthesis, "unclosed left parenthesis", at: open)
        return labels
    }

    // MARK: Ranges, offset and @

    private mutating func postfix(_ primary: Tree) throws(PromQLError) -> Tree {
        var tree = primary
        while true {
            switch current.kind {
            case .leftBracket: tree = try bracketed(tree)
            case .at: tree = try shifted(tree, by: try anchor(), word: "@")
            case .identifier where keyword == "offset":
                let place = current.range
                advance()
                let offset = try offsetDuration()
                tree = try shifted(tree, by: .offset(offset, place), word: "offset")
            case .identifier where keyword == "anchored" || keyword == "smoothed":
                throw unsupported("the \(keyword) modifier is experimental", at: current.range)
            default: return tree
            }
        }
    }

    private mutating func bracketed(_ tree: Tree) throws(PromQLError) -> Tree {
        let open = current.range
        advance()
        let window = try positiveDuration()
        let inner = tree.expression
        if current.kind == .colon {
            advance()
            let step = current.kind == .rightBracket ? nil : try positiveDuration()
            try expectEndOfRange(open)
            let range = inner.range.lowerBound..<tokens[position - 1].range.upperBound
            guard inner.type == .vector else {
                throw failure(
                    "subquery is only allowed on instant vector, got \(inner.type.documented) instead", at: range)
            }
            let node = Subquery(inner: inner, window: window, step: step, range: range)
            return try self.tree(.subquery(node), over: [tree], at: range)
        }
        try expectEndOfRange(open)
        let range = inner.range.lowerBound..<tokens[position - 1].range.upperBound
        guard case .vector(let selector) = inner else {
            throw failure("ranges only allowed for vector selectors", at: range)
        }
        guard selector.shift.offset == 0 else { throw failure("no offset modifiers allowed before range", at: range) }
        guard selector.shift.anchor == nil else { throw failure("no @ modifiers allowed before range", at: range) }
        return Tree(
            expression: .matrix(MatrixSelector(vector: selector, window: window, range: range)), depth: tree.depth)
    }

    private mutating func expectEndOfRange(_ open: Range<Int>) throws(PromQLError) {
        switch current.kind {
        case .plus, .minus, .star, .slash, .percent, .caret:
            throw unsupported("duration expressions are experimental", at: current.range)
        default: try expect(.rightBracket, "unclosed left bracket", at: open)
        }
    }

    private enum Shift {
        case offset(Int64, Range<Int>)
        case anchor(TimeShift.Anchor, Range<Int>)
    }

    private mutating func anchor() throws(PromQLError) -> Shift {
        let place = current.range
        advance()
        if keyword == "start" || keyword == "end", following.kind == .leftParenthesis {
            let anchor: TimeShift.Anchor = keyword == "start" ? .start : .end
            advance()
            advance()
            try expect(.rightParenthesis, "unclosed left parenthesis", at: place)
            return .anchor(anchor, place)
        }
        let sign = current
        if sign.kind == .minus || sign.kind == .plus { advance() }
        let token = current
        let seconds: Double
        switch token.kind {
        case .duration: seconds = Double(try duration()) / 1000
        case .number:
            seconds = NumberText.parse(slice(token.range)) ?? .nan
            advance()
        case .identifier where keyword == "inf" || keyword == "nan":
            seconds = .nan
            advance()
        default: throw unexpected("in @, expected timestamp")
        }
        let milliseconds = ((sign.kind == .minus ? -seconds : seconds) * 1000).rounded()
        // Beyond that milliseconds are no longer exact, and sums with durations could overflow.
        guard milliseconds.magnitude <= 0x1p53 else {
            throw failure("timestamp out of bounds for @ modifier", at: token.range)
        }
        return .anchor(.time(Int64(milliseconds)), place)
    }

    private func shifted(_ tree: Tree, by shift: Shift, word: String) throws(PromQLError) -> Tree {
        var tree = tree
        let end = tokens[position - 1].range.upperBound
        let range = tree.expression.range.lowerBound..<end
        switch tree.expression {
        case .vector(var node):
            try apply(shift, to: &node.shift)
            node.range = range
            tree.expression = .vector(node)
        case .matrix(var node):
            try apply(shift, to: &node.vector.shift)
            node.range = range
            tree.expression = .matrix(node)
        case .subquery(var node):
            try apply(shift, to: &node.shift)
            node.range = range
            tree.expression = .subquery(node)
        default:
            throw failure(
                "\(word) modifier must be preceded by an instant vector selector or range vector selector or a subquery",
                at: range)
        }
        return tree
    }

    private func apply(_ shift: Shift, to target: inout TimeShift) throws(PromQLError) {
        switch shift {
        case .offset(let milliseconds, let place):
            guard target.offset == 0 else { throw failure("offset may not be set multiple times", at: place) }
            target.offset = milliseconds
        case .anchor(let anchor, let place):
            guard target.anchor == nil else { throw failure("@ <timestamp> may not be set multiple times", at: place) }
            target.anchor = anchor
        }
    }

    private mutating func offsetDuration() throws(PromQLError) -> Int64 {
        let sign = current
        if sign.kind == .minus || sign.kind == .plus { advance() }
        let milliseconds = try duration()
        return sign.kind == .minus ? -milliseconds : milliseconds
    }

    private mutating func positiveDuration() throws(PromQLError) -> Int64 {
        let place = current.range
        let milliseconds = try duration()
        guard milliseconds > 0 else { throw failure("duration must be greater than 0", at: place) }
        return milliseconds
    }

    /// Milliseconds from a duration or from a number of seconds.
    private mutating func duration() throws(PromQLError) -> Int64 {
        let token = current
        let shown = slice(token.range)
        switch token.kind {
        case .duration:
            advance()
            guard let milliseconds = DurationText.parse(shown) else {
                throw failure("not a valid duration string: \(quoted(String(shown)))", at: token.range)
            }
            return milliseconds
        case .number:
            advance()
            let milliseconds = ((NumberText.parse(shown) ?? .nan) * 1000).rounded()
            guard milliseconds.magnitude < 9_223_372_036_854 else {
                throw failure("duration out of range", at: token.range)
            }
            return Int64(milliseconds)
        case .leftParenthesis, .plus, .minus:
            throw unsupported("duration expressions are experimental", at: token.range)
        case .identifier where following.kind == .leftParenthesis:
            throw unsupported("duration expressions are experimental", at: token.range)
        default: throw unexpected("expected number or duration")
        }
    }

    // MARK: Tokens

    private var current: Token { tokens[position] }

    private var following: Token { tokens[min(position + 1, tokens.count - 1)] }

    /// The current identifier in lower case, or nothing.
    private var keyword: String { current.kind == .identifier ? slice(current.range).lowercased() : "" }

    private mutating func advance() { position = min(position + 1, tokens.count - 1) }

    private func slice(_ range: Range<Int>) -> Substring {
        let start = text.utf8.index(text.startIndex, offsetBy: range.lowerBound)
        return text[start..<text.utf8.index(start, offsetBy: range.count)]
    }

    private mutating func string() throws(PromQLError) -> String {
        let token = current
        advance()
        guard let value = unquoted(slice(token.range)) else {
            throw failure("invalid escape or UTF-8 in string \(slice(token.range))", at: token.range)
        }
        return value
    }

    private mutating func expect(_ kind: Token.Kind, _ unclosed: String, at open: Range<Int>) throws(PromQLError) {
        guard current.kind == kind else {
            if current.kind == .end { throw failure(unclosed, at: open) }
            throw unexpected("")
        }
        advance()
    }

    private func check(_ expression: Expression, is type: ValueType, in place: String) throws(PromQLError) {
        guard expression.type != type else { return }
        throw failure(
            "expected type \(type.documented) in \(place), got \(expression.type.documented)", at: expression.range)
    }

    // MARK: Failures

    private func failure(_ message: String, at range: Range<Int>) -> PromQLError {
        .syntax(SyntaxProblem(message, at: range, in: text))
    }

    private func unsupported(_ reason: String, at range: Range<Int>) -> PromQLError {
        .syntax(SyntaxProblem("not supported here: \(reason)", at: range, in: text, isUnsupported: true))
    }

    private func unexpected(_ place: String, unclosed: Range<Int>? = nil) -> PromQLError {
        let shown =
            current.kind == .end ? "end of input" : quoted(String(slice(current.range)))
        let tail = place.isEmpty ? "" : " " + place
        if current.kind == .end, let unclosed { return failure("unexpected end of input inside braces", at: unclosed) }
        return failure("unexpected \(shown)\(tail)", at: current.range)
    }
}
