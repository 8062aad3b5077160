import Runtime

/// Writes a snapshot as text that Prometheus reads.
///
/// Formats: <https://prometheus.io/docs/instrumenting/exposition_formats/> (0.0.4) and
/// <https://prometheus.io/docs/specs/om/open_metrics_spec/> (1.0.0).
public struct Exposition {
    public enum Format: Sendable {
        case text, openMetrics

        public var contentType: String {
            switch self {
            case .text: "text/plain; version=0.0.4; charset=utf-8"
            case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
        }
    }

    private let format: Format
    private var bytes: [UInt8]
    /// Series that stood twice in the snapshot; the first one was written.
    public private(set) var duplicates = 0

    /// - Returns: the page, and how many series were left out because they stood there already.
    public static func encode(_ snapshot: Snapshot, as format: Format, capacity: Int = 64 * 1024) -> (
        page: [UInt8], duplicates: Int
    ) {
        var exposition = Exposition(format: format, capacity: capacity)
        for group in grouped(
            format == .openMetrics ? snapshot.families.flatMap(asOpenMetricsAllows) : snapshot.families)
        {
            exposition.write(group)
        }
        if format == .openMetrics { exposition.bytes.append(contentsOf: "# EOF\n".utf8) }
        return (exposition.bytes, exposition.duplicates)
    }

    private init(format: Format, capacity: Int) {
        self.format = format
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Families of one name together, where the first of them stood: both formats allow one HELP and TYPE a name.
    private static func grouped(_ families: [Family]) -> [[Family]] {
        var places: [String: Int] = [:]
        var groups: [[Family]] = []
        places.reserveCapacity(families.count)
        groups.reserveCapacity(families.count)
        for family in families where !family.samples.isEmpty {
            if let place = places[family.metric.name] {
                groups[place].append(family)
            } else {
                places[family.metric.name] = groups.count
                groups.append([family])
            }
        }
        return groups
    }

    /// A summary's quantiles lie between 0 and 1 in OpenMetrics. A borrowed one that counts in percent keeps its series, as
    /// families of unknown type.
    private static func asOpenMetricsAllows(_ family: Family) -> [Family] {
        guard family.metric.kind == .summary,
            family.samples.contains(where: { ($0.labels["quantile"].flatMap(Double.init) ?? 0) > 1 })
        else { return [family] }
        let parts: [(part: Sample.Part, suffix: String)] = [(.value, ""), (.sum, "_sum"), (.count, "_count")]
        return parts.map { part, suffix in
            Family(
                Metric(family.metric.name + suffix, .untyped, family.metric.help),
                family.samples.filter { $0.part == part }.map { Sample($0.labels, $0.value) })
        }
    }

    private mutating func write(_ group: [Family]) {
        let metric = group[0].metric
        let style = Style(metric, format)
        writeHead(style, help: metric.help)
        guard group.count > 1 || group[0].samples.count > 1 else {
            write(group[0].samples[0], style)
            return
        }
        var written: Set<Series> = []
        written.reserveCapacity(group.reduce(0) { $0 + $1.samples.count })
        for family in group {
            for sample in family.samples {
                if written.insert(Series(labels: sample.labels, part: sample.part)).inserted {
                    write(sample, style)
                } else {
                    duplicates += 1
                }
            }
        }
    }

    private struct Series: Hashable {
        let labels: Labels
        let part: Sample.Part
    }

    /// How one family is named and typed in one format.
    private struct Style {
        /// The name after HELP and TYPE.
        let family: String
        let type: String
        /// The name before a plain value's labels.
        let series: String

        init(_ metric: Metric, _ format: Format) {
            let name = metric.name
            switch (metric.kind, format) {
            case (.counter, .openMetrics) where name.hasSuffix("_total"):
                self.init(family: String(name.dropLast("_total".count)), type: "counter", series: name)
            // OpenMetrics would add `_total` to a counter's series. A borrowed name never changes, so the type does.
            case (.counter, .openMetrics), (.untyped, .openMetrics):
                self.init(family: name, type: "unknown", series: name)
            case (.info, .openMetrics) where name.hasSuffix("_info"):
                self.init(family: String(name.dropLast("_info".count)), type: "info", series: name)
            // A state set's series carry a label named as the family in OpenMetrics; ours carry others, which
            // both formats read as gauges.
            case (.stateSet, _), (.info, _), (.gauge, _):
                self.init(family: name, type: "gauge", series: name)
            case (.counter, .text): self.init(family: name, type: "counter", series: name)
            case (.untyped, .text): self.init(family: name, type: "untyped", series: name)
            case (.histogram, _): self.init(family: name, type: "histogram", series: name)
            case (.summary, _): self.init(family: name, type: "summary", series: name)
            }
        }

        private init(family: String, type: String, series: String) {
            self.family = family
            self.type = type
            self.series = series
        }
    }

    private mutating func writeHead(_ style: Style, help: String) {
        bytes.append(contentsOf: "# HELP ".utf8)
        bytes.append(contentsOf: style.family.utf8)
        bytes.append(UInt8(ascii: " "))
        for byte in help.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): bytes.append(contentsOf: "\\\\".utf8)
            case UInt8(ascii: "\n"): bytes.append(contentsOf: "\\n".utf8)
            case UInt8(ascii: "\"") where format == .openMetrics: bytes.append(contentsOf: "\\\"".utf8)
            default: bytes.append(byte)
            }
        }
        bytes.append(contentsOf: "\n# TYPE ".utf8)
        bytes.append(contentsOf: style.family.utf8)
        bytes.append(UInt8(ascii: " "))
        bytes.append(contentsOf: style.type.utf8)
        bytes.append(UInt8(ascii: "\n"))
    }

    private mutating func write(_ sample: Sample, _ style: Style) {
        bytes.append(contentsOf: style.series.utf8)
        switch sample.part {
        case .value: break
        case .bucket: bytes.append(contentsOf: "_bucket".utf8)
        case .sum: bytes.append(contentsOf: "_sum".utf8)
        case .count: bytes.append(contentsOf: "_count".utf8)
        }
        if !sample.labels.isEmpty {
            bytes.append(UInt8(ascii: "{"))
            bytes.append(contentsOf: sample.labels.rendered)
            bytes.append(UInt8(ascii: "}"))
        }
        bytes.append(UInt8(ascii: " "))
        bytes.append(shortest: sample.value)
        bytes.append(UInt8(ascii: "\n"))
    }
}
