import Metrics

/// Names from outside made into names that Prometheus reads.
enum MetricName {
    /// Every byte that a metric's name cannot hold becomes an underscore, and a digit in front gets one: what
    /// statsd_exporter makes of a name that no rule maps. Nil for an empty one.
    static func sanitized(_ name: String) -> String? {
        guard let first = name.utf8.first else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(name.utf8.count + 1)
        if isDigit(first) { bytes.append(UInt8(ascii: "_")) }
        // One underscore for a character, however many bytes it has.
        for byte in name.utf8 where byte & 0xC0 != 0x80 {
            bytes.append(isWordByte(byte) ? byte : UInt8(ascii: "_"))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// A tag's name as a label; names with a meaning of their own in Prometheus get `tag_` in front.
    static func label(_ tag: String) -> String? {
        guard let name = sanitized(tag) else { return nil }
        return isFreeLabel(name) ? name : "tag_" + name
    }

    /// `le` and `quantile` tell the series of one histogram apart, and two underscores are Prometheus' own.
    static func isFreeLabel(_ name: String) -> Bool {
        Metric.isValidLabelName(name) && name != "le" && name != "quantile" && !name.hasPrefix("__")
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "_")
            || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
    }
}
