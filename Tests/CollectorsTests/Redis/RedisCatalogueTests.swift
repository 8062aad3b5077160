import Metrics
import Runtime
import Testing

@testable import Collectors

/// Every metric that redis_exporter has at its newest is in our tables, with its type.
@Suite struct RedisCatalogueTests {
    private static let path = "../shared/data/metrics/redis.tsv"

    private struct Row {
        let kind: String
        let source: String
        let metric: String
        let type: String
        let isInDebian: Bool
    }

    private static func rows() throws -> [Row]? {
        guard Files.exists(path) else {
            print("skipped: \(path) is not here")
            return nil
        }
        return try Files.readText(path).split(separator: "\n").dropFirst().map { line in
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            return Row(
                kind: cells[0], source: cells[1], metric: cells[2], type: cells[3], isInDebian: cells[5] == "yes")
        }
    }

    private static func name(_ kind: Metric.Kind) -> String {
        switch kind {
        case .counter: "counter"
        case .gauge: "gauge"
        default: "\(kind)"
        }
    }

    @Test func everyFieldOfInfoHasItsRow() throws {
        guard let rows = try Self.rows()?.filter({ $0.kind == "info" }) else { return }
        #expect(rows.count > 250)
        for row in rows {
            let bytes = Array(row.source.utf8)
            let found = InfoFieldIndex.shared.place(bytes.span, 0..<bytes.count)
            let field = InfoField.catalogue[try #require(found, "no row for the field \(row.source)")]
            #expect(field.metric.name == row.metric)
            #expect(Self.name(field.metric.kind) == row.type, "type of \(row.metric)")
            #expect(field.metric.help == row.metric.dropFirst("redis_".count) + " metric")
        }
    }

    @Test func everyOtherMetricIsInTheCatalogueWithItsHelp() throws {
        guard let rows = try Self.rows()?.filter({ $0.kind == "desc" }) else { return }
        #expect(rows.count > 100)
        let known = Dictionary(RedisCatalogue.metrics.map { ($0.name, $0) }) { first, _ in first }
        for row in rows {
            let metric = try #require(known[row.metric], "not in the catalogue: \(row.metric)")
            #expect(metric.help == row.source)
        }
    }

    @Test func noNameStandsForTwoThings() {
        var seen: [String: Metric] = [:]
        for metric in RedisCatalogue.metrics {
            if let other = seen[metric.name] { #expect(other.help == metric.help, "\(metric.name)") }
            seen[metric.name] = metric
        }
        for metric in InfoField.catalogue.map(\.metric) { #expect(!metric.help.isEmpty) }
    }
}
