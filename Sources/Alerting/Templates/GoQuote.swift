/// Go string literals: `strconv.Quote` and `strconv.Unquote`.
enum GoQuote {
    /// `text` between double quotes, with what is not printable escaped.
    static func quoted(_ text: String, ascii: Bool = false) -> String {
        var result = "\""
        for scalar in text.unicodeScalars { append(scalar, quote: "\"", ascii: ascii, to: &result) }
        return result + "\""
    }

    /// A character between single quotes.
    static func quoted(_ scalar: Unicode.Scalar, ascii: Bool = false) -> String {
        var result = "'"
        append(scalar, quote: "'", ascii: ascii, to: &result)
        return result + "'"
    }

    /// The text of a literal between `"`, `'` or backquotes; nil if it is not one.
    static func unquoted(_ literal: String) -> String? {
        var bytes = Array(literal.utf8)
        guard bytes.count >= 2, let quote = bytes.first, bytes.last == quote else { return nil }
        bytes = Array(bytes[1..<(bytes.count - 1)])
        if quote == UInt8(ascii: "`") {
            return String(decoding: bytes.filter { $0 != UInt8(ascii: "\r") }, as: UTF8.self)
        }
        guard quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") else { return nil }
        return unescaped(bytes, quote: quote)
    }

    private static func unescaped(_ bytes: [UInt8], quote: UInt8) -> String? {
        var result: [UInt8] = []
        var at = 0
        while at < bytes.count {
            let byte = bytes[at]
            at += 1
            if byte == quote || byte == UInt8(ascii: "\n") { return nil }
            guard byte == UInt8(ascii: "\\") else {
                result.append(byte)
                continue
            }
            guard at < bytes.count else { return nil }
            let letter = bytes[at]
            at += 1
            switch letter {
            case UInt8(ascii: "a"): result.append(0x07)
            case UInt8(ascii: "b"): result.append(0x08)
            case UInt8(ascii: "f"): result.append(0x0c)
            case UInt8(ascii: "n"): result.append(0x0a)
            case UInt8(ascii: "r"): result.append(0x0d)
            case UInt8(ascii: "t"): result.append(0x09)
            case UInt8(ascii: "v"): result.append(0x0b)
            case UInt8(ascii: "\\"): result.append(letter)
            case UInt8(ascii: "'"), UInt8(ascii: "\""):
                guard letter == quote else { return nil }
                result.append(letter)
            case UInt8(ascii: "x"):
                guard let code = number(bytes, &at, digits: 2, radix: 16) else { return nil }
                result.append(UInt8(code))
            case UInt8(ascii: "0")...UInt8(ascii: "7"):
                at -= 1
                guard let code = number(bytes, &at, digits: 3, radix: 8), code < 256 else { return nil }
                result.append(UInt8(code))
            case UInt8(ascii: "u"), UInt8(ascii: "U"):
                let digits = letter == UInt8(ascii: "u") ? 4 : 8
                guard let code = number(bytes, &at, digits: digits, radix: 16), let scalar = Unicode.Scalar(code)
                else { return nil }
                result.append(contentsOf: Array(String(Character(scalar)).utf8))
            default: return nil
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    private static func number(_ bytes: [UInt8], _ at: inout Int, digits: Int, radix: Int) -> UInt32? {
        guard at + digits <= bytes.count else { return nil }
        let isDigits = bytes[at..<(at + digits)].allSatisfy { byte in
            UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte || UInt8(ascii: "a")...UInt8(ascii: "f") ~= byte | 0x20
        }
        // Swift's own reading would take a sign as well.
        guard isDigits else { return nil }
        defer { at += digits }
        return UInt32(String(decoding: bytes[at..<(at + digits)], as: UTF8.self), radix: radix)
    }

    private static func append(
        _ scalar: Unicode.Scalar, quote: Unicode.Scalar, ascii: Bool, to result: inout String
    ) {
        switch scalar {
        case quote, "\\": result += "\\\(scalar)"
        case "\u{07}": result += "\\a"
        case "\u{08}": result += "\\b"
        case "\u{0c}": result += "\\f"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case "\u{0b}": result += "\\v"
        case _ where scalar.value < 0x20 || scalar.value == 0x7f: result += "\\x" + hexadecimal(scalar.value, 2)
        case _ where scalar.value >= 0x80 && (ascii || !isPrintable(scalar)):
            result +=
                scalar.value > 0xffff ? "\\U" + hexadecimal(scalar.value, 8) : "\\u" + hexadecimal(scalar.value, 4)
        default: result.unicodeScalars.append(scalar)
        }
    }

    /// Letters, marks, numbers, punctuation and symbols, and of white space only the ASCII blank.
    static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        case .spaceSeparator: scalar == " "
        default: true
        }
    }

    private static func hexadecimal(_ value: UInt32, _ digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }
}
