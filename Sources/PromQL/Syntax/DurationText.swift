/// Durations as Prometheus writes them, in whole milliseconds: `1h30m`, units in descending order, each at most once.
public enum DurationText {
    private static let units: [(suffix: String, milliseconds: Int64)] = [
        ("y", 365 * 86_400_000), ("w", 7 * 86_400_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000),
        ("s", 1000), ("ms", 1),
    ]

    /// Milliseconds; nil if the text is no duration or longer than some 292 years, which is as far as Go counts.
    public static func parse(_ text: some StringProtocol) -> Int64? {
        if text == "0" { return 0 }
        var rest = Array(text.utf8)[...]
        guard !rest.isEmpty else { return nil }
        var total: Int64 = 0
        var nextUnit = 0
        while !rest.isEmpty {
            var count: Int64 = 0
            var digits = 0
            while let digit = rest.first, digit.isDigit {
                let (tens, overflows) = count.multipliedReportingOverflow(by: 10)
                guard !overflows, tens < 1 << 60 else { return nil }
                count = tens + Int64(digit - UInt8(ascii: "0"))
                digits += 1
                rest.removeFirst()
            }
            let suffix = String(decoding: rest.prefix { $0.isLetter }, as: UTF8.self)
            guard digits > 0, let unit = units[nextUnit...].firstIndex(where: { $0.suffix == suffix }) else {
                return nil
            }
            let (span, tooLong) = count.multipliedReportingOverflow(by: units[unit].milliseconds)
            guard !tooLong, span <= limit - total else { return nil }
            total += span
            nextUnit = unit + 1
            rest.removeFirst(suffix.utf8.count)
        }
        return total
    }

    /// 2⁶³ nanoseconds, in milliseconds.
    private static let limit: Int64 = 9_223_372_036_854

    /// Years, weeks and days stand only where the duration is a whole number of them: 90 days are `90d`.
    public static func text(_ milliseconds: Int64) -> String {
        if milliseconds == 0 { return "0s" }
        var rest = milliseconds.magnitude
        var result = milliseconds < 0 ? "-" : ""
        for (index, unit) in units.enumerated() {
            let size = UInt64(unit.milliseconds)
            let mustBeExact = index < 2
            if mustBeExact, rest % size != 0 { continue }
            if rest >= size { result += "\(rest / size)\(unit.suffix)" }
            rest %= size
        }
        return result
    }
}
