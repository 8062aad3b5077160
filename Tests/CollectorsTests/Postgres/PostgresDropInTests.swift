import Collectors
import Foundation
import LocalServers
import Metrics
import Runtime
import Testing

/// Beside Debian's postgres_exporter 0.11.1, on the same server at the same moment.
@Suite struct PostgresDropInTests {
    private static let exporter = "/usr/bin/prometheus-postgres-exporter"

    @Test(.enabled(if: FileManager.default.fileExists(atPath: exporter), "needs prometheus-postgres-exporter"))
    func everySeriesOfTheOldExporterIsServed() async throws {
        let busy = try await BusyPostgres.start()
        let address = busy.primary.url()
        var configuration = PostgresTarget.Configuration(name: "test", connection: address)
        configuration.aliases = true
        let target = try PostgresTarget(configuration)
        _ = try await scrape(target)
        let theirs = try await Self.pageOfOldExporter(address)
        let ours = try await scrape(target)

        var missing: [String] = []
        var different: [String] = []
        for (series, value) in theirs.values.sorted(by: { $0.key < $1.key }) {
            let name = Page.name(of: series)
            if Self.isOfTheProcess(name) { continue }
            guard let own = ours.value(Self.ownSpelling(series)) else {
                missing.append(series)
                continue
            }
            #expect(ours.types[name] == theirs.types[name], "\(name)")
            if own != value && !(own.isNaN && value.isNaN) && Self.reasonToDiffer(series) == nil {
                different.append("\(series): \(value) is \(own) here")
            }
        }
        #expect(missing.isEmpty, "\(missing.joined(separator: "\n"))")
        #expect(different.isEmpty, "\(different.joined(separator: "\n"))")
        await target.close()
        await busy.stop()
    }

    private static func pageOfOldExporter(_ address: String) async throws -> Page {
        let folder = try TemporaryFolder("outrigger-exporter")
        let port = FreePort.next()
        let server = try await LocalServer.start(
            exporter, ["--web.listen-address=127.0.0.1:\(port)"], folder: folder, port: port,
            environment: ["DATA_SOURCE_NAME": address]
        ) { FreePort.isOpen(port) }
        let text = try await LocalServer.run(
            "curl", ["-s", "http://127.0.0.1:\(port)/metrics"], folder: folder)
        await server.process.stop()
        return Page(text)
    }

    /// An empty label is no label.
    private static func ownSpelling(_ series: String) -> String {
        guard let brace = series.firstIndex(of: "{") else { return series }
        let labels = series[brace...].dropFirst().dropLast().replacing(#/[a-z_]+="",?/#, with: "")
        return "\(series[..<brace]){\(labels.hasSuffix(",") ? labels.dropLast() : labels[...])}"
    }

    /// Series about the exporter's own process, which is not ours.
    private static func isOfTheProcess(_ name: String) -> Bool {
        ["go_", "process_", "promhttp_", "postgres_exporter_build_info"].contains { name.hasPrefix($0) }
    }

    /// Why a value may differ between two moments a few milliseconds apart, or between two observers.
    private static func reasonToDiffer(_ series: String) -> String? {
        let reasons: [(String, String)] = [
            ("pg_exporter_", "each exporter's own scrapes"),
            ("pg_scrape_collector_duration_seconds", "each exporter's own scrapes"),
            ("pg_stat_activity_", "each sees the other's session and not its own"),
            ("pg_locks_count", "each sees its own locks"),
            ("pg_stat_database_", "questions count in the statistics of the database they are asked in"),
            ("pg_stat_archiver_last_archive_age", "an age"),
            ("pg_stat_bgwriter_", "the server's processes work on"),
            ("pg_stat_replication_", "the replica follows"),
            ("pg_replication_slots_pg_wal_lsn_diff", "the replica follows"),
            ("pg_database_size_bytes", "files grow, and ours is kept for a while"),
            ("pg_settings_extra_float_digits", "the old exporter's driver sets it for its own session"),
        ]
        return reasons.first { series.hasPrefix($0.0) }?.1
    }
}
