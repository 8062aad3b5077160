/// Moments as RFC 3339 writes them, in UTC.
public enum RFC3339 {
    /// - Parameters:
    ///   - seconds: since 1970-01-01T00:00:00Z.
    ///   - nanoseconds: of that second.
    ///   - fractionDigits: 0 to 9.
    public static func text(seconds: Int64, nanoseconds: Int = 0, fractionDigits: Int = 0) -> String {
        let (year, month, day) = civilDate(daysSince1970: floorDivide(seconds, 86_400))
        let ofDay = Int(seconds &- floorDivide(seconds, 86_400) &* 86_400)
        var text = pad(year, 4) + "-" + pad(month, 2) + "-" + pad(day, 2)
        text += "T" + pad(ofDay / 3600, 2) + ":" + pad(ofDay / 60 % 60, 2) + ":" + pad(ofDay % 60, 2)
        if fractionDigits > 0 { text += "." + String(pad(nanoseconds, 9).prefix(fractionDigits)) }
        return text + "Z"
    }

    /// Howard Hinnant's `civil_from_days` (chrono-compatible low-level date algorithms), proleptic Gregorian.
    public static func civilDate(daysSince1970: Int64) -> (year: Int, month: Int, day: Int) {
        let shifted = daysSince1970 + 719_468
        let era = floorDivide(shifted, 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (Int(yearOfEra + era * 400 + (month <= 2 ? 1 : 0)), Int(month), Int(day))
    }

    private static func floorDivide(_ value: Int64, _ divisor: Int64) -> Int64 {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }

    private static func pad(_ value: Int, _ width: Int) -> String {
        let digits = String(value)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
