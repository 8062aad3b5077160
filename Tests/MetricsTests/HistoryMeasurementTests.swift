import Runtime
import TestTools
import Testing

@testable import Metrics

/// What a sample costs, on series that two exporters really have, moved by dice.
@Suite struct HistoryMeasurementTests {
    private static let captures = [
        "metrics/captured_postgres_exporter_0.11.1_full.txt", "metrics/captured_redis_exporter_1.45_full.txt",
    ]

    @Test(.enabled(if: captures.allSatisfy(Facts.hasShared), "\(Facts.needs("metrics"))"))
    func anHourOfCapturedSeriesTakesAtMostTwoAndAHalfBytesASample() throws {
        var families = try Self.captures.flatMap { Self.families(try Facts.sharedText($0)) }
        var dice = Seeded(1)
        let history = History.ofItself()
        for round in 0..<240 as Range<Int64> {
            history.append(Snapshot(families: families), at: 1_800_000_000_000 + round * 15_000)
            for index in families.indices { Self.move(&families[index], &dice) }
        }
        let footprint = history.footprint
        print(
            "\(footprint.series) series, \(footprint.samples) samples: \(footprint.bytesPerSample) bytes a sample,",
            "\(footprint.bytesPerSampleWithSeries) with the series themselves")
        #expect(footprint.series > 1000)
        #expect(footprint.bytesPerSample <= 2.5)
        #expect(history.countedSamples == footprint.samples)
    }

    /// Half of the counters grow, and a fifth of the gauges move, by whole numbers or in their last decimals.
    private static func move(_ family: inout Family, _ dice: inout Seeded) {
        family.samples = family.samples.map { sample in
            let isCounter = family.metric.kind == .counter
            guard sample.value.isFinite, Int.random(in: 0..<10, using: &dice) < (isCounter ? 5 : 2) else {
                return sample
            }
            let size = max(1, abs(sample.value) / 50)
            let isWhole = sample.value == sample.value.rounded()
            let change = Double.random(in: isCounter ? 0...size : -size...size, using: &dice)
            let moved = isWhole ? sample.value + change.rounded() : ((sample.value + change) * 1000).rounded() / 1000
            return Sample(sample.labels, moved, sample.part)
        }
    }

    /// The series of a scrape, each under the metric that its line names, labels as one text.
    private static func families(_ page: String) -> [Family] {
        var counters: Set<Substring> = []
        var families: [String: Family] = [:]
        for line in page.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: " ")
            if line.hasPrefix("# TYPE "), words[3] == "counter" { counters.insert(words[2]) }
            guard !line.hasPrefix("#"), let value = Double(String(words[words.count - 1])) else { continue }
            let name = line.prefix { $0 != "{" && $0 != " " }
            let series = String(line.dropFirst(name.count).dropLast(words[words.count - 1].count + 1))
            let metric = Metric(String(name), counters.contains(name) ? .counter : .gauge, "")
            let labels = Labels([Label("captured", series)])
            families[metric.name, default: Family(metric)].samples.append(Sample(labels, value))
        }
        return families.values.sorted { $0.metric.name < $1.metric.name }
    }
}
