import Network
import Runtime

/// How Redis is found.
public enum RedisPlace: Sendable {
    case fixed(StreamAddress)
    case sentinel(SentinelSettings)
    case cluster(ClusterSettings)
}

/// Where Redis is, and how the proxy deals with it.
public struct RelayOptions: Sendable {
    public let place: RedisPlace
    /// Nil for plain connections. For all alike: Redis, those that Sentinels name, a cluster's nodes, and Sentinels.
    public let tls: TLSClients?
    /// The proxy's own; nil for the default user without a password.
    let credentials: Credentials?
    /// The same for those who ask for the topology.
    let login: TopologyLogin
    /// In which a client begins.
    public let database: Int
    /// Shared by the clients of a loop, for each identity.
    public var connections = 2
    /// A connection that does not answer its first question for so long is given up.
    public var connectTimeoutMs = 1000
    /// A connection that owes a reply for so long is given up, with all that wait for it.
    public var timeoutMs = 10_000
    /// The same for commands that are known to take long.
    public var slowTimeoutMs = 120_000
    /// The local level is not served when Redis has been silent for so long.
    public var feedTimeoutMs = 2000
    /// Commands that take longer are listed.
    public var slowCommandMs = 10
    /// Of so many answers of the local level, Redis is told of one that its key is in use; 0 for none.
    public var touchEvery = 100
    /// How often Redis is asked whether the rights of the proxy's user have changed; 0 for never.
    public var aclIntervalMs = 5000
    public var whenGone = WhenGone.error
    /// What clients may have here that is not dealt with, all together.
    public var clientBytes = ClientLimits.standardBytes

    /// What a client is told whose command Redis did not get, and nobody answers in its place.
    public enum WhenGone: String, Sendable, CaseIterable {
        /// An error; the connection stays.
        case error
        /// Its connection closes, as if it had been one to Redis: many clients then connect anew and try again.
        case close
    }

    /// The name of a Redis is looked up so often while connections to it stand.
    public var resolveInterval = Duration.seconds(30)

    /// - Parameter database: 0 in front of a cluster.
    public init(
        _ place: RedisPlace, tls: TLSClients? = nil, user: String?, password: String?, database: Int
    ) {
        self.place = place
        self.tls = tls
        self.database = database
        login = TopologyLogin(user: user, password: password)
        credentials = password.map { Credentials(user: user.map { Array($0.utf8) }, password: Array($0.utf8)) }
    }
}

/// What all clients of a proxy may have here.
public enum ClientLimits {
    public static let standardBytes = 128 << 20
}

/// What the proxy itself says to clients and to Redis.
enum RelayText {
    static let unreachable = "ERR Redis cannot be reached"
    static let nodeUnreachable = "ERR a node of the cluster cannot be reached"
    static let spoiled = "EXECABORT Transaction discarded because of previous errors."
}

extension Array where Element == UInt8 {
    /// A command as it goes over the wire.
    mutating func append(command words: [String]) {
        append(arrayOf: words.count)
        for word in words { append(bulk: word) }
    }
}
