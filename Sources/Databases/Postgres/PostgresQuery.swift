/// One statement, prepared on first use under its name and then only executed.
///
/// On one connection a name always stands for the same text.
public struct PostgresQuery: Sendable {
    public let name: String
    public let sql: String
    /// Values of `$1`, `$2`, … in text form; nil is null.
    public let parameters: [String?]
    /// Settings that it needs, until the end of its transaction.
    public let settings: [Setting]

    public struct Setting: Sendable {
        let name: String
        let value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public init(name: String, sql: String, parameters: [String?] = [], settings: [Setting] = []) {
        self.name = name
        self.sql = sql
        self.parameters = parameters
        self.settings = settings
    }
}

/// What one statement brought, and how long the server took for it after it had finished the one before.
public struct PostgresAnswer {
    public let result: Result<PostgresRows, PostgresError>
    public let duration: Duration

    public var rows: PostgresRows? { try? result.get() }

    public var error: PostgresError? {
        guard case .failure(let error) = result else { return nil }
        return error
    }
}

/// How long the server may work and wait for us. It guards the server when our own deadline has passed already.
public struct PostgresTimeouts: Sendable, Equatable {
    public let statement: Duration
    public let lock: Duration

    public init(statement: Duration, lock: Duration) {
        self.statement = statement
        self.lock = lock
    }
}

/// How large an answer may become. libpq holds all of it, in about twice as many bytes as came over the wire, four times
/// as many where the values are very short.
public struct PostgresAnswerLimit: Sendable, Equatable {
    /// On the wire.
    public let bytes: Int
    public let rows: Int

    public init(bytes: Int = 32 << 20, rows: Int = 200_000) {
        self.bytes = bytes
        self.rows = rows
    }

    var bytesExceeded: PostgresError { PostgresError(.limit, "answer of more than \(bytes) bytes") }
    func rowsExceeded(_ count: Int) -> PostgresError {
        PostgresError(.limit, "answer of \(count) rows, more than \(rows)")
    }
}
