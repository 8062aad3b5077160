import Databases
import Metrics
import Runtime

extension PostgresCollector {
    static let statements = PostgresCollector(
        "stat_statements", on: false,
        serves: StatementsReader.columns.map {
            .init(metric: $0.metric, labels: ["user", "datname", "queryid"])
        } + [.init(metric: StatementsReader.query, labels: ["queryid", "query"])]
    ) { StatementsReader() }
}

/// `pg_stat_statements`: a series for each of the statements that took most time, and one that grows by what all others
/// do together, with `other` in its labels.
final class StatementsReader: PostgresReader {
    struct Column {
        let metric: Metric
        /// What postgres_exporter 0.11 called it in its example of custom queries.
        let old: Metric
        let sql: PostgresSQL
    }

    static let columns = [
        Column(
            metric: .counter("pg_stat_statements_calls_total", "Number of times executed"),
            old: .counter("pg_stat_statements_calls", "Number of times executed"), sql: "pg_catalog.sum(calls)"),
        Column(
            metric: .counter("pg_stat_statements_seconds_total", "Total time spent in the statement, in seconds"),
            old: .counter("pg_stat_statements_total_time_seconds", "Total time spent in the statement, in seconds"),
            sql: "pg_catalog.sum(total_exec_time) / 1000"),
        Column(
            metric: .counter(
                "pg_stat_statements_rows_total", "Total number of rows retrieved or affected by the statement"),
            old: .counter(
                "pg_stat_statements_rows", "Total number of rows retrieved or affected by the statement"),
            sql: "pg_catalog.sum(rows)"),
        Column(
            metric: .counter(
                "pg_stat_statements_block_read_seconds_total",
                "Total time the statement spent reading blocks, in seconds"),
            old: .counter(
                "pg_stat_statements_blk_read_time_seconds", "Total time the statement spent reading blocks, in seconds"),
            sql: PostgresSQL("pg_catalog.sum(blk_read_time) / 1000").but(
                since: 17, "pg_catalog.sum(shared_blk_read_time) / 1000")),
        Column(
            metric: .counter(
                "pg_stat_statements_block_write_seconds_total",
                "Total time the statement spent writing blocks, in seconds"),
            old: .counter(
                "pg_stat_statements_blk_write_time_seconds",
                "Total time the statement spent writing blocks, in seconds"),
            sql: PostgresSQL("pg_catalog.sum(blk_write_time) / 1000").but(
                since: 17, "pg_catalog.sum(shared_blk_write_time) / 1000")),
    ]

    static let query = Metric.counter("pg_stat_statements_query_id", "SQL Query to queryid mapping")

    /// What only the old names have, as expressions over the entries of one statement.
    private static let oldColumns: [(metric: Metric, sql: String)] =
        [
            (
                .gauge("pg_stat_statements_min_time_seconds", "Minimum time spent in the statement, in seconds"),
                "pg_catalog.min(min_exec_time) / 1000"
            ),
            (
                .gauge("pg_stat_statements_max_time_seconds", "Maximum time spent in the statement, in seconds"),
                "pg_catalog.max(max_exec_time) / 1000"
            ),
            (
                .gauge("pg_stat_statements_mean_time_seconds", "Mean time spent in the statement, in seconds"),
                "pg_catalog.sum(total_exec_time) / greatest(1, pg_catalog.sum(calls)) / 1000"
            ),
            (
                .gauge(
                    "pg_stat_statements_stddev_time_seconds",
                    "Population standard deviation of time spent in the statement, in seconds"),
                "pg_catalog.max(stddev_exec_time) / 1000"
            ),
        ]
        + [
            ("shared_blks_hit", "shared block cache hits"), ("shared_blks_read", "shared blocks read"),
            ("shared_blks_dirtied", "shared blocks dirtied"), ("shared_blks_written", "shared blocks written"),
            ("local_blks_hit", "local block cache hits"), ("local_blks_read", "local blocks read"),
            ("local_blks_dirtied", "local blocks dirtied"), ("local_blks_written", "local blocks written"),
            ("temp_blks_read", "temp blocks read"), ("temp_blks_written", "temp blocks written"),
        ].map {
            (.counter("pg_stat_statements_\($0)", "Total number of \($1) by the statement"), "pg_catalog.sum(\($0))")
        }

    /// In the order of their columns.
    static var oldMetrics: [Metric] { columns.map(\.old) + oldColumns.map(\.metric) }

    private var selection: StatementSelection?
    private var memory = LabelMemory()
    private var oldMemory = LabelMemory()
    /// For each column, what statements without series of their own did since we look.
    private var others: [Double] = []
    /// The same as the server counts it, for the members of last time.
    private var rest: [Double] = []
    private var lastValues: [[UInt8]: [Double]] = [:]

    private static let firstValue = 4

    /// Whether the server could not bring some text into this database's encoding, which ends the whole statement.
    private var hasUnreadableTexts = false

    func questions(_ context: PostgresContext) -> [PostgresQuestion] {
        guard let schema = context.prefix(of: "pg_stat_statements") else { return [] }
        let options = context.configuration.statements
        let includesText = options.includeQuery && !hasUnreadableTexts
        let values = StatementsReader.columns.enumerated().map { "\($1.sql[context.major] ?? "0") AS v\($0)" }
        let old = context.hasAliases ? StatementsReader.oldColumns.map(\.sql) : []
        let names = values.indices.map { "v\($0)" } + old.indices.map { "o\($0)" }
        let sums = values.indices.map { "pg_catalog.sum(v\($0))" } + old.map { _ in "NULL" }
        let text =
            includesText ? "pg_catalog.min(pg_catalog.left(query, \(options.queryLength)))" : "NULL::pg_catalog.text"
        let sql = """
            WITH entries AS MATERIALIZED (
                SELECT userid, dbid, queryid, \(text) AS query,
                    \((values + old.enumerated().map { "\($1) AS o\($0)" }).joined(separator: ", "))
                FROM \(schema)pg_stat_statements(\(includesText))
                WHERE dbid NOT IN (SELECT oid FROM pg_catalog.pg_database WHERE datname = ANY ($2::pg_catalog.text[]))
                    AND userid NOT IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ANY ($3::pg_catalog.text[]))
                GROUP BY userid, dbid, queryid
            )
            (SELECT pg_catalog.pg_get_userbyid(userid)::pg_catalog.text, datname::pg_catalog.text, queryid::pg_catalog.text, query, \(names.joined(separator: ", "))
                FROM entries JOIN pg_catalog.pg_database ON oid = dbid ORDER BY v1 DESC LIMIT $1)
            UNION ALL SELECT NULL, NULL, 'other', NULL, \(sums.joined(separator: ", ")) FROM entries
            """
        let parameters = [
            String(2 * options.limit), StatementsReader.array(options.excludeDatabases),
            StatementsReader.array(options.excludeUsers),
        ]
        let name = "stat_statements_\(includesText)_\(schema)"
        return [PostgresQuestion(PostgresQuery(name: name, sql: sql, parameters: parameters))]
    }

    /// A text array as Postgres reads it.
    private static func array(_ texts: [String]) -> String {
        let quoted = texts.map { text in
            "\"" + text.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : String($0) }.joined() + "\""
        }
        return "{" + quoted.joined(separator: ",") + "}"
    }

    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading {
        let rows: PostgresRows
        switch answers.first {
        case .success(let answer): rows = answer
        case .failure(let error):
            if error.isAboutEncoding, context.configuration.statements.includeQuery, !hasUnreadableTexts {
                hasUnreadableTexts = true
                Log.warn(
                    "texts of statements are left out",
                    ["target": context.configuration.name, "error": error.description])
            }
            return PostgresReading(error: error)
        case nil: return PostgresReading(error: PostgresContext.missing(extension: "pg_stat_statements"))
        }
        guard rows.count > 0 else { return PostgresReading() }
        let statements = (0..<(rows.count - 1)).map { row in Statement(rows, row) }
        let shown = choose(among: statements, totals: Statement(rows, rows.count - 1).values, context)
        return PostgresReading(families(rows, shown, context))
    }

    private struct Statement {
        let row: Int
        let key: [UInt8]
        let values: [Double]

        init(_ rows: PostgresRows, _ row: Int) {
            self.row = row
            var key: [UInt8] = []
            rows.appendKey(row, [0, 1, 2], to: &key)
            self.key = key
            values = StatementsReader.columns.indices.map { rows.number(row, StatementsReader.firstValue + $0) ?? 0 }
        }
    }

    /// Decides who is shown, and adds to `others` what everybody else did since last time.
    private func choose(among statements: [Statement], totals: [Double], _ context: PostgresContext) -> [Int] {
        var selection = selection ?? StatementSelection(limit: context.configuration.statements.limit)
        let isFirst = others.isEmpty
        if !isFirst {
            // Who is gone counts with what was last known, so that leaving is not mistaken for work of others.
            let now = StatementsReader.rest(
                of: totals, without: statements.filter { selection.members.contains($0.key) }, gone: lastValues)
            for column in others.indices { others[column] += max(0, now[column] - rest[column]) }
        }
        selection.choose(from: statements.map { ($0.key, $0.values[1]) }, at: context.now)
        let members = statements.filter { selection.members.contains($0.key) }
        rest = StatementsReader.rest(of: totals, without: members, gone: [:])
        if isFirst { others = rest.map { max(0, $0) } }
        lastValues = Dictionary(members.map { ($0.key, $0.values) }) { first, _ in first }
        self.selection = selection
        return members.map(\.row)
    }

    private static func rest(
        of totals: [Double], without members: [Statement], gone: [[UInt8]: [Double]]
    ) -> [Double] {
        var rest = totals
        var gone = gone
        for member in members {
            gone[member.key] = nil
            for column in rest.indices { rest[column] -= member.values[column] }
        }
        for values in gone.values {
            for column in rest.indices { rest[column] -= values[column] }
        }
        return rest
    }

    private func families(_ rows: PostgresRows, _ shown: [Int], _ context: PostgresContext) -> [Family] {
        func labels(_ user: String, _ row: Int) -> Labels {
            Labels(
                context.commonLabels + [
                    Label(user, rows.text(row, 0) ?? "unknown"), Label("datname", rows.text(row, 1) ?? "unknown"),
                    Label("queryid", rows.text(row, 2) ?? "unknown"),
                ])
        }
        let own = memory.labels(rows, shown, columns: [0, 1, 2]) { labels("user", $0) }
        let other = Labels(
            context.commonLabels + [Label("user", "other"), Label("datname", "other"), Label("queryid", "other")])
        var families = StatementsReader.columns.indices.map { column in
            StatementsReader.family(
                StatementsReader.columns[column].metric, rows, shown, own, StatementsReader.firstValue + column)
        }
        for column in families.indices { families[column].samples.append(Sample(other, others[column])) }
        if context.configuration.statements.includeQuery, !hasUnreadableTexts {
            families.append(texts(rows, shown, context))
        }
        guard context.hasAliases else { return families }

        let old = oldMemory.labels(rows, shown, columns: [0, 1, 2]) { labels("rolname", $0) }
        for (column, metric) in StatementsReader.oldMetrics.enumerated() {
            families.append(StatementsReader.family(metric, rows, shown, old, StatementsReader.firstValue + column))
        }
        return families
    }

    private static func family(
        _ metric: Metric, _ rows: PostgresRows, _ shown: [Int], _ labels: [Labels], _ column: Int
    ) -> Family {
        Family(metric, zip(shown, labels).map { Sample($1, rows.number($0, column) ?? 0) })
    }

    /// One series for each number of a statement, whoever ran it.
    private func texts(_ rows: PostgresRows, _ shown: [Int], _ context: PostgresContext) -> Family {
        var family = Family(StatementsReader.query)
        var seen: Set<String> = []
        for row in shown {
            let id = rows.text(row, 2) ?? "unknown"
            guard seen.insert(id).inserted else { continue }
            let labels = Labels(
                context.commonLabels + [Label("queryid", id), Label("query", rows.text(row, 3) ?? "unknown")])
            family.samples.append(Sample(labels, 1))
        }
        return family
    }
}
