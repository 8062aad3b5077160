/// A type that a setting can have.
public protocol SettingValue: Sendable {
    /// What `--help` calls it, and what a complaint asks for: `a duration such as 15s`.
    static var kind: String { get }

    /// Nil when the text is no such value.
    init?(setting text: String)

    /// How the default is printed.
    var settingText: String { get }
}

extension String: SettingValue {
    public static var kind: String { "text" }
    public init?(setting text: String) { self = text }
    public var settingText: String { self }
}

extension Int: SettingValue {
    public static var kind: String { "a whole number" }
    public init?(setting text: String) {
        guard let value = Int(text) else { return nil }
        self = value
    }
    public var settingText: String { String(self) }
}

extension Double: SettingValue {
    public static var kind: String { "a number" }
    public init?(setting text: String) {
        guard let value = Double(text), value.isFinite else { return nil }
        self = value
    }
    public var settingText: String { GoFormat.text(self) }
}

extension Bool: SettingValue {
    public static var kind: String { "true or false" }
    public init?(setting text: String) {
        switch text.lowercased() {
        case "true", "yes", "on", "1": self = true
        case "false", "no", "off", "0": self = false
        default: return nil
        }
    }
    public var settingText: String { self ? "true" : "false" }
}

extension Duration: SettingValue {
    public static var kind: String { "a duration such as 15s, 1m30s or 0.5 (seconds)" }

    /// Units `d`, `h`, `m`, `s` and `ms`, largest first; a bare number counts seconds. Never negative.
    public init?(setting text: String) {
        if let seconds = Double(text) {
            guard seconds >= 0, seconds < 1e10 else { return nil }
            // Above 292 years nanoseconds do not fit, and nobody counts them.
            self = seconds < 9e9 ? .nanoseconds(Int64(seconds * 1e9)) : .seconds(Int64(seconds))
            return
        }
        let units: [(name: String, milliseconds: Int64)] = [
            ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
        ]
        var rest = text[...]
        var total: Int64 = 0
        var next = 0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let unit = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(unit.count)
            guard let count = Int64(digits), let place = units.firstIndex(where: { $0.name == unit }), place >= next
            else { return nil }
            let (product, tooLarge) = count.multipliedReportingOverflow(by: units[place].milliseconds)
            guard !tooLarge, product < 1 << 53 else { return nil }
            total += product
            next = place + 1
        }
        guard next > 0 else { return nil }
        self = .milliseconds(total)
    }

    public var settingText: String {
        var rest = milliseconds
        guard rest > 0 else { return "0s" }
        var text = ""
        for (name, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
        where rest >= size {
            text += "\(rest / size)\(name)"
            rest %= size
        }
        return text
    }
}

/// A number of bytes: `64MB`, `1GiB`, `65536`.
public struct ByteCount: SettingValue, Comparable {
    public let bytes: Int

    public init(_ bytes: Int) { self.bytes = bytes }

    public static var kind: String { "a size such as 64MB or 1GiB" }

    private static let units: [(name: String, size: Int)] = [
        ("kib", 1 << 10), ("mib", 1 << 20), ("gib", 1 << 30), ("kb", 1000), ("mb", 1_000_000), ("gb", 1_000_000_000),
        ("b", 1), ("", 1),
    ]

    public init?(setting text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).lowercased()
        guard let count = Int(digits), let size = ByteCount.units.first(where: { $0.name == unit })?.size else {
            return nil
        }
        let (product, tooLarge) = count.multipliedReportingOverflow(by: size)
        guard !tooLarge else { return nil }
        bytes = product
    }

    public var settingText: String {
        for (name, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where bytes >= size && bytes % size == 0 {
            return "\(bytes / size)\(name)"
        }
        return "\(bytes)B"
    }

    public static func < (left: ByteCount, right: ByteCount) -> Bool { left.bytes < right.bytes }
}
