import Databases
import Metrics

/// LATENCY LATEST and LATENCY HISTOGRAM.
struct LatencyReader {
    private let base: Labels
    private var events = Memo<Labels>()
    /// Commands that only the histogram knows.
    private var strangers = Memo<CommandLabels>()
    private var samples = 0

    init(base: Labels) { self.base = base }

    /// `[event, when in seconds since 1970, latest in milliseconds, longest in milliseconds]`, one for each kind of event.
    mutating func latest(_ reply: RedisReply) -> [Family] {
        var last = Family(RedisMetrics.latencySpikeLast)
        var durations = Family(RedisMetrics.latencySpikeDurationSeconds)
        events.begin()
        defer { events.end() }
        for event in reply.elements ?? [] {
            guard let parts = event.elements, parts.count >= 3, let name = parts[0].bytes,
                let seconds = parts[1].integer, let milliseconds = parts[2].integer
            else { continue }
            let labels = events.value(name.span, 0..<name.count) { [base] name in
                base.adding([Label("event_name", String(decoding: name, as: UTF8.self))])
            }
            last.samples.append(Sample(labels, Double(seconds)))
            durations.samples.append(Sample(labels, Double(milliseconds) / 1e3))
        }
        return [last, durations].filter { !$0.samples.isEmpty }
    }

    /// For each command its name and `[calls, n, histogram_usec, [bound, calls up to it, …]]`. The server keeps no sum with
    /// the histogram; the one of `# Commandstats` is it.
    mutating func histogram(_ reply: RedisReply, _ usage: inout CommandUsage) -> [Family] {
        guard let elements = reply.elements else { return [] }
        var family = Family(RedisMetrics.commandsLatenciesUsec)
        family.samples.reserveCapacity(samples)
        strangers.begin()
        defer { strangers.end() }
        for index in stride(from: 0, to: elements.count - 1, by: 2) {
            guard let name = elements[index].bytes, let details = elements[index + 1].elements, details.count >= 4,
                let calls = details[1].integer, let buckets = details[3].elements
            else { continue }
            let known = usage.find(name.span, 0..<name.count)
            let labels =
                known?.labels
                ?? strangers.value(name.span, 0..<name.count) { [base] name in CommandLabels(name, base) }
            for bucket in stride(from: 0, to: buckets.count - 1, by: 2) {
                guard let bound = buckets[bucket].integer, let count = buckets[bucket + 1].integer else { continue }
                family.samples.append(Sample(labels.bucket(bound), Double(count), .bucket))
            }
            family.samples.append(Sample(labels.infinity, Double(calls), .bucket))
            family.samples.append(Sample(labels.cmd, known?.microseconds ?? 0, .sum))
            family.samples.append(Sample(labels.cmd, Double(calls), .count))
        }
        samples = family.samples.count
        return family.samples.isEmpty ? [] : [family]
    }
}
