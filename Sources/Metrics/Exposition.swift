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
        for group in grouped(snapshot.families, format) { exposition.write(group) }
        if format == .openMetrics { exposition.bytes.append(contentsOf: "# EOF\n".utf8) }
        return (exposition.bytes, exposition.duplicates)
    }

    private init(format: Format, capacity: Int) {
        self.format = format
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    /// Families of one name together, where the first of them stood: both formats allow one HELP and TYPE a name.
    private static func grouped(_ families: [Family], _ format: Format) -> [[Family]] {
        var places: [String: Int] = [:]
        var groups: [[Family]] = []
        places.reserveCapacity(families.count)
        groups.reserveCapacity(families.count)
        func add(_ family: Family) {
            if let place = places[family.metric.name] {
                groups[place].append(family)
            } else {
                places[family.metric.name] = groups.count
                groups.append([family])
            }
        }
        for family in families where !family.samples.isEmpty {
            if format == .openMetrics, family.countsInPercent { family.asUnknown.forEach(add) } else { add(family) }
        }
        return groups
    }

    private mutating func write(_ group: [Family]) {
        let metric = group[0].metric
        bytes.append(contentsOf: metric.head(format))
        guard group.count > 1 || group[0].samples.count > 1 else {
            write(group[0].samples[0], metric.name)
            return
        }
        var written: Set<Series> = []
        written.reserveCapacity(group.reduce(0) { $0 + $1.samples.count })
        for family in group {
            for sample in family.samples {
                if written.insert(Series(labels: sample.labels, part: sample.part)).inserted {
                    write(sample, metric.name)
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

    private mutating func write(_ sample: Sample, _ name: String) {
        bytes.append(contentsOf: name.utf8)
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

extension Family {
    /// A summary's quantiles lie between 0 and 1 in OpenMetrics. Some borrowed ones go to 100.
    fileprivate var countsInPercent: Bool {
        metric.kind == .summary && samples.contains { ($0.labels["quantile"].flatMap(Double.init) ?? 0) > 1 }
    }

    /// The same series as families of unknown type.
    fileprivate var asUnknown: [Family] {
        let parts: [(part: Sample.Part, suffix: String)] = [(.value, ""), (.sum, "_sum"), (.count, "_count")]
        return parts.map { part, suffix in
            Family(
                Metric(metric.name + suffix, .untyped, metric.help),
                samples.filter { $0.part == part }.map { Sample($0.labels, $0.value) })
        }
    }
}
