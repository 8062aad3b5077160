import PromQL
import Runtime

/// Times and durations as clients of the API write them.
enum APITime {
    /// Milliseconds since the epoch of seconds with a fraction, or of RFC 3339.
    static func time(_ text: String) -> Int64? {
        if let seconds = seconds(text) { return milliseconds(seconds) }
        switch text {
        // What Prometheus hands out for "since ever" and "for ever".
        case "-292273086-05-16T16:47:06Z": return .min / 4
        case "292277025-08-18T07:12:54.999999999Z": return .max / 4
        default: return Moment(text)?.milliseconds
        }
    }

    /// Milliseconds of seconds with a fraction, or of `1h30m`.
    static func duration(_ text: String) -> Int64? {
        if let seconds = seconds(text) { return milliseconds(seconds) }
        return DurationText.parse(text)
    }

    private static func seconds(_ text: String) -> Double? {
        guard let first = text.utf8.first, first != UInt8(ascii: " ") else { return nil }
        return Double(text)
    }

    private static func milliseconds(_ seconds: Double) -> Int64? {
        guard seconds.magnitude < 9_223_372_036 else { return nil }
        return Int64((seconds * 1000).rounded())
    }
}

extension FormParameters {
    /// A time that may be left out.
    func time(_ name: String, default fallback: Int64) throws(QueryRefusal) -> Int64 {
        let text = self[name]
        guard !text.isEmpty else { return fallback }
        return try time(text, name, problem: "invalid time value for '\(name)': ")
    }

    func time(_ name: String) throws(QueryRefusal) -> Int64 { try time(self[name], name, problem: "") }

    private func time(_ text: String, _ name: String, problem: String) throws(QueryRefusal) -> Int64 {
        guard let time = APITime.time(text) else {
            throw .invalid(name, "\(problem)cannot parse \(GoQuote.quoted(text)) to a valid timestamp")
        }
        return time
    }

    func duration(_ name: String) throws(QueryRefusal) -> Int64 {
        guard let duration = APITime.duration(self[name]) else {
            throw .invalid(name, "cannot parse \(GoQuote.quoted(self[name])) to a valid duration")
        }
        return duration
    }

    /// How many results at most; 0 for any number.
    func limit(_ name: String = "limit") throws(QueryRefusal) -> Int {
        let text = self[name]
        guard !text.isEmpty else { return 0 }
        guard let limit = Int(text) else { throw .invalid(name, "cannot parse \(GoQuote.quoted(text)) as a number") }
        guard limit >= 0 else { throw .invalid(name, "limit must be non-negative") }
        return limit
    }
}
