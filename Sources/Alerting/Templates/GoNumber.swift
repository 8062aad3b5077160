/// Number literals of Go: decimal, `0x`, `0o`, `0b`, `_` between digits, fractions and exponents.
enum GoNumber {
    /// A whole number unless the text has a point or an exponent; nil if it is no number or fits no type.
    static func parse(_ text: String) -> TemplateNumber? {
        var digits = Substring(text)
        let isNegative = digits.hasPrefix("-")
        if isNegative || digits.hasPrefix("+") { digits = digits.dropFirst() }
        let plain = digits.filter { $0 != "_" }
        guard let first = plain.first, first.isNumber || first == ".", !text.hasSuffix("_") else { return nil }
        let lower = plain.lowercased()
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where lower.hasPrefix(prefix) {
            if let magnitude = Int(lower.dropFirst(2), radix: radix) {
                return .int(isNegative ? -magnitude : magnitude)
            }
            guard radix == 16, let value = Double(lower), lower.contains("p") else { return nil }
            return .float(isNegative ? -value : value)
        }
        if lower.contains(where: { ".ep".contains($0) }) {
            guard let value = Double(lower), value.isFinite else { return nil }
            return .float(isNegative ? -value : value)
        }
        // A leading zero alone means octal, as in C.
        let isOctal = lower.count > 1 && lower.hasPrefix("0")
        guard let value = Int((isNegative ? "-" : "") + lower, radix: isOctal ? 8 : 10) else { return nil }
        return .int(value)
    }

    /// `strconv.ParseFloat` for what templates hand it: decimal and hexadecimal floats, `Inf` and `NaN` in any case.
    static func double(_ text: String) -> Double? {
        guard let first = text.utf8.first, first > 0x20, let last = text.utf8.last, last > 0x20 else { return nil }
        let lower = text.lowercased()
        let unsigned = lower.hasPrefix("+") || lower.hasPrefix("-") ? String(lower.dropFirst()) : lower
        if unsigned.hasPrefix("nan") { return lower == "nan" ? .nan : nil }
        guard let value = Double(lower) else { return nil }
        // An overflow is an error in Go; only the words mean infinity.
        return value.isInfinite && !unsigned.hasPrefix("inf") ? nil : value
    }
}
