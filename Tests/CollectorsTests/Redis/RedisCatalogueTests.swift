import Metrics
import Runtime
import TestTools
import Testing

@testable import Collectors

/// Every metric that redis_exporter has at its newest is in our tables, with its type.
@Suite struct RedisCatalogueTests {
    private struct Row {
        let kind: String
        let source: String
        let metric: String
        let type: String
        let isInDebian: Bool
    }

    private static func rows() throws -> [Row] {
        try Facts.table("redis-metrics").map { row in
            Row(
                kind: row["kind"] ?? "", source: row["info_field_or_source"] ?? "", metric: row["metric"] ?? "",
                type: row["type"] ?? "", isInDebian: row["in_1.45"] == "yes")
        }
    }

    private static let descriptions = "metrics/redis.tsv"

    private static func name(_ kind: Metric.Kind) -> String {
        switch kind {
        case .counter: "counter"
        case .gauge: "gauge"
        default: "\(kind)"
        }
    }

    @Test func everyFieldOfInfoHasItsRow() throws {
        let rows = try Self.rows().filter { $0.kind == "info" }
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

    @Test func everyOtherMetricIsInTheCatalogue() throws {
        let rows = try Self.rows().filter { $0.kind == "desc" }
        #expect(rows.count > 100)
        let known = Set(RedisCatalogue.metrics.map(\.name))
        for row in rows { #expect(known.contains(row.metric), "not in the catalogue: \(row.metric)") }
    }

    /// The texts are the exporter's own, so that pages are equal.
    @Test(.enabled(if: Facts.hasShared(descriptions), "\(Facts.needs(descriptions))")) func everyOtherMetricHasItsHelp()
        throws
    {
        let known = Dictionary(RedisCatalogue.metrics.map { ($0.name, $0.help) }) { first, _ in first }
        for line in try Facts.sharedText(Self.descriptions).split(separator: "\n").dropFirst() {
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            if cells[0] == "desc" { #expect(known[cells[2]] == cells[1]) }
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
