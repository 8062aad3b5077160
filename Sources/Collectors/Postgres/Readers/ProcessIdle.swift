import Databases
import Metrics

extension PostgresCollector {
    static let processIdle = PostgresCollector(
        "process_idle", on: false,
        serves: [.init(metric: ProcessIdleReader.metric, labels: ["state", "application_name"])]
    ) { ProcessIdleReader() }
}

/// How long idle sessions have been idle, as a histogram for each state and application.
final class ProcessIdleReader: PostgresReader {
    static let metric = Metric("pg_process_idle_seconds", .histogram, "Idle time of server processes")
    private static let bounds = [1, 2, 5, 15, 30, 60, 90, 120, 300].map(HistogramBound.init)
    private var memory = LabelMemory()

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        let buckets = ProcessIdleReader.bounds.map { "pg_catalog.count(*) FILTER (WHERE idle <= \($0.text))" }
        let sql = """
            SELECT state, application_name, pg_catalog.count(*), pg_catalog.sum(pg_catalog.round(idle)), \(buckets.joined(separator: ", ")) \
            FROM (SELECT state, application_name, pg_catalog.date_part('epoch', pg_catalog.now() - state_change) AS idle \
            FROM pg_catalog.pg_stat_activity WHERE state LIKE 'idle%') AS sessions GROUP BY 1, 2
            """
        return [PostgresQuestion(PostgresQuery(name: "process_idle", sql: sql))]
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        let rows: PostgresRows
        switch answers.first {
        case .success(let answer): rows = answer
        case .failure(let error): return PostgresReading(error: error)
        case nil: return PostgresReading()
        }
        let labels = memory.labels(rows, Array(0..<rows.count), columns: [0, 1]) { row in
            Labels(
                context.commonLabels + [
                    Label("state", rows.text(row, 0) ?? "unknown"),
                    Label("application_name", rows.text(row, 1) ?? "unknown"),
                ])
        }
        var family = Family(ProcessIdleReader.metric)
        for row in 0..<rows.count {
            var counts: [UInt64] = []
            var below = 0.0
            for bucket in ProcessIdleReader.bounds.indices {
                let cumulative = rows.number(row, 4 + bucket) ?? 0
                counts.append(UInt64(clamping: cumulative - below))
                below = cumulative
            }
            counts.append(UInt64(clamping: (rows.number(row, 2) ?? 0) - below))
            family.addHistogram(
                labels[row], bounds: ProcessIdleReader.bounds, counts: counts, sum: rows.number(row, 3) ?? 0)
        }
        return PostgresReading([family])
    }
}
