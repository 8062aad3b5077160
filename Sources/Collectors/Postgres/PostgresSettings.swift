import Runtime

extension PostgresTarget.Configuration {
    /// Reads `postgres.*` and `collector.*`, which are the same for every target; name and connection are the target's.
    ///
    /// - Parameter aliases: whether the names of older exporters are served, too.
    public init(_ settings: Settings, aliases: Bool) throws(SettingsError) {
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
            "Connections to the databases of one target that are kept open between scrapes.", in: 1...10_000)
        refusalPause = try settings.read(
            "postgres.refusal_pause", default: refusalPause,
            "How long a question that the role may not ask is not asked again.")
        customQueries = try CustomQueries.read(settings)
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
/// `NAME: {query: SQL, master: true, cache_seconds: 30, metrics: [{COLUMN: {usage: GAUGE, description: TEXT}}]}`.
private enum CustomQueries {
    static func read(_ settings: Settings) throws(SettingsError) -> [CustomQuery] {
        var queries: [CustomQuery] = []
        if let section = settings.readSection(
            "postgres.custom_queries", "Queries of your own, in the form of postgres_exporter's queries.yaml.")
        {
            queries += try read(section, of: settings.fileName)
        }
        for path in try settings.readList("postgres.extend_query_path", "Files of queries of your own.") {
            do {
                guard let root = try YAML.parse(try Files.read(path, limitBytes: 8 << 20)) else { continue }
                queries += try read(root, of: path)
            } catch let error as SettingsError {
                throw error
            } catch {
                throw SettingsError(place: path, key: "", problem: "\(error)")
            }
        }
        return queries
    }

    private static func read(_ root: YAML, of file: String) throws(SettingsError) -> [CustomQuery] {
        guard let entries = root.entries else {
            throw wrong(file, root, "", "must be a mapping, but is \(root.kindText)")
        }
        var queries: [CustomQuery] = []
        for entry in entries { queries.append(try query(entry, of: file)) }
        return queries
    }

    private static func query(_ entry: YAML.Entry, of file: String) throws(SettingsError) -> CustomQuery {
        var sql: String?
        var isPerDatabase = true
        var cache: Duration?
        var columns: [CustomQuery.Column] = []
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
            case "metrics":
                columns =
                    try part.value.items.map { items throws(SettingsError) in try self.columns(items, file, key) } ?? []
            default: throw wrong(file, part.value, key, "unknown key")
            }
        }
        guard let sql, !sql.isEmpty else { throw wrong(file, entry.value, entry.key + ".query", "is missing") }
        do {
            return try CustomQuery(entry.key, sql: sql, columns: columns, perDatabase: isPerDatabase, cache: cache)
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
