import Databases
import Runtime

/// What is collected from a Redis besides what every server tells. The defaults are redis_exporter's, and so are the
/// meanings; what it has no name for says so.
public struct RedisOptions: Sendable {
    // MARK: Keys

    /// Patterns of keys whose size, memory and value are told; found with SCAN.
    public var checkKeys: [DatabaseKey] = []
    /// The same for keys that are named, without SCAN.
    public var checkSingleKeys: [DatabaseKey] = []
    /// Patterns whose keys are only counted.
    public var countKeys: [DatabaseKey] = []
    /// COUNT of one SCAN. Redis serves nobody else while it works on one.
    public var checkKeysBatchSize = 1000
    public var disableExportingKeyValues = false
    /// Leaves `checkKeys` and `checkSingleKeys` to the replicas.
    public var skipCheckKeysForRoleMaster = false
    /// Lua patterns that sort all keys into groups by what they capture; the first that matches counts.
    public var checkKeyGroups: [String] = []
    public var maxDistinctKeyGroups = 100

    // MARK: Limits of our own

    /// What one scrape may spend on each of the checks that SCAN; the next scrape goes on where this one stopped. Never
    /// more than half of the time that the scrape has left.
    public var scanTime: Duration = .seconds(1)
    /// Keys that one scrape may look at in each check.
    public var scanKeysLimit = 1_000_000
    /// Keys that `checkKeys` or `checkStreams` may bring together.
    public var matchingKeysLimit = 20_000

    // MARK: Streams

    public var checkStreams: [DatabaseKey] = []
    public var checkSingleStreams: [DatabaseKey] = []
    public var streamsExcludeConsumerMetrics = false

    // MARK: Server

    public var excludeLatencyHistogramMetrics = false
    /// Every setting of the server as a metric.
    public var includeConfigMetrics = false
    /// Leaves out settings that hold secrets.
    public var redactConfigMetrics = true
    /// The server's name for CONFIG; `-` for not asking at all.
    public var configCommand = "CONFIG"
    public var includeSystemMetrics = false
    /// The size of the dump file, which must be readable here.
    public var includeRDBFileSizeMetric = false
    public var includeMetricsForEmptyDatabases = true
    public var exportClientList = false
    public var exportClientPort = false
    public var includeModulesMetrics = false
    public var includeSearchIndexesMetrics = false
    public var isTile38 = false
    public var includeSentinelPeerInfo = false
    /// Follows keys to the nodes of a cluster that hold them.
    public var isCluster = false
    public var scripts: [RedisScript] = []
    public var luaScriptReadOnly = false

    // MARK: Connection

    /// For servers whose address begins with `rediss://`.
    public var tls = RedisTLS()
    public var connectionTimeout: Duration = .seconds(15)
    public var pingOnConnect = false
    public var setClientName = true
    public var appendInstanceRoleLabel = false
    /// Serves the names, types and labels of Debian 12's redis_exporter 1.45 where the newest one differs.
    public var aliases = false

    public init() {}
}

/// A Lua script whose result, names and numbers in turn, becomes metrics.
public struct RedisScript: Sendable {
    /// The `filename` label.
    public let name: String
    public let body: [UInt8]

    public init(name: String, body: [UInt8]) {
        self.name = name
        self.body = body
    }
}
