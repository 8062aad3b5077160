/// Numbers as YAML 1.1 and 1.2 write them: `10`, `1_000`, `0x1F`, `0o17`, `0b11`, `+3`.
enum YAMLNumber {
    /// Also `1.5`, `1e3`, `.inf`, `-.Inf`, `.NaN`.
    static func number(_ text: String) -> Double? {
        let word = text.hasPrefix("+") || text.hasPrefix("-") ? text.dropFirst() : text[...]
        switch word {
        case ".inf", ".Inf", ".INF": return text.hasPrefix("-") ? -.infinity : .infinity
        case ".nan", ".NaN", ".NAN": return word.count == text.count ? .nan : nil
        default: break
        }
        if word.first == "0", let whole = integer(text), !word.contains(".") { return Double(whole) }
        guard let first = word.first, first.isASCII, first.isNumber || first == "." else { return nil }
        return Double(text.filter { $0 != "_" })
    }

    /// A fraction is cut off, as Go's yaml.v3 does for a field that holds whole numbers.
    static func integer(_ text: String) -> Int? {
        var digits = text.filter { $0 != "_" }[...]
        guard let first = digits.first, digits.last != ".", first != "." || digits.count > 1 else { return nil }
        let isNegative = first == "-"
        if isNegative || first == "+" { digits.removeFirst() }
        guard let start = digits.first, start.isASCII, start.isNumber || start == "." else { return nil }
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] where digits.hasPrefix(prefix) {
            return signed(Int(digits.dropFirst(2), radix: radix), isNegative)
        }
        if digits.count > 1, digits.hasPrefix("0"), let octal = Int(digits, radix: 8) {
            return signed(octal, isNegative)
        }
        if let whole = Int(digits) { return signed(whole, isNegative) }
        guard let number = Double(digits), number.magnitude < 0x1p63 else { return nil }
        return signed(Int(number), isNegative)
    }

    private static func signed(_ value: Int?, _ isNegative: Bool) -> Int? { value.map { isNegative ? -$0 : $0 } }
}
