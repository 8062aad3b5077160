/// What a regular expression says, before it becomes a program.
indirect enum PatternSyntax {
    enum Assertion: UInt8 {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
    }

    case empty
    case scalars(ScalarSet)
    case assertion(Assertion)
    case sequence([PatternSyntax])
    case choice([PatternSyntax])
    case repetition(PatternSyntax, atLeast: Int, atMost: Int?, greedy: Bool)
    case capture(PatternSyntax, index: Int)

    /// Whether it can match without reading anything.
    var canBeEmpty: Bool {
        switch self {
        case .empty, .assertion: true
        case .scalars: false
        case .sequence(let items): items.allSatisfy(\.canBeEmpty)
        case .choice(let branches): branches.contains(where: \.canBeEmpty)
        case .repetition(let item, let atLeast, _, _): atLeast == 0 || item.canBeEmpty
        case .capture(let item, _): item.canBeEmpty
        }
    }
}

/// Reads RE2's syntax: everything but named scripts (`\p{Greek}`) and `\C`.
struct PatternParser {
    private struct Flags {
        var ignoresCase = false
        var dotMatchesNewline: Bool
        var linesHaveEnds = false
        var prefersShort = false
    }

    private static let depthLimit = 100
    private static let repetitionLimit = 1000

    private let scalars: [Unicode.Scalar]
    private var position = 0
    private var flags: Flags
    private var depth = 0

    /// The names of the groups; the index is the group's number, and the whole match is number 0.
    private(set) var groupNames: [String?] = [nil]

    init(_ text: String, dotMatchesNewline: Bool) {
        scalars = Array(text.unicodeScalars)
        flags = Flags(dotMatchesNewline: dotMatchesNewline)
    }

    mutating func parse() throws(PatternError) -> PatternSyntax {
        let syntax = try choice()
        guard position == scalars.count else { throw failure(.unexpectedParenthesis) }
        return syntax
    }

    // MARK: What stands beside and inside what

    private mutating func choice() throws(PatternError) -> PatternSyntax {
        var branches = [try sequence()]
        while take("|") { branches.append(try sequence()) }
        return branches.count == 1 ? branches[0] : .choice(branches)
    }

    private mutating func sequence() throws(PatternError) -> PatternSyntax {
        var items: [PatternSyntax] = []
        while let next = peek, next != "|", next != ")" {
            if next == "\\", peek(1) == "Q" {
                items += quoted()
                if items.isEmpty { continue }
                items[items.count - 1] = try repeated(items[items.count - 1])
                continue
            }
            let start = position
            guard let item = try atom() else { continue }
            if "*+?".unicodeScalars.contains(next) {
                position = start
                throw failure(.nothingToRepeat(String(next)))
            }
            items.append(try repeated(item))
        }
        switch items.count {
        case 0: return .empty
        case 1: return items[0]
        default: return .sequence(items)
        }
    }

    /// One item without its repetition, or nothing where the text only set flags.
    private mutating func atom() throws(PatternError) -> PatternSyntax? {
        let start = position
        let scalar = scalars[position]
        position += 1
        switch scalar {
        case "(":
            return try group(from: start)
        case "[":
            return .scalars(try bracket(from: start))
        case ".":
            return .scalars(flags.dotMatchesNewline ? .all : .allButLineFeed)
        case "^":
            return .assertion(flags.linesHaveEnds ? .lineStart : .textStart)
        case "$":
            return .assertion(flags.linesHaveEnds ? .lineEnd : .textEnd)
        case "\\":
            return try escape(from: start)
        default:
            return literal(scalar)
        }
    }

    private func literal(_ scalar: Unicode.Scalar) -> PatternSyntax {
        let set = ScalarSet(scalar.value)
        return .scalars(flags.ignoresCase ? set.foldingCase : set)
    }

    private mutating func quoted() -> [PatternSyntax] {
        position += 2
        var items: [PatternSyntax] = []
        while let next = peek {
            if next == "\\", peek(1) == "E" {
                position += 2
                break
            }
            position += 1
            items.append(literal(next))
        }
        return items
    }

    // MARK: Repetition

    private mutating func repeated(_ item: PatternSyntax) throws(PatternError) -> PatternSyntax {
        let start = position
        guard let (atLeast, atMost) = try bounds() else { return item }
        let greedy = take("?") == flags.prefersShort
        // A second operator in a row, as in `a**`, is refused; after `{…}` too.
        let next = position
        if let again = peek, "*+?".unicodeScalars.contains(again) {
            throw failure(.nothingToRepeat(text(from: start, through: next + 1)), at: start)
        }
        if try bounds() != nil { throw failure(.nothingToRepeat(text(from: start, through: position)), at: start) }
        return .repetition(item, atLeast: atLeast, atMost: atMost, greedy: greedy)
    }

    private mutating func bounds() throws(PatternError) -> (Int, Int?)? {
        if take("*") { return (0, nil) }
        if take("+") { return (1, nil) }
        if take("?") { return (0, 1) }
        let start = position
        guard take("{") else { return nil }
        guard let atLeast = number() else {
            position = start
            return nil
        }
        var atMost: Int? = atLeast
        if take(",") { atMost = peek == "}" ? nil : (number() ?? -1) }
        guard take("}"), atMost != -1 else {
            // Braces that hold no counts are ordinary text.
            position = start
            return nil
        }
        guard atLeast <= PatternParser.repetitionLimit, atMost ?? 0 <= PatternParser.repetitionLimit,
            atLeast <= atMost ?? Int.max
        else { throw failure(.invalidRepetition(text(from: start, through: position)), at: start) }
        return (atLeast, atMost)
    }

    private mutating func number() -> Int? {
        let start = position
        var value = 0
        while let digit = peek, "0"..."9" ~= digit {
            value = min(value * 10 + Int(digit.value - 0x30), 100_000)
            position += 1
        }
        return position > start ? value : nil
    }

    // MARK: Groups

    private mutating func group(from start: Int) throws(PatternError) -> PatternSyntax? {
        depth += 1
        defer { depth -= 1 }
        guard depth <= PatternParser.depthLimit else {
            throw failure(.nestedTooDeep(limit: PatternParser.depthLimit), at: start)
        }
        let outer = flags
        guard take("?") else {
            return try capture(named: nil, from: start, restoring: outer)
        }
        if take("<") || (peek == "P" && peek(1) == "<") {
            if peek == "P" { position += 2 }
            return try capture(named: try groupName(from: start), from: start, restoring: outer)
        }
        guard try readFlags(from: start) else { return nil }
        let inner = try choice()
        guard take(")") else { throw failure(.missingClosingParenthesis, at: start) }
        flags = outer
        return inner
    }

    private mutating func capture(named name: String?, from start: Int, restoring outer: Flags) throws(PatternError)
        -> PatternSyntax
    {
        let index = groupNames.count
        groupNames.append(name)
        let inner = try choice()
        guard take(")") else { throw failure(.missingClosingParenthesis, at: start) }
        flags = outer
        return .capture(inner, index: index)
    }

    private mutating func groupName(from start: Int) throws(PatternError) -> String {
        var name = String.UnicodeScalarView()
        while let scalar = peek, scalar != ">" {
            guard scalar.isWord else { break }
            name.append(scalar)
            position += 1
        }
        guard take(">"), !name.isEmpty else { throw failure(.unknownGroup(text(from: start, through: position + 1))) }
        let text = String(name)
        guard !groupNames.contains(text) else { throw failure(.duplicateName(text), at: start) }
        return text
    }

    /// Reads `ims-U:` or `ims)` after `(?`; false where the group held flags only.
    private mutating func readFlags(from start: Int) throws(PatternError) -> Bool {
        var value = true
        var read = flags
        while let scalar = peek {
            position += 1
            switch scalar {
            case "i": read.ignoresCase = value
            case "m": read.linesHaveEnds = value
            case "s": read.dotMatchesNewline = value
            case "U": read.prefersShort = value
            case "-" where value: value = false
            case ":", ")":
                flags = read
                return scalar == ":"
            default: throw failure(.unknownGroup(text(from: start, through: position)), at: start)
            }
        }
        throw failure(.missingClosingParenthesis, at: start)
    }

    // MARK: Escapes and classes

    private mutating func escape(from start: Int) throws(PatternError) -> PatternSyntax {
        guard let scalar = peek else { throw failure(.trailingBackslash, at: start) }
        switch scalar {
        case "A": return asserting(.textStart)
        case "z": return asserting(.textEnd)
        case "b": return asserting(.wordBoundary)
        case "B": return asserting(.noWordBoundary)
        default: break
        }
        if let set = try classEscape(from: start) { return .scalars(flags.ignoresCase ? set.foldingCase : set) }
        let value = try scalarEscape(from: start)
        let set = ScalarSet(value)
        return .scalars(flags.ignoresCase ? set.foldingCase : set)
    }

    private mutating func asserting(_ assertion: PatternSyntax.Assertion) -> PatternSyntax {
        position += 1
        return .assertion(assertion)
    }

    /// `\d`, `\pL` and their kin, with the position after the backslash.
    private mutating func classEscape(from start: Int) throws(PatternError) -> ScalarSet? {
        switch peek {
        case "d": return named(.digits)
        case "D": return named(ScalarSet.digits.inverted)
        case "w": return named(.words)
        case "W": return named(ScalarSet.words.inverted)
        case "s": return named(.spaces)
        case "S": return named(ScalarSet.spaces.inverted)
        case "p", "P":
            var negated = peek == "P"
            position += 1
            var name = String.UnicodeScalarView()
            if take("{") {
                while let scalar = peek, scalar != "}" {
                    name.append(scalar)
                    position += 1
                }
                guard take("}") else { throw failure(.unknownClass(text(from: start, through: position)), at: start) }
            } else if let scalar = peek {
                name.append(scalar)
                position += 1
            }
            if name.first == "^" {
                negated.toggle()
                name.removeFirst()
            }
            guard let set = ScalarSet.category(String(name)) else {
                throw failure(.unknownClass(text(from: start, through: position)), at: start)
            }
            return negated ? set.inverted : set
        default: return nil
        }
    }

    private mutating func named(_ set: ScalarSet) -> ScalarSet {
        position += 1
        return set
    }

    /// An escape that stands for one scalar, with the position after the backslash.
    private mutating func scalarEscape(from start: Int) throws(PatternError) -> UInt32 {
        guard let scalar = peek else { throw failure(.trailingBackslash, at: start) }
        position += 1
        switch scalar {
        case "a": return 0x07
        case "f": return 0x0C
        case "n": return 0x0A
        case "r": return 0x0D
        case "t": return 0x09
        case "v": return 0x0B
        case "x":
            if let value = try hexadecimal() { return value }
        case "0"..."7":
            // `\0` to `\377`; a single digit other than 0 would be a reference back, which RE2 has not.
            var value = scalar.value - 0x30
            var digits = 1
            while digits < 3, let next = peek, "0"..."7" ~= next {
                value = value * 8 + next.value - 0x30
                digits += 1
                position += 1
            }
            if digits > 1 || scalar == "0" { return value }
        default:
            if scalar.value < 0x80, !scalar.isWord { return scalar.value }
        }
        throw failure(.invalidEscape(text(from: start, through: position)), at: start)
    }

    private mutating func hexadecimal() throws(PatternError) -> UInt32? {
        var value: UInt32 = 0
        var digits = 0
        let braced = take("{")
        while let digit = peek?.hexadecimalValue, braced ? digits < 8 : digits < 2 {
            value = value << 4 | digit
            digits += 1
            position += 1
        }
        guard digits > 0, value <= ScalarSet.last, braced ? take("}") : digits == 2 else { return nil }
        return value
    }

    private mutating func bracket(from start: Int) throws(PatternError) -> ScalarSet {
        let negated = take("^")
        var ranges: [ClosedRange<UInt32>] = []
        var isFirst = true
        while true {
            guard let next = peek else { throw failure(.missingClosingBracket, at: start) }
            if next == "]", !isFirst { break }
            isFirst = false
            if next == "[", peek(1) == ":", let set = try posixClass() {
                ranges += set.ranges
                continue
            }
            let rangeStart = position
            if next == "\\" {
                position += 1
                if let set = try classEscape(from: rangeStart) {
                    ranges += set.ranges
                    continue
                }
                position = rangeStart
            }
            let low = try bracketScalar()
            var high = low
            if peek == "-", let after = peek(1), after != "]" {
                position += 1
                high = try bracketScalar()
            }
            guard low <= high else {
                throw failure(.invalidRange(text(from: rangeStart, through: position)), at: rangeStart)
            }
            ranges.append(low...high)
        }
        position += 1
        var set = ScalarSet(ranges)
        if flags.ignoresCase { set = set.foldingCase }
        return negated ? set.inverted : set
    }

    private mutating func bracketScalar() throws(PatternError) -> UInt32 {
        let start = position
        guard let scalar = peek else { throw failure(.missingClosingBracket, at: start) }
        position += 1
        return scalar == "\\" ? try scalarEscape(from: start) : scalar.value
    }

    private mutating func posixClass() throws(PatternError) -> ScalarSet? {
        let start = position
        var end = position + 2
        while end + 1 < scalars.count, scalars[end] != ":" || scalars[end + 1] != "]" { end += 1 }
        guard end + 1 < scalars.count else { return nil }
        var name = text(from: start + 2, through: end)
        let negated = name.hasPrefix("^")
        if negated { name.removeFirst() }
        position = end + 2
        guard let set = ScalarSet.posix(name) else {
            throw failure(.unknownClass(text(from: start, through: position)), at: start)
        }
        return negated ? set.inverted : set
    }

    // MARK: Reading

    private var peek: Unicode.Scalar? { position < scalars.count ? scalars[position] : nil }

    private func peek(_ ahead: Int) -> Unicode.Scalar? {
        position + ahead < scalars.count ? scalars[position + ahead] : nil
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard peek == scalar else { return false }
        position += 1
        return true
    }

    private func text(from start: Int, through end: Int) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: scalars[start..<min(end, scalars.count)])
        return String(view)
    }

    private func failure(_ reason: PatternError.Reason, at place: Int? = nil) -> PatternError {
        PatternError(reason, at: text(from: 0, through: place ?? position).utf8.count)
    }
}

extension Unicode.Scalar {
    /// A letter, digit or underscore of ASCII.
    fileprivate var isWord: Bool {
        "a"..."z" ~= self || "A"..."Z" ~= self || "0"..."9" ~= self || self == "_"
    }

    fileprivate var hexadecimalValue: UInt32? {
        switch self {
        case "0"..."9": value - 0x30
        case "a"..."f": value - 0x61 + 10
        case "A"..."F": value - 0x41 + 10
        default: nil
        }
    }
}
