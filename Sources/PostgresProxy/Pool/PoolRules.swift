import Runtime

/// When a server connection is given back to be used by others.
public enum PoolMode: String, Sendable, CaseIterable {
    /// When its client leaves.
    case session
    /// After each transaction.
    case transaction
    /// After each statement; transactions of several are refused.
    case statement
}

/// Which of several idle server connections is used next.
public enum PoolSelection: String, Sendable, CaseIterable {
    /// The one that was used last, so that the others can go.
    case lifo
    case leastUsed = "least_used"
}

/// Sizes and time limits of every pool. A duration of zero is no limit.
public struct PoolRules: Sendable {
    public var mode = PoolMode.transaction
    public var selection = PoolSelection.lifo
    /// Server connections that a pool may have, and those beyond that it may have while clients wait.
    public var size = 20
    public var overflow = 30
    /// Connections that are kept even when nobody needs them, once the pool is in use.
    public var warm = 0
    /// How long a client waits for a server connection.
    public var waitLimit = Duration.seconds(20)
    /// A connection older than that is replaced, a little earlier or later than others.
    public var recycle = Duration.seconds(1800)
    /// Connections that were idle for long are asked before they are used.
    public var prePing = true
    public var pingAfter = Duration.seconds(30)
    public var idleLimit = Duration.seconds(300)
    public var connectLimit = Duration.seconds(10)
    /// Clients of the whole proxy, and those of a pool that may wait.
    public var mostClients = 10_000
    public var mostWaiting = 10_000
    /// Server connections of one user in one database, whatever their start-up settings.
    public var mostServers = 100
    /// A statement that takes longer is cancelled.
    public var statementLimit = Duration.zero
    public var transactionLimit = Duration.zero
    public var idleTransactionLimit = Duration.zero
    public var clientIdleLimit = Duration.zero
    public var loginLimit = Duration.seconds(60)
    /// After how long a client that waits is told so; with the NOTICE of PgBouncer 1.25.
    public var noticeAfter = Duration.seconds(5)
    /// Prepared statements that are kept on each server connection.
    public var mostPrepared = 500
    /// Settings of every pooled session that its client does not name itself.
    public var sessionDefaults: [(name: String, value: String)] = []

    public init() {}
}
