import Databases
import Metrics

extension PostgresCollector {
    static let locks = PostgresCollector(
        "locks", on: true, serves: [.init(metric: LocksReader.count, labels: ["datname", "mode"])]
    ) { LocksReader() }
}

/// Locks counted by database and mode. The server only counts what is there; the zeros are ours.
final class LocksReader: PostgresReader {
    static let count = Metric.gauge("pg_locks_count", "Number of locks")
    private static let modes = [
        "accesssharelock", "rowsharelock", "rowexclusivelock", "shareupdateexclusivelock", "sharelock",
        "sharerowexclusivelock", "exclusivelock", "accessexclusivelock", "sireadlock",
    ]
    private static let places = Dictionary(uniqueKeysWithValues: modes.enumerated().map { ($1, $0) })

    /// For each database the labels of its modes.
    private var labels: [String: [Labels]] = [:]

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        let sql =
            "SELECT database, pg_catalog.lower(mode), pg_catalog.count(*) FROM pg_catalog.pg_locks WHERE database <> 0 GROUP BY 1, 2"
        return [PostgresQuestion(PostgresQuery(name: "locks", sql: sql))]
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        let rows: PostgresRows
        switch answers.first {
        case .success(let answer): rows = answer
        case .failure(let error): return PostgresReading(error: error)
        case nil: return PostgresReading()
        }
        var counts: [Double: [Double]] = [:]
        for row in 0..<rows.count {
            guard let oid = rows.number(row, 0), let mode = rows.text(row, 1), let place = LocksReader.places[mode],
                let count = rows.number(row, 2)
            else { continue }
            counts[oid, default: Array(repeating: 0, count: LocksReader.modes.count)][place] += count
        }
        if labels.count > 2 * context.databases.count + 64 { labels = [:] }
        var family = Family(LocksReader.count)
        family.samples.reserveCapacity(context.databases.count * LocksReader.modes.count)
        for database in context.databases {
            let counted = counts[database.oid]
            for (place, labels) in labels(of: database, context).enumerated() {
                family.samples.append(Sample(labels, counted?[place] ?? 0))
            }
        }
        return PostgresReading([family])
    }

    private func labels(of database: PostgresDatabase, _ context: PostgresContext) -> [Labels] {
        if let known = labels[database.label] { return known }
        let fresh = LocksReader.modes.map {
            Labels(context.commonLabels + [Label("datname", database.label), Label("mode", $0)])
        }
        labels[database.label] = fresh
        return fresh
    }
}
