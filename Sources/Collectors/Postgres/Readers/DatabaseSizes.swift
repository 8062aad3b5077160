import Databases
import Metrics

extension PostgresCollector {
    static let database = PostgresCollector(
        "database", on: true,
        serves: [
            .init(metric: DatabaseReader.size, labels: ["datname"]),
            .init(metric: DatabaseReader.connectionLimit, labels: ["datname"]),
        ]
    ) { DatabaseReader() }
}

/// Connection limits from the list of databases, which is asked for anyway, and sizes, which are kept for a while: the
/// server walks through every file of a database to tell its size.
final class DatabaseReader: PostgresReader {
    static let size = Metric.gauge("pg_database_size_bytes", "Disk space used by the database")
    static let connectionLimit = Metric.gauge(
        "pg_database_connection_limit", "Connection limit set for the database")

    private var sizes: [Double: Double] = [:]
    private var validity = Validity()
    /// Why the sizes could not be told; it stays until they are asked for again.
    private var failure: PostgresError?
    private var labels = NamedLabels("datname")

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        guard validity.hasEnded(at: context.now) else { return [] }
        let sql = """
            SELECT oid, CASE WHEN pg_catalog.has_database_privilege(oid, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') \
            THEN pg_catalog.pg_database_size(oid) END FROM pg_catalog.pg_database WHERE datconnlimit <> -2
            """
        return [PostgresQuestion(PostgresQuery(name: "database_sizes", sql: sql), apart: true)]
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        switch answers.first {
        case .success(let rows):
            failure = nil
            sizes = [:]
            for row in 0..<rows.count {
                if let oid = rows.number(row, 0), let size = rows.number(row, 1) { sizes[oid] = size }
            }
            validity.begin(at: context.now, for: context.configuration.sizesTTL)
        case .failure(let error):
            failure = error
            validity.retry(after: error, at: context.now, within: context.configuration.sizesTTL)
        case nil: break
        }
        var size = Family(DatabaseReader.size)
        var limit = Family(DatabaseReader.connectionLimit)
        for database in context.databases where !context.configuration.excludes(database) {
            let labels = labels.of(database.label, context)
            if let bytes = sizes[database.oid] { size.samples.append(Sample(labels, bytes)) }
            limit.samples.append(Sample(labels, database.connectionLimit))
        }
        return PostgresReading([size, limit], error: failure)
    }
}

/// How long what was read may be served again.
struct Validity {
    private var end: ContinuousClock.Instant?

    func hasEnded(at now: ContinuousClock.Instant) -> Bool { end.map { now >= $0 } ?? true }

    mutating func begin(at now: ContinuousClock.Instant, for duration: Duration) { end = now + duration }

    /// After a failure: what is known stays, and it is not asked for at every collection. What took too long takes that
    /// long again.
    mutating func retry(after error: PostgresError, at now: ContinuousClock.Instant, within duration: Duration) {
        end = now + (error.kind == .timeout ? duration : min(duration, .seconds(30)))
    }
}

/// Label sets that differ in one label, made once for each of its values.
struct NamedLabels {
    private let name: String
    private var known: [String: Labels] = [:]

    init(_ name: String) { self.name = name }

    mutating func of(_ value: String, _ context: PostgresContext) -> Labels {
        if let labels = known[value] { return labels }
        if known.count > 4096 { known = [:] }
        let labels = Labels(context.commonLabels + [Label(name, value)])
        known[value] = labels
        return labels
    }
}
