/// Cuts a query into tokens. Keywords are identifiers here: most of them may also name a metric.
struct Lexer {
    private let text: String
    private let bytes: [UInt8]
    private var position = 0
    private var inBrackets = false
    private var inBraces = false

    init(_ text: String) {
        self.text = text
        bytes = Array(text.utf8)
    }

    /// Every token and one more for the end.
    mutating func tokens() throws(PromQLError) -> [Token] {
        var tokens: [Token] = []
        repeat {
            tokens.append(try next())
        } while tokens[tokens.count - 1].kind != .end
        return tokens
    }

    private mutating func next() throws(PromQLError) -> Token {
        skipBlanks()
        let start = position
        guard let byte = peek else { return Token(kind: .end, range: start..<start) }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"), UInt8(ascii: "`"):
            return try string(closedBy: byte)
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            return try numberOrDuration()
        case UInt8(ascii: ".") where (peek(1) ?? 0).isDigit:
            return try numberOrDuration()
        case UInt8(ascii: ":") where inBrackets:
            return take(1, .colon)
        case UInt8(ascii: ":"):
            return identifier()
        case _ where byte.isLetter:
            return identifier()
        default:
            return try symbol(byte)
        }
    }

    private mutating func skipBlanks() {
        while let byte = peek {
            if byte == UInt8(ascii: "#") {
                while let other = peek, other != UInt8(ascii: "\n") {
                    _ = other
                    position += 1
                }
            } else if [UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(byte) {
                position += 1
            } else {
                return
            }
        }
    }

    private mutating func identifier() -> Token {
        let start = position
        while let byte = peek, byte.isLetter || byte.isDigit || (byte == UInt8(ascii: ":") && !inBrackets) {
            position += 1
        }
        return Token(kind: .identifier, range: start..<position)
    }

    private mutating func symbol(_ byte: UInt8) throws(PromQLError) -> Token {
        let second = peek(1)
        switch byte {
        case UInt8(ascii: "("): return take(1, .leftParenthesis)
        case UInt8(ascii: ")"): return take(1, .rightParenthesis)
        case UInt8(ascii: "{"):
            inBraces = true
            return take(1, .leftBrace)
        case UInt8(ascii: "}"):
            inBraces = false
            return take(1, .rightBrace)
        case UInt8(ascii: "["):
            inBrackets = true
            return take(1, .leftBracket)
        case UInt8(ascii: "]"):
            inBrackets = false
            return take(1, .rightBracket)
        case UInt8(ascii: ","): return take(1, .comma)
        case UInt8(ascii: "@"): return take(1, .at)
        case UInt8(ascii: "+"): return take(1, .plus)
        case UInt8(ascii: "-"): return take(1, .minus)
        case UInt8(ascii: "*"): return take(1, .star)
        case UInt8(ascii: "/"): return take(1, .slash)
        case UInt8(ascii: "%"): return take(1, .percent)
        case UInt8(ascii: "^"): return take(1, .caret)
        case UInt8(ascii: "=") where second == UInt8(ascii: "=") && !inBraces: return take(2, .equals)
        case UInt8(ascii: "=") where second == UInt8(ascii: "~"): return take(2, .equalsRegex)
        case UInt8(ascii: "="): return take(1, .equal)
        case UInt8(ascii: "!") where second == UInt8(ascii: "="): return take(2, .notEquals)
        case UInt8(ascii: "!") where second == UInt8(ascii: "~"): return take(2, .notRegex)
        case UInt8(ascii: "<") where second == UInt8(ascii: "="): return take(2, .lessOrEqual)
        case UInt8(ascii: "<") where second == UInt8(ascii: "/"): return take(2, .trimUpper)
        case UInt8(ascii: "<"): return take(1, .less)
        case UInt8(ascii: ">") where second == UInt8(ascii: "="): return take(2, .greaterOrEqual)
        case UInt8(ascii: ">") where second == UInt8(ascii: "/"): return take(2, .trimLower)
        case UInt8(ascii: ">"): return take(1, .greater)
        default:
            let index = text.utf8.index(text.startIndex, offsetBy: position)
            throw failure("unexpected character: \(quoted(String(text.unicodeScalars[index])))", from: position)
        }
    }

    /// A quoted text with its quotes; `Unquoting` reads what is between them.
    private mutating func string(closedBy quote: UInt8) throws(PromQLError) -> Token {
        let start = position
        position += 1
        while let byte = peek {
            position += 1
            if byte == quote { return Token(kind: .string, range: start..<position) }
            guard quote != UInt8(ascii: "`") else { continue }
            if byte == UInt8(ascii: "\n") { break }
            if byte == UInt8(ascii: "\\"), peek != nil { position += 1 }
        }
        throw failure(
            quote == UInt8(ascii: "`") ? "unterminated raw string" : "unterminated quoted string", from: start)
    }

    // MARK: Numbers

    private mutating func numberOrDuration() throws(PromQLError) -> Token {
        let start = position
        if scanNumber(), !(peek ?? 0).isLetter, !(peek ?? 0).isDigit {
            return Token(kind: .number, range: start..<position)
        }
        position = start
        if scanDuration(), !(peek ?? 0).isLetter, !(peek ?? 0).isDigit {
            return Token(kind: .duration, range: start..<position)
        }
        while let byte = peek, byte.isLetter || byte.isDigit { position += 1 }
        throw failure("bad number or duration syntax: \(quoted(textFrom(start)))", from: start)
    }

    private mutating func scanNumber() -> Bool {
        let isHexadecimal = peek == UInt8(ascii: "0") && (peek(1) ?? 0) | 0x20 == UInt8(ascii: "x")
        if isHexadecimal {
            position += 2
            let start = position
            while let byte = peek, byte.isHexadecimalDigit || (byte == UInt8(ascii: "_") && byte != peek(1)) {
                position += 1
            }
            return position > start && bytes[position - 1] != UInt8(ascii: "_")
        }
        scanDigits()
        if peek == UInt8(ascii: ".") {
            position += 1
            scanDigits()
        }
        if let byte = peek, byte | 0x20 == UInt8(ascii: "e") {
            let beforeExponent = position
            position += 1
            if peek == UInt8(ascii: "+") || peek == UInt8(ascii: "-") { position += 1 }
            guard (peek ?? 0).isDigit else {
                position = beforeExponent
                return false
            }
            scanDigits()
        }
        return true
    }

    /// Digits with single underscores between them.
    private mutating func scanDigits() {
        while let byte = peek,
            byte.isDigit
                || (byte == UInt8(ascii: "_") && position > 0 && bytes[position - 1].isDigit && (peek(1) ?? 0).isDigit)
        {
            position += 1
        }
    }

    private mutating func scanDuration() -> Bool {
        var groups = 0
        while (peek ?? 0).isDigit {
            while (peek ?? 0).isDigit { position += 1 }
            guard let unit = peek, "smhdwy".utf8.contains(unit) else { return false }
            position += 1
            if unit == UInt8(ascii: "m"), peek == UInt8(ascii: "s") { position += 1 }
            groups += 1
        }
        return groups > 0
    }

    // MARK: Reading

    private var peek: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func peek(_ ahead: Int) -> UInt8? { position + ahead < bytes.count ? bytes[position + ahead] : nil }

    private mutating func take(_ count: Int, _ kind: Token.Kind) -> Token {
        position += count
        return Token(kind: kind, range: (position - count)..<position)
    }

    private func textFrom(_ start: Int) -> String { String(decoding: bytes[start..<position], as: UTF8.self) }

    private func failure(_ message: String, from start: Int) -> PromQLError {
        .syntax(SyntaxProblem(message, at: start..<position, in: text))
    }
}

extension UInt8 {
    /// A letter of ASCII or the underscore.
    var isLetter: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "_"): true
        default: false
        }
    }

    var isDigit: Bool { UInt8(ascii: "0")...UInt8(ascii: "9") ~= self }

    var isHexadecimalDigit: Bool { hexadecimalValue != nil }

    var hexadecimalValue: UInt32? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(self - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(self - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(self - UInt8(ascii: "A") + 10)
        default: nil
        }
    }
}
