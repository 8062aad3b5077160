import Metrics

/// All label sets of one command, rendered once, and the histogram that was last read for it.
final class CommandLabels {
    let name: [UInt8]
    let cmd: Labels
    private var percentiles: [(text: [UInt8], labels: Labels)] = []
    private var buckets: [(bound: Int64, labels: Labels)] = []
    private(set) lazy var infinity = cmd.adding([Label("le", "+Inf")])

    /// The series of its latency histogram, and how many calls the statistics counted when it was asked for.
    var histogram: (calls: Double, samples: [Sample])?
    /// What the statistics counted in the last reading.
    var lastCalls: Double?

    init(_ name: [UInt8], _ base: Labels) {
        self.name = name
        cmd = base.adding([Label("cmd", String(decoding: name, as: UTF8.self))])
    }

    /// The labels of percentile `text`, such as `99.9`; a server has a handful of them.
    func percentile(_ text: Span<UInt8>, _ range: Range<Int>) -> Labels? {
        for known in percentiles where text.equals(range, known.text) { return known.labels }
        guard let value = text.number(range) else { return nil }
        let labels = cmd.adding([Label("quantile", HistogramBound(value).text)])
        percentiles.append((text.bytes(range), labels))
        return labels
    }

    /// The labels of the bucket up to `bound` microseconds: Redis has 31 of them, each a power of two.
    func bucket(_ bound: Int64) -> Labels {
        for known in buckets where known.bound == bound { return known.labels }
        let labels = cmd.adding([Label("le", HistogramBound(Double(bound)).text)])
        if buckets.count < 64 { buckets.append((bound, labels)) }
        return labels
    }
}

/// What `# Commandstats` told about every command, for those who need it to understand the percentiles and histograms that
/// come later.
struct CommandUsage {
    private(set) var entries: [(labels: CommandLabels, calls: Double, microseconds: Double)] = []
    private var next = 0

    mutating func removeAll() {
        entries.removeAll(keepingCapacity: true)
        next = 0
    }

    mutating func add(_ labels: CommandLabels, calls: Double, microseconds: Double) {
        entries.append((labels, calls, microseconds))
    }

    /// The entry of the command that is named in `range`. Servers tell commands in the same order everywhere, so the search
    /// begins behind the last hit.
    mutating func find(
        _ text: Span<UInt8>, _ range: Range<Int>
    ) -> (labels: CommandLabels, calls: Double, microseconds: Double)? {
        for step in 0..<entries.count {
            let index = (next + step) % entries.count
            guard text.equals(range, entries[index].labels.name) else { continue }
            next = index + 1
            return entries[index]
        }
        return nil
    }
}
