/// One statement, prepared on first use under its name and then only executed.
///
/// On one connection a name always stands for the same text.
public struct PostgresQuery: Sendable {
    public let name: String
    public let sql: String
    /// Values of `$1`, `$2`, … in text form; nil is null.
    public let parameters: [String?]

    public init(name: String, sql: String, parameters: [String?] = []) {
        self.name = name
        self.sql = sql
        self.parameters = parameters
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
