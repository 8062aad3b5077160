import Runtime

/// A moment as Go's `time.Time` prints it, in UTC.
struct GoTime: Equatable {
    /// Since 1970.
    let milliseconds: Int64

    /// `2006-01-02 15:04:05.999999999 -0700 MST`, the form of `Time.String`.
    var description: String {
        let (seconds, fraction) = milliseconds.floored(by: 1000)
        var text = RFC3339.text(seconds: seconds).replacing("T", with: " ").replacing("Z", with: "")
        if fraction != 0 {
            var digits = String(1000 + fraction).dropFirst()
            while digits.hasSuffix("0") { digits.removeLast() }
            text += "." + digits
        }
        return text + " +0000 UTC"
    }
}

extension Int64 {
    /// Quotient and remainder with the remainder never negative.
    func floored(by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}

/// `time.Duration` as Go prints it: `1h0m0.5s`, `1.5ms`, `0s`.
enum GoDuration {
    static func text(nanoseconds: Int64) -> String {
        guard nanoseconds != 0 else { return "0s" }
        let sign = nanoseconds < 0 ? "-" : ""
        let magnitude = nanoseconds.magnitude
        switch magnitude {
        case ..<1000: return "\(sign)\(magnitude)ns"
        case ..<1_000_000: return sign + decimal(magnitude, unit: 1000) + "µs"
        case ..<1_000_000_000: return sign + decimal(magnitude, unit: 1_000_000) + "ms"
        default:
            let seconds = magnitude / 1_000_000_000
            let rest = decimal(magnitude % 60_000_000_000, unit: 1_000_000_000) + "s"
            if seconds >= 3600 { return "\(sign)\(seconds / 3600)h\(seconds / 60 % 60)m\(rest)" }
            return sign + (seconds >= 60 ? "\(seconds / 60)m" : "") + rest
        }
    }

    private static func decimal(_ value: UInt64, unit: UInt64) -> String {
        let fraction = value % unit
        guard fraction != 0 else { return String(value / unit) }
        var digits = String(fraction)
        digits = String(repeating: "0", count: String(unit).count - 1 - digits.count) + digits
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(value / unit).\(digits)"
    }
}
