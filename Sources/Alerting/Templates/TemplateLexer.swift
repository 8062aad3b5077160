import Runtime

/// One word of a template. `text` is what stands in the source.
struct TemplateToken {
    enum Kind {
        case text, open, close, space, identifier
        case keyword(TemplateKeyword)
        case field, variable, dot, bool, `nil`
        case number, character, string, rawString, pipe, assign, declare, comma, leftParenthesis, rightParenthesis
        case end
    }

    let kind: Kind
    let text: String
    /// Offset in the source, in bytes.
    let position: Int

    /// How Go's messages name a token.
    var name: String {
        switch kind {
        case .end: "EOF"
        case .keyword: "<\(text)>"
        default:
            text.utf8.count > 10 ? GoQuote.quoted(String(text.prefix(10))) + "..." : GoQuote.quoted(text)
        }
    }
}

enum TemplateKeyword: String {
    case block, `break`, `continue`, define, `else`, end, `if`, range, template, with
}

/// Cuts a template into words: text outside `{{ }}`, and inside it the words of Go's template language.
struct TemplateLexer {
    private let source: [UInt8]
    private(set) var at = 0
    private var isInsideAction = false
    private var parentheses = 0
    /// The text that follows loses its leading white space, because the action before it ended in ` -}}`.
    private var trimsNextText = false

    init(_ source: [UInt8]) { self.source = source }

    mutating func next() throws(TemplateError) -> TemplateToken {
        if isInsideAction { return try insideAction() }
        if let text = outsideAction() { return text }
        guard at < source.count else { return token(.end, from: at) }
        return try open()
    }

    // MARK: Outside actions

    /// The text up to the next action, or nil where nothing of it is left.
    private mutating func outsideAction() -> TemplateToken? {
        var start = at
        while at < source.count, !follows("{{") { at += 1 }
        var end = at
        if trimsNextText {
            while start < end, Self.isSpace(source[start]) { start += 1 }
            trimsNextText = false
        }
        if opensTrimming {
            while end > start, Self.isSpace(source[end - 1]) { end -= 1 }
        }
        guard start < end else { return nil }
        return TemplateToken(kind: .text, text: text(start, end), position: start)
    }

    private var opensTrimming: Bool {
        follows("{{-") && at + 3 < source.count && Self.isSpace(source[at + 3])
    }

    private mutating func open() throws(TemplateError) -> TemplateToken {
        let start = at
        let afterMarker = at + (opensTrimming ? 4 : 2)
        if follows("/*", from: afterMarker) {
            at = afterMarker
            try skipComment()
            return try next()
        }
        at = afterMarker
        isInsideAction = true
        parentheses = 0
        return TemplateToken(kind: .open, text: "{{", position: start)
    }

    private mutating func skipComment() throws(TemplateError) {
        let start = at
        while at < source.count, !follows("*/") { at += 1 }
        guard at < source.count else { throw error("unclosed comment", at: start) }
        at += 2
        if closesTrimming {
            at += 4
            trimsNextText = true
        } else if follows("}}") {
            at += 2
        } else {
            throw error("comment ends before closing delimiter", at: start)
        }
    }

    // MARK: Inside actions

    private var closesTrimming: Bool {
        at < source.count && Self.isSpace(source[at]) && follows("-}}", from: at + 1)
    }

    private mutating func insideAction() throws(TemplateError) -> TemplateToken {
        let start = at
        if closesTrimming || follows("}}") {
            guard parentheses == 0 else { throw error("unclosed left paren", at: start) }
            trimsNextText = closesTrimming
            at += trimsNextText ? 4 : 2
            isInsideAction = false
            return TemplateToken(kind: .close, text: "}}", position: start)
        }
        guard at < source.count else { throw error("unclosed action", at: start) }
        let byte = source[at]
        if Self.isSpace(byte) {
            while at < source.count, Self.isSpace(source[at]), !closesTrimming { at += 1 }
            return token(.space, from: start)
        }
        at += 1
        switch byte {
        case UInt8(ascii: "="): return token(.assign, from: start)
        case UInt8(ascii: ":"):
            guard follows("=") else { throw error("expected :=", at: start) }
            at += 1
            return token(.declare, from: start)
        case UInt8(ascii: "|"): return token(.pipe, from: start)
        case UInt8(ascii: ","): return token(.comma, from: start)
        case UInt8(ascii: "\""), UInt8(ascii: "'"): return try quoted(by: byte, from: start)
        case UInt8(ascii: "`"):
            while at < source.count, source[at] != byte { at += 1 }
            guard at < source.count else { throw error("unterminated raw quoted string", at: start) }
            at += 1
            return token(.rawString, from: start)
        case UInt8(ascii: "$"): return try name(.variable, from: start)
        case UInt8(ascii: "."):
            if at < source.count, Self.isDigit(source[at]) { return try number(from: start) }
            guard at < source.count, Self.isAlphanumeric(source[at]) else { return token(.dot, from: start) }
            return try name(.field, from: start)
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try number(from: start)
        case UInt8(ascii: "("):
            parentheses += 1
            return token(.leftParenthesis, from: start)
        case UInt8(ascii: ")"):
            parentheses -= 1
            guard parentheses >= 0 else { throw error("unexpected right paren", at: start) }
            return token(.rightParenthesis, from: start)
        case _ where Self.isAlphanumeric(byte): return try identifier(from: start)
        default: throw error("unrecognized character in action: \(Self.unicodeName(character(at: start)))", at: start)
        }
    }

    private mutating func quoted(by quote: UInt8, from start: Int) throws(TemplateError) -> TemplateToken {
        let what = quote == UInt8(ascii: "'") ? "unterminated character constant" : "unterminated quoted string"
        while at < source.count, source[at] != quote {
            if source[at] == UInt8(ascii: "\n") { throw error(what, at: start) }
            at += source[at] == UInt8(ascii: "\\") ? 2 : 1
        }
        guard at < source.count else { throw error(what, at: start) }
        at += 1
        return token(quote == UInt8(ascii: "'") ? .character : .string, from: start)
    }

    /// A `$variable` or `.Field`, whose mark is already taken.
    private mutating func name(_ kind: TemplateToken.Kind, from start: Int) throws(TemplateError) -> TemplateToken {
        skipAlphanumerics()
        try expectTerminator()
        return token(kind, from: start)
    }

    private mutating func identifier(from start: Int) throws(TemplateError) -> TemplateToken {
        skipAlphanumerics()
        try expectTerminator()
        let word = text(start, at)
        if let keyword = TemplateKeyword(rawValue: word) { return token(.keyword(keyword), from: start) }
        switch word {
        case "true", "false": return token(.bool, from: start)
        case "nil": return token(.nil, from: start)
        default: return token(.identifier, from: start)
        }
    }

    private mutating func number(from start: Int) throws(TemplateError) -> TemplateToken {
        at = start
        if source[at] == UInt8(ascii: "+") || source[at] == UInt8(ascii: "-") { at += 1 }
        var isHexadecimal = false
        if follows("0"), at + 1 < source.count, "xXoObB".utf8.contains(source[at + 1]) {
            isHexadecimal = source[at + 1] | 0x20 == UInt8(ascii: "x")
            at += 2
        }
        while at < source.count {
            let byte = source[at]
            let lower = byte | 0x20
            if lower == UInt8(ascii: isHexadecimal ? "p" : "e") {
                at += 1
                if at < source.count, source[at] == UInt8(ascii: "+") || source[at] == UInt8(ascii: "-") { at += 1 }
                continue
            }
            let isHexadecimalDigit = isHexadecimal && lower >= UInt8(ascii: "a") && lower <= UInt8(ascii: "f")
            guard Self.isDigit(byte) || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_") || isHexadecimalDigit
            else { break }
            at += 1
        }
        guard at == source.count || !Self.isAlphanumeric(source[at]) else {
            at += 1
            throw error("bad number syntax: \(GoQuote.quoted(text(start, at)))", at: start)
        }
        return token(.number, from: start)
    }

    private mutating func skipAlphanumerics() {
        while at < source.count, Self.isAlphanumeric(source[at]) { at += 1 }
    }

    private func expectTerminator() throws(TemplateError) {
        guard at < source.count else { return }
        let byte = source[at]
        if Self.isSpace(byte) || ".,|:()}".utf8.contains(byte) { return }
        throw error("bad character \(Self.unicodeName(character(at: at)))", at: at)
    }

    // MARK: Bytes

    private func token(_ kind: TemplateToken.Kind, from start: Int) -> TemplateToken {
        TemplateToken(kind: kind, text: text(start, at), position: start)
    }

    private func text(_ start: Int, _ end: Int) -> String {
        String(decoding: source[start..<min(end, source.count)], as: UTF8.self)
    }

    private func follows(_ word: StaticString, from start: Int? = nil) -> Bool {
        var index = start ?? at
        for byte in word.description.utf8 {
            guard index < source.count, source[index] == byte else { return false }
            index += 1
        }
        return true
    }

    private func character(at index: Int) -> Unicode.Scalar {
        String(decoding: source[index..<min(index + 4, source.count)], as: UTF8.self).unicodeScalars.first ?? " "
    }

    private func error(_ what: String, at position: Int) -> TemplateError {
        .syntax(line: TemplateSource.line(of: position, in: source), what)
    }

    /// How Go's `%#U` names a character: `U+0040 '@'`.
    private static func unicodeName(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16, uppercase: true)
        return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits + " '\(scalar)'"
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    /// Letters, digits and `_`; what is not ASCII counts as a letter.
    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "_") || byte >= 0x80
            || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
    }
}

/// Where a byte of a template stands, counted as Go's messages count: lines from 1, columns in bytes from 0.
enum TemplateSource {
    static func line(of position: Int, in source: [UInt8]) -> Int {
        1 + source[..<min(position, source.count)].count { $0 == UInt8(ascii: "\n") }
    }

    static func column(of position: Int, in source: [UInt8]) -> Int {
        let before = source[..<min(position, source.count)]
        guard let newline = before.lastIndex(of: UInt8(ascii: "\n")) else { return position }
        return position - newline - 1
    }
}
