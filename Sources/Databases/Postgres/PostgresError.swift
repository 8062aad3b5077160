/// What went wrong between us and a Postgres server, with the SQLSTATE where the server gave one.
///
/// The message is the server's or libpq's primary message in one line. It never holds a password: connection strings are
/// not quoted, and libpq names host, port, user and database only.
public struct PostgresError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The closed set of reasons that metrics speak of.
    public enum Kind: String, Sendable, CaseIterable {
        /// The budget ended before the answer came.
        case timeout
        /// The role may not see or do it.
        case permission
        /// A table, function, column, extension or database that this server does not have.
        case missing
        /// No server, no login, or a connection that ended.
        case connection
        /// Somebody holds a lock for longer than we wait.
        case lock
        /// An answer that does not fit the question.
        case `protocol`
        /// An answer larger than its budget.
        case limit
        case other
    }

    public let kind: Kind
    public let sqlState: String?
    public let message: String

    public init(_ kind: Kind, _ message: String, sqlState: String? = nil) {
        self.kind = kind
        self.message = message
        self.sqlState = sqlState
    }

    /// An error report of the server. Codes: Postgres' documentation, appendix A.
    init(sqlState: String, message: String) {
        self.init(PostgresError.kind(ofSQLState: sqlState), message, sqlState: sqlState)
    }

    static func kind(ofSQLState code: String) -> Kind {
        switch code {
        case "57014", "25P03", "57P05": .timeout
        case "42501": .permission
        case "42P01", "42883", "42703", "42704", "3D000", "3F000", "58P01": .missing
        case "55P03", "40P01", "55006": .lock
        case "53300", "57P01", "57P02", "57P03", "57P04": .connection
        case _ where code.hasPrefix("08") && code != "08P01": .connection
        case _ where code.hasPrefix("28"): .connection
        case "08P01": .protocol
        default: .other
        }
    }

    /// Whether a database would not let us in, whatever the server's state: no privilege, no rule for us, closed, or gone.
    public var refusesDatabase: Bool {
        guard let sqlState else { return false }
        return ["42501", "28000", "28P01", "3D000", "55000"].contains(sqlState)
    }

    /// Whether a text could not be brought into another encoding.
    public var isAboutEncoding: Bool { sqlState == "22021" || sqlState == "22P05" }

    public var description: String { sqlState.map { "\(message) (SQLSTATE \($0))" } ?? message }
}
