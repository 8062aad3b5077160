import Databases
import Runtime

extension RedisOptions {
    /// Reads `redis.*`. The names are redis_exporter's flags.
    ///
    /// - Parameter aliases: whether the names and types of older exporters are served, too.
    public init(_ settings: Settings, aliases: Bool) throws(SettingsError) {
        self.init()
        self.aliases = aliases
        tls = try RedisTLS(settings, "redis.tls")
        checkKeys = try Self.keys(
            settings, "redis.check_keys",
            "Patterns of keys whose size, memory and value are told, as db3=sessions:*,user:?.")
        checkSingleKeys = try Self.keys(
            settings, "redis.check_single_keys", "The same for keys named one by one, without SCAN.")
        countKeys = try Self.keys(settings, "redis.count_keys", "Patterns of keys that are only counted.")
        checkKeysBatchSize = try settings.read(
            "redis.check_keys_batch_size", default: checkKeysBatchSize, "COUNT of one SCAN.", in: 1...1_000_000)
        disableExportingKeyValues = try settings.read(
            "redis.disable_exporting_key_values", default: false, "Never tell what a key holds.")
        skipCheckKeysForRoleMaster = try settings.read(
            "redis.skip_checkkeys_for_role_master", default: false, "Leave the checks of keys to the replicas.")
        checkKeyGroups = try settings.readList(
            "redis.check_key_groups", "Lua patterns; keys are grouped by what the first that matches captures.")
        maxDistinctKeyGroups = try settings.read(
            "redis.max_distinct_key_groups", default: maxDistinctKeyGroups,
            "Groups told one by one; the rest are `overflow`.",
            in: 1...100_000)
        scanTime = try settings.read(
            "redis.scan_time", default: scanTime,
            "What one scrape may spend on each check that scans; the next goes on from there.")
        scanKeysLimit = try settings.read(
            "redis.scan_keys_limit", default: scanKeysLimit, "Keys that one scrape may look at in each check.",
            in: 1...1_000_000_000)
        matchingKeysLimit = try settings.read(
            "redis.matching_keys_limit", default: matchingKeysLimit,
            "Keys or streams that the checks may bring together.",
            in: 1...10_000_000)
        checkStreams = try Self.keys(
            settings, "redis.check_streams", "Patterns of streams whose groups and consumers are told.")
        checkSingleStreams = try Self.keys(
            settings, "redis.check_single_streams", "The same for streams named one by one.")
        streamsExcludeConsumerMetrics = try settings.read(
            "redis.streams_exclude_consumer_metrics", default: false, "Tell nothing of single consumers.")
        try readServer(settings)
        try readConnection(settings)
    }

    private mutating func readServer(_ settings: Settings) throws(SettingsError) {
        excludeLatencyHistogramMetrics = try settings.read(
            "redis.exclude_latency_histogram_metrics", default: false, "Leave out LATENCY HISTOGRAM.")
        includeConfigMetrics = try settings.read(
            "redis.include_config_metrics", default: false, "Tell every setting of the server.")
        redactConfigMetrics = try settings.read(
            "redis.redact_config_metrics", default: true, "Without those that hold secrets.")
        configCommand = try settings.read(
            "redis.config_command", default: configCommand, "The server's name for CONFIG; - never asks for it.")
        includeSystemMetrics = try settings.read(
            "redis.include_system_metrics", default: false, "Tell the memory of the server's machine.")
        includeRDBFileSizeMetric = try settings.read(
            "redis.include_rdb_file_size_metric", default: false,
            "Tell the size of the dump, whose file must be readable here.")
        includeMetricsForEmptyDatabases = try settings.read(
            "redis.include_metrics_for_empty_databases", default: true, "Tell zeros for databases without keys.")
        exportClientList = try settings.read(
            "redis.export_client_list", default: false, "Tell every client of the server.")
        exportClientPort = try settings.read("redis.export_client_port", default: false, "With the client's port.")
        includeModulesMetrics = try settings.read(
            "redis.include_modules_metrics", default: false, "Tell what modules say in INFO.")
        includeSearchIndexesMetrics = try settings.read(
            "redis.include_search_indexes_metrics", default: false, "Tell FT.INFO of every search index.")
        isTile38 = try settings.read("redis.is_tile38", default: false, "The server is a Tile38.")
        includeSentinelPeerInfo = try settings.read(
            "redis.include_sentinel_peer_info", default: false, "Tell the other sentinels that a sentinel knows.")
        isCluster = try settings.read(
            "redis.is_cluster", default: false, "Follow keys to the cluster's nodes that hold them.")
        scripts = try Self.scripts(settings)
        luaScriptReadOnly = try settings.read(
            "redis.lua_script_read_only", default: false, "Run the scripts with EVAL_RO.")
    }

    private mutating func readConnection(_ settings: Settings) throws(SettingsError) {
        connectionTimeout = try settings.read(
            "redis.connection_timeout", default: connectionTimeout,
            "How long connecting and one answer may take at the most.")
        pingOnConnect = try settings.read("redis.ping_on_connect", default: false, "Tell how long a PING takes.")
        setClientName = try settings.read(
            "redis.set_client_name", default: true, "Name our connection with CLIENT SETNAME.")
        appendInstanceRoleLabel = try settings.read(
            "redis.append_instance_role_label", default: false, "Add instance_role to every series.")
    }

    private static func keys(_ settings: Settings, _ name: String, _ help: String) throws(SettingsError)
        -> [DatabaseKey]
    {
        let text = try settings.readList(name, help).joined(separator: ",")
        do { return try DatabaseKey.list(text) } catch {
            throw SettingsError(place: settings.fileName, key: name, problem: "\(error)")
        }
    }

    private static func scripts(_ settings: Settings) throws(SettingsError) -> [RedisScript] {
        var scripts: [RedisScript] = []
        for path in try settings.readList(
            "redis.scripts", "Files of Lua scripts whose results become redis_script_values.")
        {
            do {
                scripts.append(RedisScript(name: path, body: try Files.read(path, limitBytes: 1 << 20)))
            } catch {
                throw SettingsError(place: settings.fileName, key: "redis.scripts", problem: "\(error)")
            }
        }
        return scripts
    }
}
