import Databases
import Metrics

/// LATENCY LATEST and LATENCY HISTOGRAM.
///
/// A server spends more on telling its histograms than on anything else but INFO, and those of commands that nobody called
/// since the last scrape are the same. So only those are asked for that were called between the last two scrapes; INFO, read
/// in the same round trip, tells whether others were called since, and then they are asked for after it.
struct LatencyReader {
    private let base: Labels
    private var events = Memo<Labels>()
    private var isPrimed = false
    /// The commands that the next scrape asks for.
    private var busy: [[UInt8]] = []
    private var sampleCount = 0

    init(base: Labels) { self.base = base }

    static let latest = RedisCommand("LATENCY", "LATEST", name: "LATENCY LATEST")
    private static let everything = RedisCommand("LATENCY", "HISTOGRAM", name: "LATENCY HISTOGRAM")

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

    // MARK: Histograms

    /// What this scrape asks before it knows which commands were called; nil when nothing is worth asking.
    var histogramCommand: RedisCommand? {
        guard isPrimed else { return Self.everything }
        return busy.isEmpty ? nil : Self.command(for: busy)
    }

    /// What must still be asked, now that INFO is read: the commands whose histogram is older than their statistics.
    func commandForTheRest(_ usage: CommandUsage) -> RedisCommand? {
        let stale = usage.entries.filter { $0.labels.histogram?.calls != $0.calls }
        return stale.isEmpty ? nil : Self.command(for: stale.map(\.labels.name))
    }

    private static func command(for names: [[UInt8]]) -> RedisCommand {
        RedisCommand(["LATENCY", "HISTOGRAM"].map { Array($0.utf8) } + names, name: "LATENCY HISTOGRAM")
    }

    /// For each command its name and `[calls, n, histogram_usec, [bound, calls up to it, …]]`.
    ///
    /// - Parameter isRest: whether this answers `commandForTheRest`, after which nothing is stale.
    mutating func take(_ reply: RedisReply, _ usage: inout CommandUsage, isRest: Bool) {
        guard let elements = reply.elements else { return }
        isPrimed = true
        for index in stride(from: 0, to: elements.count - 1, by: 2) {
            guard let name = elements[index].bytes, let details = elements[index + 1].elements,
                let entry = usage.find(name.span, 0..<name.count)
            else { continue }
            entry.labels.histogram = (entry.calls, Self.samples(details, entry.labels, sum: entry.microseconds))
        }
        guard isRest else { return }
        // A command that was asked for and is not in the answer has no histogram.
        for entry in usage.entries where entry.labels.histogram?.calls != entry.calls {
            entry.labels.histogram = (entry.calls, [])
        }
    }

    /// The server keeps no sum with a histogram; the time in the statistics is it.
    private static func samples(_ details: [RedisReply], _ labels: CommandLabels, sum: Double) -> [Sample] {
        guard details.count >= 4, let calls = details[1].integer, let buckets = details[3].elements else { return [] }
        var samples: [Sample] = []
        samples.reserveCapacity(buckets.count / 2 + 3)
        for bucket in stride(from: 0, to: buckets.count - 1, by: 2) {
            guard let bound = buckets[bucket].integer, let count = buckets[bucket + 1].integer else { continue }
            samples.append(Sample(labels.bucket(bound), Double(count), .bucket))
        }
        samples.append(Sample(labels.infinity, Double(calls), .bucket))
        samples.append(Sample(labels.cmd, sum, .sum))
        samples.append(Sample(labels.cmd, Double(calls), .count))
        return samples
    }

    /// The histograms as they are known now.
    mutating func histograms(_ usage: CommandUsage) -> [Family] {
        var family = Family(RedisMetrics.commandsLatenciesUsec)
        family.samples.reserveCapacity(sampleCount)
        busy.removeAll(keepingCapacity: true)
        for entry in usage.entries {
            if entry.labels.lastCalls != entry.calls { busy.append(entry.labels.name) }
            entry.labels.lastCalls = entry.calls
            family.samples += entry.labels.histogram?.samples ?? []
        }
        sampleCount = family.samples.count
        return family.samples.isEmpty ? [] : [family]
    }
}
