import Runtime

/// The types of Go whose methods templates may call, and those methods that take nothing. Others are refused when the
/// template is loaded, and not when the alert fires.
enum TemplateMethods {
    case time, duration

    /// What a function yields, where that has methods.
    init?(resultOf function: String) {
        switch function {
        case "toTime": self = .time
        case "toDuration": self = .duration
        default: return nil
        }
    }

    var type: String {
        switch self {
        case .time: "*time.Time"
        case .duration: "*time.Duration"
        }
    }

    func has(_ name: String) -> Bool {
        switch self {
        case .time: GoTime(milliseconds: 0).method(name) != nil
        case .duration: GoDuration.method(name, nanoseconds: 0) != nil
        }
    }
}

extension GoTime {
    /// What a method without arguments yields; nil for any other.
    func method(_ name: String) -> TemplateValue? {
        let (seconds, fraction) = milliseconds.floored(by: 1000)
        let (days, secondOfDay) = seconds.floored(by: 86_400)
        let (year, month, day) = RFC3339.civilDate(daysSince1970: days)
        switch name {
        case "Year": return .int(year)
        case "Day": return .int(day)
        case "Hour": return .int(Int(secondOfDay / 3600))
        case "Minute": return .int(Int(secondOfDay / 60 % 60))
        case "Second": return .int(Int(secondOfDay % 60))
        case "Nanosecond": return .int(Int(fraction) * 1_000_000)
        case "YearDay": return .int(Self.dayOfYear(year, month, day))
        case "Unix": return .int(Int(seconds))
        case "UnixMilli": return .int(Int(milliseconds))
        case "UnixMicro": return .int(Int(milliseconds.multipliedClamped(by: 1000)))
        case "UnixNano": return .int(Int(milliseconds.multipliedClamped(by: 1_000_000)))
        case "UTC": return .time(self)
        case "IsZero": return .bool(milliseconds == -62_135_596_800_000)
        case "String": return .string(description)
        default: return nil
        }
    }

    private static func dayOfYear(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return before[month - 1] + day + (month > 2 && isLeap ? 1 : 0)
    }
}

extension GoDuration {
    /// What a method without arguments yields; nil for any other.
    static func method(_ name: String, nanoseconds: Int64) -> TemplateValue? {
        switch name {
        case "Hours": .float(Double(nanoseconds) / 3.6e12)
        case "Minutes": .float(Double(nanoseconds) / 6e10)
        case "Seconds": .float(Double(nanoseconds) / 1e9)
        case "Milliseconds": .int(Int(nanoseconds / 1_000_000))
        case "Microseconds": .int(Int(nanoseconds / 1000))
        case "Nanoseconds": .int(Int(nanoseconds))
        case "Abs": .duration(nanoseconds == .min ? .max : abs(nanoseconds))
        case "String": .string(text(nanoseconds: nanoseconds))
        default: nil
        }
    }
}
