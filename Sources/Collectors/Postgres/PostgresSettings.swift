import Databases
import Runtime

extension PostgresTarget.Configuration {
    /// Reads `postgres.*` and `collector.*`, which are the same for every target; name and connection are the target's.
    ///
    /// - Parameter aliases: whether the names of older exporters are served, too.
    /// - Parameter seriesLimit: series that one collector may bring.
    public init(_ settings: Settings, aliases: Bool, seriesLimit: Int = .max) throws(SettingsError) {
        self.init(name: "", connection: "")
        self.aliases = aliases
        for name in Self.knownCollectors.sorted() {
            let isOn = try settings.read(
                "collector.\(name)", default: Self.defaultCollectors.contains(name), "The Postgres collector \(name).")
            if isOn { collectors.insert(name) } else { collectors.remove(name) }
        }
        try readDatabases(settings)
        try readStatements(settings)
        sizesTTL = try settings.read(
            "postgres.sizes_ttl", default: sizesTTL, "How long the sizes of databases and tables are served again.")
        connectionMaxAge = try settings.read(
            "postgres.connection_max_age", default: connectionMaxAge,
            "How long a connection is used before it is opened anew.")
        connectionLimit = try settings.read(
            "postgres.connection_limit", default: connectionLimit,
            "Connections to further databases of one target that are open at the same time.", in: 1...10_000)
        refusalPause = try settings.read(
            "postgres.refusal_pause", default: refusalPause,
            "How long a question that the role may not ask is not asked again.")
        let tables = try settings.read(
            "postgres.table_limit", default: 0,
            "Tables of one target that have series, of more the largest; 0 is as many as collect.series_limit has room for.",
            in: 0...10_000_000)
        let fitting = max(1, seriesLimit / Self.seriesOfTable)
        tableLimit = tables == 0 ? fitting : min(tables, fitting)
        answerLimit = PostgresAnswerLimit(
            bytes: try settings.read(
                "postgres.answer_limit_bytes", default: answerLimit.bytes,
                "Bytes of one answer; a larger one is given up, and fails its collector alone.",
                in: 65_536...1_073_741_824),
            rows: try settings.read(
                "postgres.answer_limit_rows", default: answerLimit.rows, "Rows of one answer.", in: 100...10_000_000))
        (customQueries, queryFiles) = try CustomQueries.read(settings)
    }

    private mutating func readDatabases(_ settings: Settings) throws(SettingsError) {
        discoversDatabases = try settings.read(
            "postgres.auto_discover_databases", default: false,
            "Watch the tables of every database, not only the connected one.")
        includeDatabases = try settings.readList(
            "postgres.include_databases", "Patterns (* and ?) of databases whose tables are watched, too.")
        excludeDatabases = try settings.readList(
            "postgres.exclude_databases", "Patterns of databases of which nothing is told.")
        databaseLimit = try settings.read(
            "postgres.database_limit", default: databaseLimit, "Databases that are watched at most.", in: 1...100_000)
    }

    private mutating func readStatements(_ settings: Settings) throws(SettingsError) {
        let prefix = "collector.stat_statements."
        statements.limit = try settings.read(
            prefix + "limit", default: statements.limit,
            "Statements with series of their own; all others are one `other`.",
            in: 1...100_000)
        statements.includeQuery = try settings.read(
            prefix + "include_query", default: false, "Tell the statements' texts.")
        statements.queryLength = try settings.read(
            prefix + "query_length", default: statements.queryLength, "Characters of a text.", in: 1...100_000)
        statements.excludeDatabases = try settings.readList(prefix + "exclude_databases", "Databases left out.")
        statements.excludeUsers = try settings.readList(prefix + "exclude_users", "Users left out.")
    }
}

/// Queries of the user's own, in the form of postgres_exporter's `queries.yaml`:
/// `NAME: {query: SQL, master: true, cache_seconds: 30, metrics: [{COLUMN: {usage: GAUGE, description: TEXT}}]}`, and
/// `search_path` besides.
///
/// A mistake in our own configuration stops the start. One in a file of queries costs the query it is in, as far as that
/// can be told: such files are often others', and are delivered while the service runs.
private enum CustomQueries {
    typealias QueryFile = PostgresTarget.Configuration.QueryFile

    private static let limitBytes = 8 << 20

    static func read(_ settings: Settings) throws(SettingsError) -> ([CustomQuery], [QueryFile]) {
        var queries: [CustomQuery] = []
        var files: [QueryFile] = []
        if let section = settings.readSection(
            "postgres.custom_queries", "Queries of your own, in the form of postgres_exporter's queries.yaml.")
        {
            queries += try read(section, of: settings.fileName) { mistake throws(SettingsError) in throw mistake }
        }
        for path in try settings.readList("postgres.extend_query_path", "Files of queries of your own.") {
            let (more, file) = readFile(path, besides: queries)
            queries += more
            files.append(file)
        }
        return (queries, files)
    }

    private static func readFile(_ path: String, besides known: [CustomQuery]) -> ([CustomQuery], QueryFile) {
        var isBroken = false
        func note(_ problem: String) {
            isBroken = true
            Log.warn("query file has a mistake", ["file": path, "error": problem])
        }
        var queries: [CustomQuery] = []
        var hash = ""
        do {
            let bytes = try Files.read(path, limitBytes: limitBytes)
            hash = SHA256(of: bytes).hexadecimal
            if let root = try YAML.parse(bytes) {
                queries = try read(root, of: path, besides: known) { note("\($0)") }
            }
        } catch {
            note("\(error)")
        }
        return (queries, QueryFile(path: path, hash: hash, isBroken: isBroken))
    }

    /// - Parameter mistaken: told of each query that cannot be used; what it throws ends the reading.
    private static func read(
        _ root: YAML, of file: String, besides known: [CustomQuery] = [],
        mistaken: (SettingsError) throws(SettingsError) -> Void
    ) throws(SettingsError) -> [CustomQuery] {
        guard let entries = root.entries else {
            throw wrong(file, root, "", "must be a mapping, but is \(root.kindText)")
        }
        var queries: [CustomQuery] = []
        for entry in entries {
            do throws(SettingsError) {
                guard !(known + queries).contains(where: { $0.name == entry.key }) else {
                    throw wrong(file, entry.value, entry.key, "another query has this name")
                }
                queries.append(try query(entry, of: file))
            } catch {
                try mistaken(error)
            }
        }
        return queries
    }

    private static func query(_ entry: YAML.Entry, of file: String) throws(SettingsError) -> CustomQuery {
        var sql: String?
        var isPerDatabase = true
        var cache: Duration?
        var columns: [CustomQuery.Column] = []
        var searchPath: String?
        for part in entry.value.entries ?? [] {
            let key = "\(entry.key).\(part.key)"
            switch part.key {
            case "query": sql = part.value.text
            case "master":
                guard let isOnce = part.value.text.flatMap(Bool.init(setting:)) else {
                    throw wrong(file, part.value, key, "must be \(Bool.kind)")
                }
                isPerDatabase = !isOnce
            case "cache_seconds":
                guard let duration = part.value.text.flatMap(Duration.init(setting:)) else {
                    throw wrong(file, part.value, key, "must be a number of seconds")
                }
                cache = duration
            case "search_path": searchPath = part.value.text
            case "metrics":
                columns =
                    try part.value.items.map { items throws(SettingsError) in try self.columns(items, file, key) } ?? []
            default: throw wrong(file, part.value, key, "unknown key")
            }
        }
        guard let sql, !sql.isEmpty else { throw wrong(file, entry.value, entry.key + ".query", "is missing") }
        do {
            return try CustomQuery(
                entry.key, sql: sql, columns: columns, perDatabase: isPerDatabase, cache: cache, searchPath: searchPath)
        } catch {
            throw wrong(file, entry.value, entry.key, "\(error)")
        }
    }

    private static func columns(_ items: [YAML], _ file: String, _ key: String) throws(SettingsError) -> [CustomQuery
        .Column]
    {
        var columns: [CustomQuery.Column] = []
        for item in items {
            for column in item.entries ?? [] {
                let name = "\(key).\(column.key)"
                let help = column.value["description"]?.text ?? ""
                switch column.value["usage"]?.text?.uppercased() {
                case "LABEL": columns.append(.init(column.key, .label, help: help))
                case "COUNTER": columns.append(.init(column.key, .counter, help: help))
                case "GAUGE": columns.append(.init(column.key, .gauge, help: help))
                case "HISTOGRAM": columns.append(.init(column.key, .histogram, help: help))
                case "DISCARD": continue
                default:
                    throw wrong(file, column.value, name, "usage is none of LABEL, COUNTER, GAUGE, HISTOGRAM, DISCARD")
                }
            }
        }
        return columns
    }

    private static func wrong(_ file: String, _ node: YAML, _ key: String, _ problem: String) -> SettingsError {
        SettingsError(place: "\(file):\(node.line)", key: key, problem: problem)
    }
}
