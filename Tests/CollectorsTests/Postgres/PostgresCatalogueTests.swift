import Metrics
import TestTools
import Testing

@testable import Collectors

@Suite struct PostgresCatalogueTests {
    /// What the catalogue of facts says of programs and not of servers, or leaves to the server.
    private static let notOurs: Set<String> = [
        // Metrics of the exporter's own process: our process has names of its own.
        "postgres_exporter_config_last_reload_successful",
        "postgres_exporter_config_last_reload_success_timestamp_seconds", "postgres_exporter_build_info",
        // A pattern; SettingsTests has its members.
        "pg_settings_<guc>[_seconds|_bytes]",
    ]

    @Test func everyCollectorHasItsNamesTypesLabelsAndDefault() throws {
        let ours = Dictionary(uniqueKeysWithValues: PostgresCatalogue.all.map { ($0.name, $0) })
        var expected: [String: Set<String>] = [:]
        for row in try Facts.table("postgres-metrics") {
            guard let metric = row["metric"], let group = row["collector"], !Self.notOurs.contains(metric) else {
                continue
            }
            let collector = metric.hasPrefix("pg_stat_database_conflicts_") ? "stat_database" : group
            let served: [PostgresCollector.Served]
            if collector.hasPrefix("(") {
                served = PostgresHealth.serves
            } else {
                let found = try #require(ours[collector], "\(collector)")
                #expect(found.isOnByDefault == (row["default"] == "on"), "\(collector)")
                served = found.serves
            }
            let match = try #require(served.first { $0.metric.name == metric }, "\(metric)")
            #expect("\(match.metric.kind)" == row["type"], "\(metric)")
            let labels = row["labels"]?.split(separator: ",").map(String.init) ?? []
            #expect(Set(match.labels) == Set(labels), "\(metric)")
            expected[collector, default: []].insert(metric)
        }
        for collector in PostgresCatalogue.all where collector.name != "settings" {
            #expect(Set(collector.serves.map(\.metric.name)) == expected[collector.name], "\(collector.name)")
        }
    }

    private static let descriptions = "metrics/postgres.tsv"

    /// The texts are the exporter's own, so that pages are equal.
    @Test(.enabled(if: Facts.hasShared(descriptions), "\(Facts.needs(descriptions))"))
    func everyMetricHasItsHelp() throws {
        let ours = Dictionary(
            (PostgresCatalogue.all.flatMap(\.serves) + PostgresHealth.serves).map { ($0.metric.name, $0.metric.help) }
        ) { first, _ in first }
        for line in try Facts.sharedText(Self.descriptions).split(separator: "\n").dropFirst() {
            let cells = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
            guard !cells[5].isEmpty, !Self.notOurs.contains(cells[2]) else { continue }
            #expect(ours[cells[2]] == cells[5], "\(cells[2])")
        }
    }

    @Test func everyOldNameIsAnAlias() throws {
        let old = Set(
            try Facts.table("aliases").compactMap { $0["old_name"] }.filter { $0.hasPrefix("pg_") })
        // These come from the collectors themselves, because their values or labels differ too.
        let special = StatementsReader.columns.map(\.old.name) + ["pg_stat_database_active_time"]
        let served = PostgresCatalogue.all.flatMap(\.serves).map { Family($0.metric) }
        #expect(Set(PostgresAliases.families(of: served).map(\.metric.name) + special) == old)
    }

    @Test func everyNameThatTheOldExporterServedIsKnown() throws {
        let served = PostgresCatalogue.all.flatMap(\.serves).map(\.metric) + PostgresHealth.serves.map(\.metric)
        let aliases = PostgresAliases.families(of: served.map { Family($0) }).map(\.metric)
        let known = Set(
            (served + aliases + StatementsReader.oldMetrics + DatabaseAliases.metrics).map {
                "\($0.name) \($0.kind)"
            })
        let processes = ["go_", "process_", "promhttp_", "postgres_exporter_", "pg_settings_"]
        for row in try Facts.table("postgres-exporter-0.11.1-types") {
            let (name, kind) = (try #require(row["metric"]), try #require(row["type"]))
            if !processes.contains(where: name.hasPrefix) { #expect(known.contains("\(name) \(kind)")) }
        }
    }

    /// What the tables of the catalogue serve only when the old names are on.
    private enum DatabaseAliases {
        static let metrics = PostgresTable.statDatabase.series.flatMap(\.values).filter(\.isOnlyAlias).map(\.metric)
    }

    @Test func noTwoCollectorsShareAName() {
        #expect(PostgresCatalogue.names.count == PostgresCatalogue.all.count)
    }
}
