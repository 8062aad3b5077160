import Metrics

/// What is told about a Redis besides the plain fields of INFO: names, types and help texts are redis_exporter's.
enum RedisMetrics {
    /// A metric of which no more is known than its name.
    static func plain(_ name: String, _ kind: Metric.Kind) -> Metric { make(name, kind, name + " metric") }

    private static func make(_ name: String, _ kind: Metric.Kind, _ help: String) -> Metric {
        Metric("redis_" + name, kind, help)
    }

    // MARK: `# Commandstats`, `# Latencystats`, `# Errorstats` and LATENCY

    static let commandsTotal = make("commands_total", .counter, "Total number of calls per command")
    static let commandsDurationSecondsTotal = make(
        "commands_duration_seconds_total", .counter, "Total amount of time in seconds spent per command")
    static let commandsRejectedCallsTotal = make(
        "commands_rejected_calls_total", .counter, "Total number of errors within command execution per command")
    static let commandsFailedCallsTotal = make(
        "commands_failed_calls_total", .counter, "Total number of errors prior command execution per command")
    static let latencyPercentilesUsec = make(
        "latency_percentiles_usec", .summary, "A summary of latency percentile distribution per command")
    static let commandsLatenciesUsec = make(
        "commands_latencies_usec", .histogram, "A histogram of latencies per command")
    static let errorsTotal = make("errors_total", .counter, "Total number of errors per error type")
    static let latencySpikeLast = make("latency_spike_last", .gauge, "When the latency spike last occurred")
    static let latencySpikeDurationSeconds = make(
        "latency_spike_duration_seconds", .gauge, "Length of the last latency spike in seconds")

    // MARK: INFO, where it is more than a number

    static let up = make("up", .gauge, "Information about the Redis instance")
    static let instanceInfo = make("instance_info", .gauge, "Information about the Redis instance")
    static let startTimeSeconds = make(
        "start_time_seconds", .gauge, "Start time of the Redis instance since unix epoch in seconds.")
    static let dbKeys = make("db_keys", .gauge, "Total number of keys by DB")
    static let dbKeysExpiring = make("db_keys_expiring", .gauge, "Total number of expiring keys by DB")
    static let dbAvgTTLSeconds = make("db_avg_ttl_seconds", .gauge, "Avg TTL in seconds")
    static let dbKeysCached = make("db_keys_cached", .gauge, "Total number of cached keys by DB")

    // MARK: `# Replication`

    static let connectedSlaveOffsetBytes = make("connected_slave_offset_bytes", .gauge, "Offset of connected slave")
    static let connectedSlaveLagSeconds = make("connected_slave_lag_seconds", .gauge, "Lag of connected slave")
    static let masterLinkUp = make("master_link_up", .gauge, "Master link status on Redis slave")
    static let masterLastIOSecondsAgo = make("master_last_io_seconds_ago", .gauge, "Master last io seconds ago")
    static let masterSyncInProgress = make("master_sync_in_progress", .gauge, "Master sync in progress")
    static let slaveReplOffset = make("slave_repl_offset", .gauge, "Slave replication offset")
    static let slaveInfo = make("slave_info", .gauge, "Information about the Redis slave")

    // MARK: CONFIG GET

    static let configKeyValue = make("config_key_value", .gauge, "Config key and value")
    static let configValue = make("config_value", .gauge, "Config key and value as metric")
    static let configClientOutputBufferLimitBytes = make(
        "config_client_output_buffer_limit_bytes", .gauge, "The configured buffer limits per class")
    static let configClientOutputBufferLimitOvercomeSeconds = make(
        "config_client_output_buffer_limit_overcome_seconds", .gauge,
        "How long for buffer limits per class to be exceeded before replicas are dropped")
    static let rdbCurrentSizeBytes = make("rdb_current_size_bytes", .gauge, "Current RDB file size in bytes")

    /// Settings of the server that have a metric of their own.
    static let settings: [(setting: String, metric: Metric)] = [
        ("io-threads", plain("config_io_threads", .gauge)),
        ("maxclients", plain("config_maxclients", .gauge)),
        ("maxmemory", plain("config_maxmemory", .gauge)),
        ("repl-backlog-size", plain("config_repl_backlog_size", .gauge)),
    ]

    // MARK: SLOWLOG and Valkey's COMMANDLOG

    static let slowlogLength = make("slowlog_length", .gauge, "Total slowlog")
    static let slowlogLastID = make("slowlog_last_id", .gauge, "Last id of slowlog")
    static let lastSlowExecutionDurationSeconds = make(
        "last_slow_execution_duration_seconds", .gauge, "The amount of time needed for last slow execution, in seconds")
    static let commandlogExecutionSlowerThan = make(
        "commandlog_execution_slower_than", .gauge, "Execution time threshold in microseconds for the slow command log")
    static let commandlogLargeReplyLength = make(
        "commandlog_large_reply_length", .gauge, "Total entries in the large-reply command log")
    static let commandlogLargeReplyMaxLen = make(
        "commandlog_large_reply_max_len", .gauge, "Maximum number of entries retained in the large-reply command log")
    static let commandlogLargeRequestLength = make(
        "commandlog_large_request_length", .gauge, "Total entries in the large-request command log")
    static let commandlogLargeRequestMaxLen = make(
        "commandlog_large_request_max_len", .gauge,
        "Maximum number of entries retained in the large-request command log")
    static let commandlogReplyLargerThan = make(
        "commandlog_reply_larger_than", .gauge, "Reply size threshold in bytes for the large-reply command log")
    static let commandlogRequestLargerThan = make(
        "commandlog_request_larger_than", .gauge, "Request size threshold in bytes for the large-request command log")
    static let commandlogSlowExecutionMaxLen = make(
        "commandlog_slow_execution_max_len", .gauge, "Maximum number of entries retained in the slow command log")
    static let commandLogLengths: [(log: String, metric: Metric)] = [
        ("slow", commandlogSlowLength), ("large-request", commandlogLargeRequestLength),
        ("large-reply", commandlogLargeReplyLength),
    ]
    static let commandLogSettings: [(setting: String, metric: Metric)] = [
        ("commandlog-execution-slower-than", commandlogExecutionSlowerThan),
        ("commandlog-slow-execution-max-len", commandlogSlowExecutionMaxLen),
        ("commandlog-request-larger-than", commandlogRequestLargerThan),
        ("commandlog-large-request-max-len", commandlogLargeRequestMaxLen),
        ("commandlog-reply-larger-than", commandlogReplyLargerThan),
        ("commandlog-large-reply-max-len", commandlogLargeReplyMaxLen),
    ]
    static let commandlogSlowLength = make("commandlog_slow_length", .gauge, "Total entries in the slow command log")

    // MARK: The checks of keys

    static let keySize = make("key_size", .gauge, "The length or size of \"key\"")
    static let keyMemoryUsageBytes = make("key_memory_usage_bytes", .gauge, "The memory usage of \"key\" in bytes")
    static let keyValue = make("key_value", .gauge, "The value of \"key\"")
    static let keyValueAsString = make("key_value_as_string", .gauge, "The value of \"key\" as a string")
    static let keysCount = make("keys_count", .gauge, "Count of keys")
    static let keyGroupCount = make("key_group_count", .gauge, "Count of keys in key group")
    static let keyGroupMemoryUsageBytes = make(
        "key_group_memory_usage_bytes", .gauge, "Total memory usage of key group in bytes")
    static let numberOfDistinctKeyGroups = make(
        "number_of_distinct_key_groups", .gauge, "Number of distinct key groups")
    static let lastKeyGroupsScrapeDurationMilliseconds = make(
        "last_key_groups_scrape_duration_milliseconds", .gauge,
        "Duration of the last key group metrics scrape in milliseconds")

    // MARK: XINFO

    static let streamEntriesAddedTotal = make(
        "stream_entries_added_total", .counter, "The count of all entries added to the stream during its lifetime")
    static let streamFirstEntryID = make(
        "stream_first_entry_id", .gauge, "The epoch timestamp (ms) of the first message in the stream")
    static let streamGroupConsumerIdleSeconds = make(
        "stream_group_consumer_idle_seconds", .gauge, "Consumer idle time in seconds")
    static let streamGroupConsumerMessagesPending = make(
        "stream_group_consumer_messages_pending", .gauge, "Pending number of messages for this specific consumer")
    static let streamGroupConsumers = make("stream_group_consumers", .gauge, "Consumers count of stream group")
    static let streamGroupEntriesRead = make(
        "stream_group_entries_read", .gauge, "Total number of entries read from the stream group")
    static let streamGroupLag = make(
        "stream_group_lag", .gauge, "The number of messages waiting to be delivered to the stream group's consumers")
    static let streamGroupLastDeliveredID = make(
        "stream_group_last_delivered_id", .gauge, "The epoch timestamp (ms) of the last delivered message")
    static let streamGroupMessagesPending = make(
        "stream_group_messages_pending", .gauge, "Pending number of messages in that stream group")
    static let streamGroups = make("stream_groups", .gauge, "Groups count of stream")
    static let streamLastEntryID = make(
        "stream_last_entry_id", .gauge, "The epoch timestamp (ms) of the last message in the stream")
    static let streamLastGeneratedID = make(
        "stream_last_generated_id", .gauge, "The epoch timestamp (ms) of the latest message on the stream")
    static let streamLength = make("stream_length", .gauge, "The number of elements of the stream")
    static let streamMaxDeletedEntryID = make(
        "stream_max_deleted_entry_id", .gauge, "The epoch timestamp (ms) of last message was deleted from the stream")
    static let streamRadixTreeKeys = make("stream_radix_tree_keys", .gauge, "Radix tree keys count\"")
    static let streamRadixTreeNodes = make("stream_radix_tree_nodes", .gauge, "Radix tree nodes count")

    // MARK: SENTINEL and `# Sentinel`

    static let sentinelMasterCkquorumStatus = make("sentinel_master_ckquorum_status", .gauge, "Master ckquorum status")
    static let sentinelPeerInfo = make(
        "sentinel_peer_info", .gauge,
        "Other Sentinel peers discovered via SENTINEL SENTINELS (one scrape from one Sentinel)")
    static let sentinelMasterOkSentinels = make(
        "sentinel_master_ok_sentinels", .gauge, "The number of okay sentinels monitoring this master")
    static let sentinelMasterOkSlaves = make(
        "sentinel_master_ok_slaves", .gauge, "The number of okay slaves of the master")
    static let sentinelMasterSentinels = make(
        "sentinel_master_sentinels", .gauge, "The number of sentinels monitoring this master")
    static let sentinelMasterSettingCkquorum = make(
        "sentinel_master_setting_ckquorum", .gauge, "Show the current ckquorum config for each master")
    static let sentinelMasterSettingDownAfterMilliseconds = make(
        "sentinel_master_setting_down_after_milliseconds", .gauge,
        "Show the current down-after-milliseconds config for each master")
    static let sentinelMasterSettingFailoverTimeout = make(
        "sentinel_master_setting_failover_timeout", .gauge, "Show the current failover-timeout config for each master")
    static let sentinelMasterSettingParallelSyncs = make(
        "sentinel_master_setting_parallel_syncs", .gauge, "Show the current parallel-syncs config for each master")
    static let sentinelMasterConfigEpoch = make(
        "sentinel_master_config_epoch", .gauge, "The configuration epoch of the master (increments on each failover)")
    static let sentinelMasterLastOkPingReplySeconds = make(
        "sentinel_master_last_ok_ping_reply_seconds", .gauge,
        "Elapsed time in seconds since the last successful ping reply from the master")
    static let sentinelMasterSlaves = make("sentinel_master_slaves", .gauge, "The number of slaves of the master")
    static let sentinelMasterStatus = make("sentinel_master_status", .gauge, "Master status on Sentinel")
    static let sentinelMasters = make("sentinel_masters", .gauge, "The number of masters this sentinel is watching")
    static let sentinelRunningScripts = make(
        "sentinel_running_scripts", .gauge, "Number of scripts in execution right now")
    static let sentinelScriptsQueueLength = make(
        "sentinel_scripts_queue_length", .gauge, "Queue of user scripts to execute")
    static let sentinelSimulateFailureFlags = make("sentinel_simulate_failure_flags", .gauge, "Failures simulations")
    static let sentinelTilt = make("sentinel_tilt", .gauge, "Sentinel is in TILT mode")
    static let sentinelConfigKeyValue = make(
        "sentinel_config_key_value", .gauge, "Sentinel global config key and value")
    static let sentinelConfigValue = make(
        "sentinel_config_value", .gauge, "Sentinel global config key and value as metric")

    // MARK: Modules and scripts

    static let moduleInfo = make("module_info", .gauge, "Information about loaded Redis module")
    static let scriptValues = make("script_values", .gauge, "Values returned by the collect script")
    static let scriptResult = make("script_result", .gauge, "Result of the collect script evaluation")

    // MARK: Ourselves

    static let exporterLastScrapeError = make("exporter_last_scrape_error", .gauge, "The last scrape error status.")
    static let exporterLastScrapeDurationSeconds = plain("exporter_last_scrape_duration_seconds", .gauge)
    static let exporterLastScrapeConnectTimeSeconds = plain("exporter_last_scrape_connect_time_seconds", .gauge)
    static let exporterLastScrapePingTimeSeconds = plain("exporter_last_scrape_ping_time_seconds", .gauge)
    static let exporterScrapesTotal = make("exporter_scrapes_total", .counter, "Current total redis scrapes.")
    static let exporterScrapeDurationSeconds = make(
        "exporter_scrape_duration_seconds", .summary, "Durations of scrapes by the exporter")
    static let targetScrapeRequestErrorsTotal = make(
        "target_scrape_request_errors_total", .counter, "Errors in requests to the exporter")
}
