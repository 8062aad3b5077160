import Databases
import Metrics

/// A named part of what is asked of a Postgres server: it can be switched on and off, succeeds or fails alone, and is what
/// `collect[]=NAME` speaks of.
struct PostgresCollector: Sendable {
    let name: String
    let isOnByDefault: Bool
    /// Whether it is asked in every database that is watched, or once for the whole server.
    let isPerDatabase: Bool
    /// The first major version that has what it reads. On older servers it asks nothing and succeeds.
    let since: Int
    /// Everything that it may serve, in the order of serving.
    let serves: [Served]
    /// Makes what asks and reads; one for each database.
    let reader: @Sendable () -> any PostgresReader

    /// A metric with the labels of its series.
    struct Served: Sendable {
        let metric: Metric
        let labels: [String]
    }

    init(
        _ name: String, on: Bool, perDatabase: Bool = false, since: Int = 13, serves: [Served],
        reader: @escaping @Sendable () -> any PostgresReader
    ) {
        self.name = name
        isOnByDefault = on
        isPerDatabase = perDatabase
        self.since = since
        self.serves = serves
        self.reader = reader
    }

    /// A collector that is nothing but a table.
    init(_ name: String, on: Bool, perDatabase: Bool = false, since: Int = 13, _ table: PostgresTable) {
        self.init(name, on: on, perDatabase: perDatabase, since: since, serves: table.serves) {
            TableReader(name: name, table)
        }
    }
}

/// What a collector keeps for one database: it says what to ask, and turns the answers into series.
protocol PostgresReader: AnyObject {
    /// Empty when nothing needs to be asked now.
    func questions(_ context: PostgresContext) -> [PostgresQuestion]

    /// Called with the answers of every database before any of them is read.
    ///
    /// - Parameter answers: one for each question, in their order.
    func weigh(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext)

    /// - Parameter answers: one for each question, in their order.
    func read(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) -> PostgresReading
}

extension PostgresReader {
    func weigh(_ answers: [Result<PostgresRows, PostgresError>], _ context: PostgresContext) {}
}

struct PostgresQuestion {
    let query: PostgresQuery
    /// Whether it gets a transaction of its own after everything else: it is slow, takes locks, or is not ours.
    let isApart: Bool

    init(_ query: PostgresQuery, apart: Bool = false) {
        self.query = query
        isApart = apart
    }
}

/// What a reader made of its answers. There may be both: an old size is better than none.
struct PostgresReading {
    var families: [Family]
    var error: PostgresError?

    init(_ families: [Family] = [], error: PostgresError? = nil) {
        self.families = families
        self.error = error
    }
}

/// What every reader may know about the round.
struct PostgresContext {
    let configuration: PostgresTarget.Configuration
    /// On every series of a statement.
    let commonLabels: [Label]
    /// `host:port` as the address writes it.
    let server: String
    /// Such as 150020. Zero before the connection is open for the first time.
    var serverVersion = 0
    /// How often the connection was opened; another number means another session.
    var session = 0
    /// Whether more than one database is watched, so that names of tables alone are ambiguous.
    var hasSeveralDatabases = false
    /// The server's databases, known while answers are read.
    var databases: [PostgresDatabase] = []
    /// Schemas by the names of the extensions that they hold, in the database that everything is asked in.
    var extensions: [String: PostgresName] = [:]
    /// The tables of the database that is asked.
    let tables: TableShare
    let now: ContinuousClock.Instant

    var major: Int { serverVersion / 10_000 }
    var hasAliases: Bool { configuration.aliases }

    /// What stands before a name of an extension's: its schema, quoted, and a dot. Nil when the extension is not there.
    func prefix(of name: String) -> String? {
        extensions[name].map {
            "\"" + $0.text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\"."
        }
    }

    /// The same for another database.
    func with(_ tables: TableShare) -> PostgresContext {
        PostgresContext(
            configuration: configuration, commonLabels: commonLabels, server: server, serverVersion: serverVersion,
            session: session, hasSeveralDatabases: hasSeveralDatabases, databases: databases, extensions: extensions,
            tables: tables, now: now)
    }

    static func missing(extension name: String) -> PostgresError {
        PostgresError(.missing, "the database has no extension \(name)")
    }
}

/// One row of `pg_database`.
struct PostgresDatabase {
    let oid: Double
    let name: PostgresName
    /// As labels have it.
    let label: String
    let connectionLimit: Double
    /// Neither a template nor closed.
    let isOrdinary: Bool
}
