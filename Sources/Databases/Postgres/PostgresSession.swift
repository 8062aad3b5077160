/// What every session is set to before the first question, so that nothing that a role, a database or a stranger has set
/// changes an answer: names are looked up in `pg_catalog` alone (a function or operator that somebody put into `public`
/// is never ours to run), and values come in one form whatever `ALTER ROLE … SET` says.
enum PostgresSession {
    /// Whether settings outlive their transaction. They do where the server's session is ours; behind a pooler it is
    /// somebody else's a moment later.
    enum Scope: Sendable { case session, transaction }

    /// `pg_temp` last: a pooled session may hold temporary tables of others, which would win otherwise.
    static let searchPath = "pg_catalog, pg_temp"

    private static let fixed: KeyValuePairs<String, String> = [
        "search_path": searchPath,
        // The plans of statistics views look dear enough to be compiled, which takes longer than running them.
        "jit": "off",
        "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "bytea_output": "hex",
        "extra_float_digits": "1", "lc_numeric": "C", "standard_conforming_strings": "on",
        "quote_all_identifiers": "off", "row_security": "on", "exit_on_error": "off",
        "default_transaction_isolation": "read committed", "default_transaction_deferrable": "off",
        "default_transaction_read_only": "off",
    ]

    /// - Parameter readsRaw: whether texts come as the server stores them, without being converted or checked: one that
    ///   is not valid would end the whole statement.
    static func settings(_ timeouts: PostgresTimeouts?, readsRaw: Bool, _ scope: Scope) -> PostgresQuery {
        var pairs = fixed.map { ($0.key, $0.value) }
        pairs.append(("client_encoding", readsRaw ? "SQL_ASCII" : "UTF8"))
        if let timeouts {
            pairs.append(("statement_timeout", "\(max(1, timeouts.statement.milliseconds))ms"))
            pairs.append(("lock_timeout", "\(max(1, timeouts.lock.milliseconds))ms"))
        }
        // Only literals and one function, all named in full: nothing here is looked up in the role's own search path.
        let calls = pairs.map { "pg_catalog.set_config('\($0.0)', '\($0.1)', \(scope == .transaction))" }
        return PostgresQuery(name: "outrigger_settings", sql: "SELECT " + calls.joined(separator: ", "))
    }

    /// What one statement needs besides, until the end of its transaction.
    static func settings(_ settings: [PostgresQuery.Setting]) -> PostgresQuery {
        let calls = settings.indices.map { "pg_catalog.set_config($\(2 * $0 + 1), $\(2 * $0 + 2), true)" }
        return PostgresQuery(
            name: "outrigger_local", sql: "SELECT " + calls.joined(separator: ", "),
            parameters: settings.flatMap { [$0.name, $0.value] })
    }

    /// Tells whether the server's process is the one that let us in. Where it is not, a pooler stands between.
    static let whoServes = PostgresQuery(name: "outrigger_backend", sql: "SELECT pg_catalog.pg_backend_pid()")
}
