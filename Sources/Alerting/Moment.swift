import Runtime

/// A point in time in whole milliseconds, which is as fine as Prometheus' own. Logic takes it as an argument and never
/// asks a clock.
public struct Moment: Sendable, Hashable, Comparable {
    /// Since 1970-01-01T00:00:00Z.
    public let milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// On the clock that moves only when all kept moments do.
    public static var now: Moment { Moment(milliseconds: SteadyTime.shared.now) }

    func moved(by milliseconds: Int64) -> Moment { Moment(milliseconds: self.milliseconds + milliseconds) }

    public static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }

    public static func + (moment: Moment, duration: Duration) -> Moment {
        Moment(milliseconds: moment.milliseconds.addingClamped(Int64(duration.milliseconds)))
    }

    public static func - (moment: Moment, duration: Duration) -> Moment {
        Moment(milliseconds: moment.milliseconds.subtractingClamped(Int64(duration.milliseconds)))
    }

    public static func - (left: Moment, right: Moment) -> Duration {
        .milliseconds(left.milliseconds.subtractingClamped(right.milliseconds))
    }
}

// MARK: As text

extension Moment: CustomStringConvertible {
    /// How Go writes a time that was never set.
    public static let unsetText = "0001-01-01T00:00:00Z"

    /// RFC 3339 with as many digits of the second as are needed: `2026-11-21T08:55:08.7Z`.
    public var description: String {
        let (seconds, fraction) = milliseconds.floored(by: 1000)
        var text = RFC3339.text(seconds: seconds)
        guard fraction != 0 else { return text }
        text.removeLast()
        var digits = String(1000 + fraction).dropFirst()
        while digits.hasSuffix("0") { digits.removeLast() }
        return "\(text).\(digits)Z"
    }

    /// RFC 3339 with always three digits of the second, as Alertmanager's API writes it.
    public var withMilliseconds: String {
        let (seconds, fraction) = milliseconds.floored(by: 1000)
        return RFC3339.text(seconds: seconds, nanoseconds: Int(fraction) * 1_000_000, fractionDigits: 3)
    }

    /// Reads RFC 3339 with any fraction and offset; nil for anything else and for days that do not exist.
    public init?(_ text: String) {
        var reader = FieldReader(Array(text.utf8))
        guard let year = reader.digits(4), reader.take("-"), let month = reader.digits(2), reader.take("-"),
            let day = reader.digits(2), reader.take("T") || reader.take("t") || reader.take(" "),
            let hour = reader.digits(2), reader.take(":"), let minute = reader.digits(2), reader.take(":"),
            let second = reader.digits(2)
        else { return nil }
        guard hour < 24, minute < 60, second < 60 else { return nil }
        let fraction = reader.take(".") ? reader.fraction() : 0
        guard let fraction, let offset = reader.offset(), reader.isAtEnd else { return nil }
        let days = Self.days(year: year, month: month, day: day)
        guard RFC3339.civilDate(daysSince1970: days) == (Int(year), Int(month), Int(day)) else { return nil }
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
        self.init(milliseconds: seconds * 1000 + fraction)
    }

    /// Days from 1970-01-01 to a date of the Gregorian calendar, the inverse of `RFC3339.civilDate`.
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = shifted.floored(by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// The fields of a timestamp, from left to right.
private struct FieldReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard rest.first == UInt8(ascii: character) else { return false }
        rest.removeFirst()
        return true
    }

    mutating func digits(_ count: Int) -> Int64? {
        var value: Int64 = 0
        for _ in 0..<count {
            guard let byte = rest.first, byte >= 0x30, byte <= 0x39 else { return nil }
            value = value * 10 + Int64(byte - 0x30)
            rest.removeFirst()
        }
        return value
    }

    /// Milliseconds; further digits are dropped.
    mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var count = 0
        while let digit = digits(1) {
            if count < 3 { value = value * 10 + digit }
            count += 1
        }
        guard count > 0 else { return nil }
        while count < 3 {
            value *= 10
            count += 1
        }
        return value
    }

    /// Seconds east of UTC.
    mutating func offset() -> Int64? {
        if take("Z") || take("z") { return 0 }
        let sign: Int64
        if take("+") { sign = 1 } else if take("-") { sign = -1 } else { return nil }
        guard let hours = digits(2), take(":"), let minutes = digits(2), hours < 24, minutes < 60 else { return nil }
        return sign * (hours * 3600 + minutes * 60)
    }
}
