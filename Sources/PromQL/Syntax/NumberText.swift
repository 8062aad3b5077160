/// Numbers as a query writes them: decimal, hexadecimal, octal behind a leading zero, `_` between digits, `Inf`, `NaN`.
enum NumberText {
    static func parse(_ text: some StringProtocol) -> Double? {
        let plain = text.contains("_") ? String(text.filter { $0 != "_" }) : String(text)
        let lower = plain.lowercased()
        switch lower {
        case "inf", "+inf": return .infinity
        case "-inf": return -.infinity
        case "nan": return .nan
        default: break
        }
        if lower.hasPrefix("0x") { return UInt64(lower.dropFirst(2), radix: 16).map { Double($0) } }
        let digits = lower.utf8
        if digits.count > 1, digits.first == UInt8(ascii: "0"),
            digits.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "7") ~= $0 }),
            let octal = UInt64(lower, radix: 8)
        {
            return Double(octal)
        }
        guard let first = digits.first, first.isDigit || "+-.".utf8.contains(first) else { return nil }
        // Swift wants digits on both sides of the point.
        var shaped = lower
        if shaped.hasPrefix(".") { shaped = "0" + shaped }
        if let point = shaped.firstIndex(of: "."), !(shaped[shaped.index(after: point)...].first?.isNumber ?? false) {
            shaped.insert("0", at: shaped.index(after: point))
        }
        return Double(shaped)
    }
}
