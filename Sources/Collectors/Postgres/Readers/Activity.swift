import Databases
import Metrics

extension PostgresCollector {
    private static let activityLabels = [
        "datname", "state", "usename", "application_name", "backend_type", "wait_event_type", "wait_event",
    ]

    static let activity = PostgresCollector(
        "stat_activity", on: true,
        serves: [
            .init(metric: ActivityReader.count, labels: activityLabels),
            .init(metric: ActivityReader.longest, labels: activityLabels),
        ]
    ) { ActivityReader(labelNames: activityLabels) }
}

/// Sessions counted by what they do. The server only counts those that are there; a database's states without any
/// session are our zeros.
///
/// With the old names on, the labels are the two of postgres_exporter 0.11, `datname` and `state`, so that a sum is right
/// on dashboards of either age.
final class ActivityReader: PostgresReader {
    static let count = Metric.gauge("pg_stat_activity_count", "number of connections in this state")
    static let longest = Metric.gauge(
        "pg_stat_activity_max_tx_duration", "max duration in seconds any active transaction has been running")
    private static let states = [
        "active", "idle", "idle in transaction", "idle in transaction (aborted)", "fastpath function call", "disabled",
    ]

    private let labelNames: [String]
    private var memory = LabelMemory()
    private var zeroLabels: [String: [Labels]] = [:]

    init(labelNames: [String]) { self.labelNames = labelNames }

    private func columns(_ context: PostgresContext) -> Int { context.hasAliases ? 2 : labelNames.count }

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        let names = labelNames.prefix(columns(context)).joined(separator: ", ")
        let sql = """
            SELECT \(names), pg_catalog.count(*), pg_catalog.max(pg_catalog.date_part('epoch', pg_catalog.now() - xact_start)) FROM pg_catalog.pg_stat_activity \
            WHERE pid <> pg_catalog.pg_backend_pid() AND datname IS NOT NULL AND state IS NOT NULL GROUP BY \(names)
            """
        return [PostgresQuestion(PostgresQuery(name: "stat_activity", sql: sql))]
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        let rows: PostgresRows
        switch answers.first {
        case .success(let answer): rows = answer
        case .failure(let error): return PostgresReading(error: error)
        case nil: return PostgresReading()
        }
        let columns = Array(0..<columns(context))
        let labels = memory.labels(rows, Array(0..<rows.count), columns: columns) { row in
            Labels(context.commonLabels + columns.map { Label(labelNames[$0], rows.text(row, $0) ?? "") })
        }
        var count = Family(ActivityReader.count)
        var longest = Family(ActivityReader.longest)
        var seen: Set<[String]> = []
        for row in 0..<rows.count {
            count.samples.append(Sample(labels[row], rows.number(row, columns.count) ?? 0))
            longest.samples.append(Sample(labels[row], rows.number(row, columns.count + 1) ?? 0))
            if let database = rows.text(row, 0), let state = rows.text(row, 1) { seen.insert([database, state]) }
        }
        if zeroLabels.count > 2 * context.databases.count + 64 { zeroLabels = [:] }
        for database in context.databases {
            for (place, labels) in zeroLabels(of: database, context).enumerated()
            where !seen.contains([database.label, ActivityReader.states[place]]) {
                count.samples.append(Sample(labels, 0))
                longest.samples.append(Sample(labels, 0))
            }
        }
        return PostgresReading([count, longest])
    }

    private func zeroLabels(of database: PostgresDatabase, _ context: PostgresContext) -> [Labels] {
        if let known = zeroLabels[database.label] { return known }
        let fresh = ActivityReader.states.map {
            Labels(context.commonLabels + [Label("datname", database.label), Label("state", $0)])
        }
        zeroLabels[database.label] = fresh
        return fresh
    }
}
