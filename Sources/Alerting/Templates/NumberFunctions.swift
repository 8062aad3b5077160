import PromQL
import Runtime

/// Numbers for people, and numbers as moments and durations.
extension TemplateFunction {
    static let numbers: [TemplateFunction] = [
        TemplateFunction("humanize") { value throws(TemplateFailure) in .string(Humanize.decimal(try number(value))) },
        TemplateFunction("humanize1024") { value throws(TemplateFailure) in
            .string(Humanize.binary(try number(value)))
        },
        TemplateFunction("humanizeDuration") { value throws(TemplateFailure) in
            .string(Humanize.duration(try number(value)))
        },
        TemplateFunction("humanizePercentage") { value throws(TemplateFailure) in
            .string(Humanize.fourDigits(try number(value) * 100) + "%")
        },
        TemplateFunction("humanizeTimestamp") { value throws(TemplateFailure) in
            let seconds = try number(value)
            return .string(seconds.isFinite ? try time(seconds).description : Humanize.fourDigits(seconds))
        },
        TemplateFunction("toTime") { value throws(TemplateFailure) in
            let seconds = try number(value)
            guard seconds.isFinite else { throw TemplateFailure("value is NaN or Inf") }
            return .time(try time(seconds))
        },
        TemplateFunction("toDuration") { value throws(TemplateFailure) in
            let seconds = try number(value)
            guard seconds.isFinite else { throw TemplateFailure("value is NaN or Inf") }
            return .duration(try nanoseconds(seconds, as: "nanoseconds duration"))
        },
        TemplateFunction("now", []) { environment, _, _ in .float(environment.now) },
        TemplateFunction("parseDuration", strings: 1) { texts throws(TemplateFailure) in
            .float(Double(try milliseconds(ofDuration: texts[0])) / 1000)
        },
    ]

    private static func number(_ value: TemplateValue) throws(TemplateFailure) -> Double {
        switch value {
        case .float(let value): return value
        case .int(let value): return Double(value)
        case .duration(let nanoseconds): return Double(nanoseconds) / 1e9
        case .string(let text):
            guard let value = GoNumber.double(text) else {
                throw TemplateFailure("strconv.ParseFloat: parsing \(GoQuote.quoted(text)): invalid syntax")
            }
            return value
        default: throw TemplateFailure("can't convert \(value.type) to float")
        }
    }

    /// Whole milliseconds, like every time of Prometheus.
    private static func time(_ seconds: Double) throws(TemplateFailure) -> GoTime {
        GoTime(milliseconds: try nanoseconds(seconds, as: "nanoseconds timestamp") / 1_000_000)
    }

    private static func nanoseconds(_ seconds: Double, as what: String) throws(TemplateFailure) -> Int64 {
        guard let nanoseconds = Int64(exactly: (seconds * 1e9).rounded(.towardZero)) else {
            throw TemplateFailure(
                "\(GoFormat.text(seconds)) cannot be represented as a \(what) since it overflows int64")
        }
        return nanoseconds
    }

    private static func milliseconds(ofDuration text: String) throws(TemplateFailure) -> Int64 {
        guard !text.isEmpty else { throw TemplateFailure("empty duration string") }
        guard let milliseconds = DurationText.parse(text) else {
            throw TemplateFailure("not a valid duration string: \(GoQuote.quoted(text))")
        }
        return milliseconds
    }
}

/// Numbers of four digits with a prefix of size.
private enum Humanize {
    private static let small = ["m", "u", "n", "p", "f", "a", "z", "y"]

    static func fourDigits(_ value: Double) -> String { GoFormat.text(value, .general, precision: 4) }

    static func decimal(_ value: Double) -> String {
        guard value != 0, value.isFinite else { return fourDigits(value) }
        guard value.magnitude < 1 else { return scaled(value, by: 1000, ["k", "M", "G", "T", "P", "E", "Z", "Y"]) }
        return enlarged(value)
    }

    static func binary(_ value: Double) -> String {
        guard value.magnitude > 1, value.isFinite else { return fourDigits(value) }
        return scaled(value, by: 1024, ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"])
    }

    static func duration(_ seconds: Double) -> String {
        guard seconds.isFinite else { return fourDigits(seconds) }
        guard seconds != 0 else { return "0s" }
        guard seconds.magnitude >= 1 else { return enlarged(seconds) + "s" }
        let sign = seconds < 0 ? "-" : ""
        // Beyond 64 bits Go's conversion on amd64 gives the least number of all, and so the text Prometheus shows.
        let whole = Int64(exactly: seconds.magnitude.rounded(.towardZero)) ?? .min
        let clock = (days: whole / 86_400, hours: whole / 3600 % 24, minutes: whole / 60 % 60, seconds: whole % 60)
        if clock.days != 0 { return "\(sign)\(clock.days)d \(clock.hours)h \(clock.minutes)m \(clock.seconds)s" }
        if clock.hours != 0 { return "\(sign)\(clock.hours)h \(clock.minutes)m \(clock.seconds)s" }
        if clock.minutes != 0 { return "\(sign)\(clock.minutes)m \(clock.seconds)s" }
        return sign + fourDigits(seconds.magnitude) + "s"
    }

    private static func scaled(_ value: Double, by base: Double, _ prefixes: [String]) -> String {
        var value = value
        var prefix = ""
        for larger in prefixes where value.magnitude >= base {
            prefix = larger
            value /= base
        }
        return fourDigits(value) + prefix
    }

    private static func enlarged(_ value: Double) -> String {
        var value = value
        var prefix = ""
        for smaller in small where value.magnitude < 1 {
            prefix = smaller
            value *= 1000
        }
        return fourDigits(value) + prefix
    }
}
