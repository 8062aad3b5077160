/// The text between the quotes of a string literal, with its escapes undone as Go does; nil if an escape is malformed
/// or the bytes it makes are not UTF-8.
func unquoted(_ literal: Substring) -> String? {
    unquotedBytes(literal).flatMap { String(validating: $0, as: UTF8.self) }
}

/// The same as bytes, which may be any; nil only if an escape is malformed.
func unquotedBytes(_ literal: Substring) -> [UInt8]? {
    let bytes = Array(literal.utf8)
    guard bytes.count >= 2 else { return nil }
    let inside = bytes[1..<(bytes.count - 1)]
    guard bytes[0] != UInt8(ascii: "`"), inside.contains(UInt8(ascii: "\\")) else { return Array(inside) }
    var result: [UInt8] = []
    var rest = inside
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "\\") else {
            result.append(byte)
            continue
        }
        guard let escape = rest.popFirst(), let made = escaped(escape, &rest) else { return nil }
        result += made
    }
    return result
}

private func escaped(_ escape: UInt8, _ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
    switch escape {
    case UInt8(ascii: "a"): return [0x07]
    case UInt8(ascii: "b"): return [0x08]
    case UInt8(ascii: "f"): return [0x0C]
    case UInt8(ascii: "n"): return [0x0A]
    case UInt8(ascii: "r"): return [0x0D]
    case UInt8(ascii: "t"): return [0x09]
    case UInt8(ascii: "v"): return [0x0B]
    case UInt8(ascii: "\\"), UInt8(ascii: "'"), UInt8(ascii: "\""): return [escape]
    case UInt8(ascii: "0")...UInt8(ascii: "7"):
        guard rest.count >= 2 else { return nil }
        var value = UInt32(escape - UInt8(ascii: "0"))
        for _ in 0..<2 {
            guard let digit = rest.popFirst(), UInt8(ascii: "0")...UInt8(ascii: "7") ~= digit else { return nil }
            value = value * 8 + UInt32(digit - UInt8(ascii: "0"))
        }
        return value <= 0xFF ? [UInt8(value)] : nil
    case UInt8(ascii: "x"):
        guard let value = hexadecimal(2, &rest) else { return nil }
        return [UInt8(value)]
    case UInt8(ascii: "u"), UInt8(ascii: "U"):
        guard let value = hexadecimal(escape == UInt8(ascii: "u") ? 4 : 8, &rest),
            let scalar = Unicode.Scalar(value)
        else { return nil }
        return Array(String(scalar).utf8)
    default: return nil
    }
}

private func hexadecimal(_ digits: Int, _ rest: inout ArraySlice<UInt8>) -> UInt32? {
    var value: UInt32 = 0
    for _ in 0..<digits {
        guard let digit = rest.popFirst()?.hexadecimalValue else { return nil }
        value = value << 4 | digit
    }
    return value
}

/// The text in double quotes, escaped as Go's `strconv.Quote` does.
func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\u{07}": result += "\\a"
        case "\u{08}": result += "\\b"
        case "\u{0C}": result += "\\f"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case "\u{0B}": result += "\\v"
        case _ where scalar.isPrintable: result.unicodeScalars.append(scalar)
        case _ where scalar.value < 0x80: result += "\\x" + hexadecimal(scalar.value, digits: 2)
        case _ where scalar.value < 0x10000: result += "\\u" + hexadecimal(scalar.value, digits: 4)
        default: result += "\\U" + hexadecimal(scalar.value, digits: 8)
        }
    }
    return result + "\""
}

private func hexadecimal(_ value: UInt32, digits: Int) -> String {
    let text = String(value, radix: 16)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

extension Unicode.Scalar {
    fileprivate var isPrintable: Bool {
        if value < 0x80 { return 0x20...0x7E ~= value }
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default: return true
        }
    }
}
