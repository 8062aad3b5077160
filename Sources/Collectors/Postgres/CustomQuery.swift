import Databases
import Metrics

/// A statement of the operator's, whose columns become labels and metrics called `NAME_COLUMN`.
public struct CustomQuery: Sendable {
    public struct Column: Sendable {
        public enum Use: Sendable {
            case label, counter, gauge
            /// An array of upper bounds; the arrays and numbers in the columns `COLUMN_bucket`, `COLUMN_sum` and
            /// `COLUMN_count` belong to it. Buckets are cumulative.
            case histogram
        }

        public let name: String
        public let use: Use
        public let help: String

        public init(_ name: String, _ use: Use, help: String = "") {
            self.name = name
            self.use = use
            self.help = help
        }
    }

    /// Why a query cannot be used.
    public enum Mistake: Error, Equatable, CustomStringConvertible {
        case name(String)
        case noValue(query: String)
        case duplicateColumn(query: String, column: String)

        public var description: String {
            switch self {
            case .name(let name): "not a name for metrics or labels: \(name)"
            case .noValue(let query): "query \(query): no column is a counter, gauge or histogram"
            case .duplicateColumn(let query, let column): "query \(query): column \(column) is there twice"
            }
        }
    }

    /// The metrics' prefix, and the collector's name.
    public let name: String
    let sql: String
    let columns: [Column]
    let isPerDatabase: Bool
    let cache: Duration?
    let searchPath: String?

    /// - Parameters:
    ///   - perDatabase: ask in every database that is watched. When that is more than one, a label `datname` is added,
    ///     unless the query has one.
    ///   - cache: serve an answer again for this long.
    ///   - searchPath: where names without a schema are looked up; `pg_catalog` alone without one.
    public init(
        _ name: String, sql: String, columns: [Column], perDatabase: Bool = false, cache: Duration? = nil,
        searchPath: String? = nil
    ) throws(Mistake) {
        guard Metric.isValidName(name) else { throw .name(name) }
        var seen: Set<String> = []
        for column in columns {
            guard Metric.isValidLabelName(column.name) else { throw .name(column.name) }
            guard seen.insert(column.name).inserted else { throw .duplicateColumn(query: name, column: column.name) }
        }
        guard columns.contains(where: { $0.use != .label }) else { throw .noValue(query: name) }
        self.name = name
        self.sql = sql
        self.columns = columns
        isPerDatabase = perDatabase
        self.cache = cache
        self.searchPath = searchPath
    }

    var collector: PostgresCollector {
        let labels = columns.filter { $0.use == .label }.map(\.name)
        let addsDatabase = isPerDatabase && !labels.contains("datname")
        let metrics = columns.filter { $0.use != .label }.map { column in
            PostgresCollector.Served(
                metric: Metric("\(name)_\(column.name)", column.use.kind, column.help),
                labels: labels)
        }
        return PostgresCollector(name, on: true, perDatabase: isPerDatabase, serves: metrics) {
            CustomQueryReader(self, metrics: metrics.map(\.metric), mayAddDatabase: addsDatabase)
        }
    }
}

extension CustomQuery.Column.Use {
    fileprivate var kind: Metric.Kind {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .histogram: .histogram
        case .label: .untyped
        }
    }
}

/// Asks an operator's statement, in a transaction of its own.
final class CustomQueryReader: PostgresReader {
    private let query: CustomQuery
    private let labels: [CustomQuery.Column]
    private let values: [(column: CustomQuery.Column, metric: Metric)]
    private let mayAddDatabase: Bool
    private var memory = LabelMemory()
    private var validity = Validity()
    private var cached: [Family] = []

    init(_ query: CustomQuery, metrics: [Metric], mayAddDatabase: Bool) {
        self.query = query
        self.mayAddDatabase = mayAddDatabase
        labels = query.columns.filter { $0.use == .label }
        values = Array(zip(query.columns.filter { $0.use != .label }, metrics))
    }

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        guard validity.hasEnded(at: context.now) else { return [] }
        let statement = query.sql.trimmingTrailingSemicolon
        let sql =
            addsDatabase(context)
            ? "SELECT pg_catalog.current_database(), answer.* FROM (\(statement)\n) AS answer" : statement
        let settings = query.searchPath.map { [PostgresQuery.Setting("search_path", $0)] } ?? []
        return [
            PostgresQuestion(PostgresQuery(name: "custom_\(query.name)", sql: sql, settings: settings), apart: true)
        ]
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        switch answers.first {
        case nil: return PostgresReading(cached)
        case .failure(let error): return PostgresReading(error: explained(error))
        case .success(let rows):
            do {
                let families = try families(rows, context)
                if let cache = query.cache {
                    validity.begin(at: context.now, for: cache)
                    cached = families
                }
                return PostgresReading(families)
            } catch {
                return PostgresReading(error: error)
            }
        }
    }

    /// What was written for another search path is the likeliest reason for names that are not there.
    private func explained(_ error: PostgresError) -> PostgresError {
        guard error.kind == .missing, query.searchPath == nil else { return error }
        return PostgresError(
            error.kind,
            "\(error.message); names without a schema are looked up in pg_catalog unless the query has a search_path",
            sqlState: error.sqlState)
    }

    private func addsDatabase(_ context: PostgresContext) -> Bool { mayAddDatabase && context.hasSeveralDatabases }

    private func families(_ rows: PostgresRows, _ context: PostgresContext) throws(PostgresError) -> [Family] {
        var labelColumns: [(name: String, column: Int)] = addsDatabase(context) ? [("datname", 0)] : []
        for label in labels { labelColumns.append((label.name, try column(label.name, of: rows))) }
        let labelsOfRows = memory.labels(rows, Array(0..<rows.count), columns: labelColumns.map(\.column)) { row in
            Labels(context.commonLabels + labelColumns.map { Label($0.name, rows.text(row, $0.column) ?? "") })
        }
        var families: [Family] = []
        for (column, metric) in values {
            var family = Family(metric)
            if column.use == .histogram {
                try addHistograms(column.name, rows, labelsOfRows, to: &family)
            } else {
                let place = try self.column(column.name, of: rows)
                for row in 0..<rows.count {
                    // What is neither number nor time costs only itself.
                    guard let number = rows.number(row, place) ?? rows.unixTime(row, place) else { continue }
                    family.samples.append(Sample(labelsOfRows[row], number))
                }
            }
            families.append(family)
        }
        return families
    }

    private func addHistograms(
        _ name: String, _ rows: PostgresRows, _ labels: [Labels], to family: inout Family
    ) throws(PostgresError) {
        let bounds = try column(name, of: rows)
        let buckets = try column("\(name)_bucket", of: rows)
        let sum = try column("\(name)_sum", of: rows)
        let count = try column("\(name)_count", of: rows)
        for row in 0..<rows.count {
            let edges = CustomQueryReader.numbers(rows.text(row, bounds) ?? "")
            let cumulative = CustomQueryReader.numbers(rows.text(row, buckets) ?? "")
            guard edges.count == cumulative.count, let total = rows.number(row, count) else { continue }
            let sorted = zip(edges, cumulative).sorted { $0.0 < $1.0 }
            var below = 0.0
            var counts: [UInt64] = []
            for (_, value) in sorted + [(.infinity, total)] {
                counts.append(UInt64(exactly: max(0, value - below).rounded()) ?? 0)
                below = max(below, value)
            }
            family.addHistogram(
                labels[row], bounds: sorted.map { HistogramBound($0.0) }, counts: counts,
                sum: rows.number(row, sum) ?? 0)
        }
    }

    private func column(_ name: String, of rows: PostgresRows) throws(PostgresError) -> Int {
        guard let column = rows.column(name) else {
            throw PostgresError(.missing, "query \(query.name): no column \"\(name)\" in its answer")
        }
        return column
    }

    /// `{1,2.5,…}`.
    private static func numbers(_ array: String) -> [Double] {
        array.split { "{}, ".contains($0) }.compactMap { Double($0) }
    }
}

extension String {
    fileprivate var trimmingTrailingSemicolon: String {
        var text = self[...]
        while let last = text.last, last == ";" || last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
