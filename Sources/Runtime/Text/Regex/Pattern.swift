/// A regular expression in RE2's syntax that always answers in time linear in the text.
///
/// What Go's `regexp` accepts and how it chooses among matches, without named scripts (`\p{Greek}`). Compiling costs
/// some tens of microseconds; asking `matches` costs a few nanoseconds a byte.
public struct Pattern: Sendable {
    /// Instructions a program may have: `(a{500}){20}` is refused. Plain lists of texts may have ten times as many.
    public static let instructionLimit = 10_000

    public let text: String

    /// The names of the groups; the index is the group's number, number 0 is the whole match.
    public let groupNames: [String?]

    private let program: PatternProgram
    private let automaton: PatternAutomaton?
    private let shortcut: PatternShortcut?
    private let members: Set<String>

    /// - Parameter dotMatchesNewline: what `(?s)` at the start would say. Prometheus says it for label matchers.
    public init(_ text: String, dotMatchesNewline: Bool = false) throws(PatternError) {
        guard text.utf8.count <= Pattern.instructionLimit * 10 else {
            throw PatternError(.tooLarge(limit: Pattern.instructionLimit), at: 0)
        }
        var parser = PatternParser(text, dotMatchesNewline: dotMatchesNewline)
        let syntax = try parser.parse()
        self.text = text
        groupNames = parser.groupNames
        shortcut = PatternShortcut(syntax)
        var limit = Pattern.instructionLimit
        if case .literals = shortcut { limit *= 10 }
        program = try PatternProgram(syntax, limit: limit)
        if case .literals(let literals) = shortcut, literals.count > 8 { members = Set(literals) } else { members = [] }
        automaton = shortcut == nil ? PatternAutomaton(program) : nil
    }

    /// The texts that match, where the expression only lists them, as in `a|b|c`.
    public var literals: [String]? {
        if case .literals(let literals) = shortcut { return literals }
        return nil
    }

    /// The most steps that `matches` can take for each byte of a text: 1 for nearly all expressions, else as many as
    /// there are alternatives to follow side by side.
    public var stepsPerByte: Int { shortcut != nil || automaton != nil ? 1 : program.instructions.count }

    /// Whether the expression matches all of `text`, not only a part.
    public func matches(_ text: String) -> Bool {
        switch shortcut {
        case .anything: return true
        case .something: return !text.isEmpty
        case .literals(let literals): return members.isEmpty ? literals.contains(text) : members.contains(text)
        case .prefix(let prefix, let atLeast):
            return text.utf8.count >= prefix.utf8.count + atLeast && text.utf8.starts(with: prefix.utf8)
        case .suffix(let suffix, let atLeast):
            return text.utf8.count >= suffix.utf8.count + atLeast
                && text.utf8.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
        case nil: break
        }
        let bytes = text.utf8Span.span
        if let automaton { return automaton.matches(bytes) }
        var machine = PatternMachine(program, slots: 0)
        return machine.run(bytes, from: 0, anchored: true, whole: true) != nil
    }

    /// Where in a text a match and its groups stand, in bytes of UTF-8; a group that took no part has none.
    public struct Match: Sendable, Equatable {
        public let groups: [Range<Int>?]

        public var range: Range<Int> { groups[0] ?? 0..<0 }
    }

    /// The match of all of `text`, with its groups.
    public func wholeMatch(of text: String) -> Match? {
        match(in: text.utf8Span.span, from: 0, anchored: true, whole: true)
    }

    /// The leftmost match in `text`.
    public func firstMatch(in text: String) -> Match? {
        match(in: text.utf8Span.span, from: 0, anchored: false, whole: false)
    }

    /// `text` with every match replaced. In the template `$1`, `$name` and `${name}` stand for groups, `$$` for `$`; an
    /// unbraced name reaches as far as letters, digits and underscores do.
    public func replacingAll(in text: String, with template: String) -> String {
        let bytes = text.utf8Span.span
        var result: [UInt8] = []
        var copied = 0
        var position = 0
        while position <= bytes.count,
            let match = match(in: bytes, from: position, anchored: false, whole: false)
        {
            let range = match.range
            result.append(bytes, copied..<range.lowerBound)
            // An empty match right behind another is not replaced once more.
            if range.upperBound > copied || range.lowerBound == 0 {
                expand(template, match, in: bytes, into: &result)
            }
            copied = range.upperBound
            position = max(range.upperBound, position + bytes.lengthOfScalar(at: position))
        }
        result.append(bytes, copied..<bytes.count)
        return String(decoding: result, as: UTF8.self)
    }

    /// The template with the groups of a match in `text` filled in.
    public func expand(_ template: String, _ match: Match, in text: String) -> String {
        var result: [UInt8] = []
        expand(template, match, in: text.utf8Span.span, into: &result)
        return String(decoding: result, as: UTF8.self)
    }

    // MARK: Workings

    private func match(in bytes: Span<UInt8>, from start: Int, anchored: Bool, whole: Bool) -> Match? {
        var machine = PatternMachine(program, slots: groupNames.count * 2)
        guard let slots = machine.run(bytes, from: start, anchored: anchored, whole: whole) else { return nil }
        return Match(
            groups: groupNames.indices.map { group in
                slots[group * 2] < 0 || slots[group * 2 + 1] < 0 ? nil : slots[group * 2]..<slots[group * 2 + 1]
            })
    }

    private func expand(_ template: String, _ match: Match, in bytes: Span<UInt8>, into result: inout [UInt8]) {
        var rest = Substring(template)
        while let dollar = rest.utf8.firstIndex(of: UInt8(ascii: "$")) {
            result.append(contentsOf: rest[..<dollar].utf8)
            rest = rest[dollar...]
            if rest.hasPrefix("$$") {
                result.append(UInt8(ascii: "$"))
                rest = rest.dropFirst(2)
            } else if let (name, after) = Pattern.reference(in: rest) {
                if let group = group(named: name), let range = match.groups[group] { result.append(bytes, range) }
                rest = after
            } else {
                result.append(UInt8(ascii: "$"))
                rest = rest.dropFirst()
            }
        }
        result.append(contentsOf: rest.utf8)
    }

    private func group(named name: Substring) -> Int? {
        if let number = Int(name) { return groupNames.indices.contains(number) ? number : nil }
        return groupNames.firstIndex { $0 == String(name) }
    }

    private static func reference(in text: Substring) -> (name: Substring, after: Substring)? {
        let braced = text.hasPrefix("${")
        let inside = text.dropFirst(braced ? 2 : 1)
        let name = inside.prefix { $0 == "_" || $0.isLetter || $0.isNumber }
        let after = inside[name.endIndex...]
        guard !name.isEmpty else { return nil }
        if !braced { return (name, after) }
        return after.hasPrefix("}") ? (name, after.dropFirst()) : nil
    }
}

extension Array where Element == UInt8 {
    fileprivate mutating func append(_ bytes: Span<UInt8>, _ range: Range<Int>) {
        for index in range { append(bytes[index]) }
    }
}

extension Span where Element == UInt8 {
    /// Bytes of the scalar that begins here; 1 at the end of the text.
    fileprivate func lengthOfScalar(at position: Int) -> Int {
        guard position < count else { return 1 }
        switch self[position] {
        case 0xC0...0xDF: return 2
        case 0xE0...0xEF: return 3
        case 0xF0...0xFF: return 4
        default: return 1
        }
    }
}
