/// How the proxy stands at a moment, taken on its loop: what the console shows and the metrics count.
public struct PoolSnapshot: Sendable {
    public struct Pool: Sendable {
        public var database = ""
        public var user = ""
        public var mode = PoolMode.transaction
        /// Clients that have a server, those that have none and want none, and those that wait.
        public var clientsActive = 0
        public var clientsIdle = 0
        public var clientsWaiting = 0
        public var serversActive = 0
        public var serversIdle = 0
        /// Being reset, asked whether they live, or cancelled.
        public var serversTested = 0
        public var serversBeingCancelled = 0
        public var serversLogin = 0
        /// How long the client at the head of the line has waited.
        public var longestWaitMicroseconds = 0
        public var isPaused = false
    }

    public struct Client: Sendable {
        public var number: Int32 = 0
        public var user = ""
        public var database = ""
        public var applicationName = ""
        /// `active`, `idle`, `waiting` or `login`.
        public var state = ""
        public var peer = ""
        public var usesTLS = false
        public var connectedForMs = 0
        public var idleForMs = 0
        public var waitMicroseconds = 0
        /// The number of its server, where it has one.
        public var server: Int?
        public var preparedStatements = 0
        public var pins: [PinReason] = []
    }

    public struct Server: Sendable {
        public var number = 0
        public var user = ""
        public var database = ""
        /// `active`, `idle`, `tested` or `login`.
        public var state = ""
        public var host = ""
        public var port = 0
        public var usesTLS = false
        public var pid: Int32 = 0
        public var openedForMs = 0
        public var leases = 0
        /// The number of its client, where it has one.
        public var client: Int32?
        public var preparedStatements = 0
    }

    /// What has been counted for a database since the proxy began.
    public struct Statistics: Sendable {
        public var database = ""
        public var user = ""
        public var queries = 0
        public var transactions = 0
        public var queryMicroseconds = 0
        public var transactionMicroseconds = 0
        public var waits = 0
        public var waitMicroseconds = 0
        public var receivedBytes = 0
        public var sentBytes = 0
        public var clientParses = 0
        public var serverParses = 0
        public var binds = 0
        public var replays = 0
        public var resets = 0
        public var captures = 0
        public var serversOpened = 0
        public var serversRefused = 0
        public var serversLost = 0
        public var timeouts = 0
    }

    public struct Database: Sendable {
        public var name = ""
        public var host = ""
        public var port = 0
        public var poolSize = 0
        public var overflow = 0
        public var warm = 0
        public var mode = PoolMode.transaction
        public var mostConnections = 0
        public var connections = 0
        public var isPaused = false
        public var isDisabled = false
    }

    public var pools: [Pool] = []
    public var clients: [Client] = []
    public var servers: [Server] = []
    /// By database and user.
    public var statistics: [Statistics] = []
    public var databases: [Database] = []
    public var users: [String] = []
    /// Names and values of the settings that are in force.
    public var configuration: [(name: String, value: String)] = []
    public var guests = 0
    public var preparedTexts = 0
    public var isShuttingDown = false
}

/// What an administrator may ask of the proxy. Databases are named, nil for all; any thread may call.
public protocol PoolControl: Sendable {
    func snapshot() async -> PoolSnapshot
    /// The rules that are in force.
    func rules() async -> PoolRules
    /// Other rules from now on. Pools keep the mode and the first settings that they were made with.
    func apply(_ rules: PoolRules) async
    /// Gives out no more servers; returns once those that were given out are back.
    func pause(_ database: String?) async
    func resume(_ database: String?) async
    /// Lets no new clients in.
    func disable(_ database: String) async
    func enable(_ database: String) async
    /// New server connections in the place of those there are, as they become free.
    func reconnect(_ database: String?) async
    /// Ends all clients and servers of a database at once.
    func kill(_ database: String?) async
    /// - Returns: whether there was such a client.
    func killClient(_ number: Int32) async -> Bool
    /// Lets nobody in any more, and ends clients as they come to rest.
    func shutdown() async
}
