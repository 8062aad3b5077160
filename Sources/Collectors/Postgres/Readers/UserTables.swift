import Databases
import Metrics

extension PostgresCollector {
    static let userTables = PostgresCollector(
        "stat_user_tables", on: true, perDatabase: true,
        serves: userTablesTable.serves + [
            .init(metric: UserTablesReader.indexSize, labels: ["datname", "schemaname", "relname"]),
            .init(metric: UserTablesReader.tableSize, labels: ["datname", "schemaname", "relname"]),
        ]
    ) { UserTablesReader() }
}

/// Statistics of tables, and their sizes, which are kept for a while.
///
/// The server opens a table to tell its size, and so would wait for whoever holds it ACCESS EXCLUSIVE. Tables that
/// somebody holds so or waits for are left out of the question and keep the size that was known; against those who come
/// in between, the question waits for locks no longer than its transaction allows.
final class UserTablesReader: PostgresReader {
    static let indexSize = Metric.gauge(
        "pg_stat_user_tables_index_size_bytes", "Total disk space used by this index, in bytes")
    static let tableSize = Metric.gauge(
        "pg_stat_user_tables_table_size_bytes", "Total disk space used by this table, in bytes")
    private static let lockTimeout = "100ms"

    private let table = TableReader(
        name: "stat_user_tables", PostgresCollector.userTablesTable, isRanked: true)
    private var validity = Validity()
    /// Why the sizes could not be told; it stays until they are asked for again.
    private var failure: PostgresError?

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        let statistics = table.questions(context)
        guard validity.hasEnded(at: context.now) else { return statistics }
        // MATERIALIZED, so that a table is judged before its size is asked for.
        let sizes = PostgresQuery(
            name: "table_sizes",
            sql: """
                WITH held AS MATERIALIZED (
                    SELECT l.relation FROM pg_catalog.pg_locks l WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
                        AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
                ), free AS MATERIALIZED (
                    SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                    WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname !~ '^pg_toast'
                        AND n.nspname NOT IN ('pg_catalog', 'information_schema')
                        AND (c.relpersistence <> 't' OR c.relnamespace = pg_catalog.pg_my_temp_schema())
                        AND c.oid NOT IN (SELECT relation FROM held)
                        AND c.reltoastrelid NOT IN (SELECT relation FROM held)
                        AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid
                            AND i.indexrelid IN (SELECT relation FROM held))
                )
                SELECT nspname, relname, pg_catalog.pg_table_size(oid), pg_catalog.pg_indexes_size(oid) FROM free
                """, settings: [.init("lock_timeout", UserTablesReader.lockTimeout)])
        return statistics + [PostgresQuestion(sizes, apart: true)]
    }

    func weigh(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) {
        if answers.count == 2 { failure = readSizes(answers[1], context) }
        table.weigh(answers, context)
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        guard case .success(let rows)? = answers.first else {
            return table.read(answers, context)
        }
        var families = table.families(of: rows, context)
        families += sizeFamilies(rows, context.tables)
        return PostgresReading(families, error: failure)
    }

    /// A lock that somebody took in between is no failure: the sizes that are known are served.
    private func readSizes(_ answer: Result<PostgresRows, PostgresError>, _ context: PostgresContext) -> PostgresError?
    {
        let rows: PostgresRows
        switch answer {
        case .success(let answer): rows = answer
        case .failure(let error):
            validity.retry(after: error, at: context.now, within: context.configuration.sizesTTL)
            return error.kind == .lock ? nil : error
        }
        var fresh: [[UInt8]: (table: Double, indexes: Double)] = [:]
        fresh.reserveCapacity(rows.count)
        for row in 0..<rows.count {
            var key: [UInt8] = []
            rows.appendKey(row, [0, 1], to: &key)
            if let table = rows.number(row, 2), let indexes = rows.number(row, 3) { fresh[key] = (table, indexes) }
        }
        context.tables.tell(fresh)
        validity.begin(at: context.now, for: context.configuration.sizesTTL)
        return nil
    }

    private func sizeFamilies(_ rows: PostgresRows, _ tables: TableShare) -> [Family] {
        guard let labels = table.labelsOfRows.first, let schema = rows.column("nspname"),
            let name = rows.column("relname")
        else { return [] }
        let shown = tables.shown
        let kept = (0..<rows.count).filter { shown?[$0] ?? true }
        guard labels.count == kept.count else { return [] }
        var indexes = Family(UserTablesReader.indexSize)
        var totals = Family(UserTablesReader.tableSize)
        indexes.samples.reserveCapacity(kept.count)
        totals.samples.reserveCapacity(kept.count)
        var key: [UInt8] = []
        for (place, row) in kept.enumerated() {
            key.removeAll(keepingCapacity: true)
            rows.appendKey(row, [schema, name], to: &key)
            guard let size = tables.size(key) else { continue }
            indexes.samples.append(Sample(labels[place], size.indexes))
            totals.samples.append(Sample(labels[place], size.table))
        }
        return [indexes, totals]
    }
}
