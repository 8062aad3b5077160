import Databases
import Metrics

extension PostgresTarget {
    /// What is watched, and how. The defaults are those of an operator who gave nothing but a connection string.
    public struct Configuration: Sendable {
        /// For the log, and for the label `target` where several targets are watched.
        public var name: String
        /// Anything that libpq reads, or `host:port`. Never logged.
        public var connection: String
        /// Win over what the connection string says; for `auth_module` of a probe. Never logged.
        public var overrides: [(keyword: String, value: String)] = []
        /// Names of the collectors that are on.
        public var collectors: Set<String> = Configuration.defaultCollectors
        /// Watch tables in all databases that are neither templates nor closed.
        public var discoversDatabases = false
        /// Patterns (`*`, `?`) of names; any makes the other databases be looked for too.
        public var includeDatabases: [String] = []
        /// Patterns of names that are left out of what is said about databases and of those that are watched.
        public var excludeDatabases: [String] = []
        /// Databases that are watched at most, in the order of their names.
        public var databaseLimit = 200
        /// Connections to databases besides the first that are open at the same time. They are closed when their
        /// questions are answered: a session in a database is in the way of who wants to drop, rename or copy it.
        public var connectionLimit = 16
        /// Tables that have series, in all databases together; of more the largest.
        public var tableLimit = Int.max
        /// Of each answer of the server.
        public var answerLimit = PostgresAnswerLimit()
        /// How long sizes of databases and tables are served again.
        public var sizesTTL = Duration.seconds(300)
        /// How long a connection is used before it is opened anew.
        public var connectionMaxAge = Duration.seconds(3600)
        /// How long a question that the role may not ask, or that the server has no answer for, is not asked again.
        public var refusalPause = Duration.seconds(300)
        public var statements = Statements()
        /// Serve names and labels that postgres_exporter gave up.
        public var aliases = false
        /// On every series, such as `target` where several are watched.
        public var labels: [Label] = []
        public var customQueries: [CustomQuery] = []
        /// The files that the custom queries came from, and whether each could be read.
        public var queryFiles: [QueryFile] = []

        public init(name: String, connection: String) {
            self.name = name
            self.connection = connection
        }

        /// Series that a table has in `stat_user_tables`.
        public static var seriesOfTable: Int { PostgresCollector.userTables.serves.count }

        public static var defaultCollectors: Set<String> { PostgresCatalogue.onByDefault }
        public static var knownCollectors: Set<String> { PostgresCatalogue.names }

        /// What `stat_statements` shows.
        public struct Statements: Sendable {
            /// Statements that get series of their own.
            public var limit = 100
            public var includeQuery = false
            /// Characters of a statement's text.
            public var queryLength = 120
            public var excludeDatabases: [String] = []
            public var excludeUsers: [String] = []
        }

        public struct QueryFile: Sendable {
            public let path: String
            /// SHA-256 in hexadecimal.
            public let hash: String
            public let isBroken: Bool

            public init(path: String, hash: String, isBroken: Bool) {
                self.path = path
                self.hash = hash
                self.isBroken = isBroken
            }
        }

        var looksForDatabases: Bool { discoversDatabases || !includeDatabases.isEmpty }

        func excludes(_ database: PostgresDatabase) -> Bool {
            excludeDatabases.contains { NamePattern.matches(database.label, $0) }
        }

        func watches(_ database: PostgresDatabase) -> Bool {
            database.isOrdinary && !excludes(database)
                && (includeDatabases.isEmpty
                    || includeDatabases.contains { NamePattern.matches(database.label, $0) })
        }
    }
}

/// Patterns of names: `*` stands for any characters, `?` for one.
public enum NamePattern {
    public static func matches(_ name: String, _ pattern: String) -> Bool {
        let name = Array(name)
        let pattern = Array(pattern)
        var (place, wanted) = (0, 0)
        // Where to go on when what follows the last `*` does not fit: it then stands for one character more.
        var retry: (place: Int, wanted: Int)?
        while place < name.count {
            if wanted < pattern.count, pattern[wanted] == "*" {
                retry = (place, wanted)
                wanted += 1
            } else if wanted < pattern.count, pattern[wanted] == "?" || pattern[wanted] == name[place] {
                place += 1
                wanted += 1
            } else if let last = retry {
                retry = (last.place + 1, last.wanted)
                place = last.place + 1
                wanted = last.wanted + 1
            } else {
                return false
            }
        }
        return pattern[wanted...].allSatisfy { $0 == "*" }
    }
}
