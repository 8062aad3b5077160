/// Numbers as Go writes them, from Swift's shortest digits that read back as the same number.
enum FloatText {
    /// Go's `'f'` with precision -1: never an exponent.
    static func plain(_ value: Double) -> String {
        if let special = special(value) { return special }
        let (negative, digits, exponent) = parts(of: value)
        let sign = negative ? "-" : ""
        if exponent <= 0 { return sign + "0." + String(repeating: "0", count: -exponent) + digits }
        if digits.utf8.count <= exponent {
            return sign + (digits == "0" ? "0" : digits + String(repeating: "0", count: exponent - digits.utf8.count))
        }
        return sign + digits.prefix(exponent) + "." + digits.dropFirst(exponent)
    }

    /// Go's `%v`: an exponent below 10⁻⁴ and from 10²¹ on.
    static func general(_ value: Double) -> String {
        if let special = special(value) { return special }
        let (negative, digits, exponent) = parts(of: value)
        if value == 0 || (-4..<21).contains(exponent - 1) { return plain(value) }
        let power = exponent - 1
        let fraction = digits.utf8.count > 1 ? "." + digits.dropFirst() : ""
        let magnitude = power.magnitude < 10 ? "0\(power.magnitude)" : "\(power.magnitude)"
        return "\(negative ? "-" : "")\(digits.prefix(1))\(fraction)e\(power < 0 ? "-" : "+")\(magnitude)"
    }

    private static func special(_ value: Double) -> String? {
        if value.isNaN { return "NaN" }
        return value.isInfinite ? (value < 0 ? "-Inf" : "+Inf") : nil
    }

    /// The digits d₁d₂… and the exponent e of 0.d₁d₂… × 10ᵉ; zero is "0" with the exponent 1.
    private static func parts(of value: Double) -> (negative: Bool, digits: String, exponent: Int) {
        let negative = value.sign == .minus
        var text = value.magnitude.description[...]
        var exponent = 0
        if let mark = text.firstIndex(of: "e") {
            exponent = Int(text[text.index(after: mark)...]) ?? 0
            text = text[..<mark]
        }
        let point = text.firstIndex(of: ".") ?? text.endIndex
        let whole = text[..<point]
        let fraction = point < text.endIndex ? text[text.index(after: point)...] : ""
        var digits = String(whole + fraction)
        exponent += whole.count
        let leading = digits.prefix { $0 == "0" }.count
        if leading == digits.count { return (negative, "0", 1) }
        digits.removeFirst(leading)
        exponent -= leading
        while digits.hasSuffix("0") { digits.removeLast() }
        return (negative, digits, exponent)
    }
}
