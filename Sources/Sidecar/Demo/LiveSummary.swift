import Glibc
import Metrics
import Runtime

/// A few lines on the terminal that are written again every second: what the metrics say now.
struct LiveSummary {
    private let gather: @Sendable () async -> Snapshot
    private var before: (time: ContinuousClock.Instant, sums: [String: Double])?
    private var linesShown = 0

    init(_ gather: @escaping @Sendable () async -> Snapshot) { self.gather = gather }

    /// Writes until it is cancelled.
    mutating func show() async {
        while !Task.isCancelled {
            let lines = lines(from: await gather())
            // Up to the first line of the last time, and erase from there.
            let back = linesShown > 0 ? "\u{1B}[\(linesShown)A\u{1B}[J" : ""
            writeOutput(back + lines.joined(separator: "\n") + "\n")
            linesShown = lines.count
            try? await Task.sleep(for: .seconds(1))
        }
    }

    private mutating func lines(from snapshot: Snapshot) -> [String] {
        var sums: [String: Double] = [:]
        var seriesCount = 0
        for family in snapshot.families {
            seriesCount += family.samples.count
            for sample in family.samples where sample.part == .value {
                sums[family.metric.name, default: 0] += sample.value
                for key in ["datname", "state", "cmd", "source"] {
                    if let value = sample.labels[key] {
                        sums["\(family.metric.name)/\(value)", default: 0] += sample.value
                    }
                }
            }
        }
        let now = ContinuousClock.now
        let (last, seconds) = before.map { ($0.sums, (now - $0.time).seconds) } ?? (sums, 1)
        before = (now, sums)
        func rate(_ names: String...) -> Double {
            names.reduce(0) { $0 + max(0, (sums[$1] ?? 0) - (last[$1] ?? 0)) } / max(seconds, 0.001)
        }
        func ratio(_ hits: Double, _ misses: Double) -> String {
            hits + misses > 0 ? "\(Int(100 * hits / (hits + misses)))%" : "-"
        }
        func whole(_ value: Double) -> String { String(Int(value.rounded())) }
        func megabytes(_ name: String) -> String { "\(whole((sums[name] ?? 0) / 1e6)) MB" }
        return [
            row(
                "postgres", up: sums["pg_up"],
                [
                    ("transactions/s", whole(rate("pg_stat_database_xact_commit", "pg_stat_database_xact_rollback"))),
                    ("active", whole(sums["pg_stat_activity_count/active"] ?? 0)),
                    ("buffer hits", ratio(rate("pg_stat_database_blks_hit"), rate("pg_stat_database_blks_read"))),
                    ("size", megabytes("pg_database_size_bytes")),
                ]),
            row(
                "redis", up: sums["redis_up"],
                [
                    ("commands/s", whole(rate("redis_commands_processed_total"))),
                    ("clients", whole(sums["redis_connected_clients"] ?? 0)),
                    ("key hits", ratio(rate("redis_keyspace_hits_total"), rate("redis_keyspace_misses_total"))),
                    ("memory", megabytes("redis_memory_used_bytes")),
                ]),
            row(
                "cache", up: sums["outrigger_redis_proxy_tracking_up"],
                [
                    (
                        "hits",
                        ratio(
                            rate("outrigger_cache_hits_total", "outrigger_cache_absent_hits_total"),
                            rate("outrigger_cache_misses_total"))
                    ),
                    ("round trips saved/s", whole(rate("outrigger_redis_proxy_replies_total/local"))),
                    ("entries", whole(sums["outrigger_cache_entries"] ?? 0)),
                    ("memory", "\(whole((sums["outrigger_cache_resident_bytes"] ?? 0) / 1e3)) kB"),
                ]),
            row(
                "outrigger", up: 1,
                [
                    ("series", String(seriesCount)), ("memory", megabytes("process_resident_memory_bytes")),
                    ("cpu", "\(whole(100 * rate("process_cpu_seconds_total")))%"),
                ]),
        ]
    }

    private func row(_ name: String, up: Double?, _ cells: [(String, String)]) -> String {
        let state = up.map { $0 > 0 ? "up  " : "DOWN" } ?? "-   "
        let padded = name + String(repeating: " ", count: max(0, 10 - name.utf8.count))
        return "  \(padded) \(state)  " + cells.map { "\($0.0) \($0.1)" }.joined(separator: "   ")
    }
}
