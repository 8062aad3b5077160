/// What stands above a family's series: `# HELP` and `# TYPE`, written once in a metric's life.
struct MetricHead: Sendable {
    let text: [UInt8]
    let openMetrics: [UInt8]

    init(name: String, kind: Metric.Kind, help: String) {
        text = MetricHead.lines(name, MetricHead.textType(of: kind), help, escapesQuotes: false)
        let (family, type) = MetricHead.openMetricsType(of: kind, name)
        openMetrics = MetricHead.lines(family, type, help, escapesQuotes: true)
    }

    private static func textType(of kind: Metric.Kind) -> String {
        switch kind {
        case .counter: "counter"
        case .gauge, .stateSet, .info: "gauge"
        case .histogram: "histogram"
        case .summary: "summary"
        case .untyped: "untyped"
        }
    }

    private static func openMetricsType(of kind: Metric.Kind, _ name: String) -> (family: String, type: String) {
        switch kind {
        case .counter where name.hasSuffix("_total"): (String(name.dropLast("_total".count)), "counter")
        // OpenMetrics would add `_total` to a counter's series. A borrowed name never changes, so the type does.
        case .counter, .untyped: (name, "unknown")
        case .info where name.hasSuffix("_info"): (String(name.dropLast("_info".count)), "info")
        // A state set's series carry a label named as the family in OpenMetrics; ours carry others and read as gauges.
        case .gauge, .stateSet, .info: (name, "gauge")
        case .histogram: (name, "histogram")
        case .summary: (name, "summary")
        }
    }

    private static func lines(_ family: String, _ type: String, _ help: String, escapesQuotes: Bool) -> [UInt8] {
        var bytes = Array("# HELP \(family) ".utf8)
        for byte in help.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\"") where escapesQuotes: bytes.append(contentsOf: "\\\"".utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(contentsOf: "\n# TYPE \(family) \(type)\n".utf8)
        return bytes
    }
}
