/// What a family of series is called, what it means and how its numbers behave.
public final class Metric: Sendable {
    /// The types of the Prometheus text format 0.0.4 and of OpenMetrics 1.0 that Outrigger serves.
    public enum Kind: Sendable {
        case counter, gauge, histogram, summary, untyped, stateSet, info
    }

    public let name: String
    public let help: String
    public let kind: Kind
    private let head: MetricHead

    public init(_ name: String, _ kind: Kind, _ help: String) {
        precondition(Metric.isValidName(name), "metric name: \(name)")
        self.name = name
        self.help = help
        self.kind = kind
        head = MetricHead(name: name, kind: kind, help: help)
    }

    /// `# HELP` and `# TYPE` in a format.
    func head(_ format: Exposition.Format) -> [UInt8] { format == .text ? head.text : head.openMetrics }

    public static func counter(_ name: String, _ help: String) -> Metric { Metric(name, .counter, help) }
    public static func gauge(_ name: String, _ help: String) -> Metric { Metric(name, .gauge, help) }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`, the names that every Prometheus reads.
    public static func isValidName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !isDigit(first) else { return false }
        return name.utf8.allSatisfy { isWordByte($0) || $0 == UInt8(ascii: ":") }
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    public static func isValidLabelName(_ name: String) -> Bool {
        guard let first = name.utf8.first, !isDigit(first) else { return false }
        return name.utf8.allSatisfy(isWordByte)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9") }

    private static func isWordByte(_ byte: UInt8) -> Bool {
        isDigit(byte) || byte == UInt8(ascii: "_")
            || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
    }
}
