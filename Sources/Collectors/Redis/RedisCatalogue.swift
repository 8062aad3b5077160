import Metrics

/// Everything that a Redis target can tell, for documentation and tests: a metric that is missing here fails a test.
/// `cluster_*` fields, whose names the server makes up, are not among them.
public enum RedisCatalogue {
    public static var metrics: [Metric] {
        InfoField.catalogue.flatMap { [$0.metric] + [$0.former, $0.alias].compactMap { $0 } }
            + RedisMetrics.labelled + RedisMetrics.settings.map(\.metric) + ClientListReader.metrics
            + SearchIndexCheck.metrics
            + [
                InfoReader.ioThreadSeconds, ClientListReader.details, KeyCountCheck.unfinished,
                RedisExporterMetrics.connectsTotal, RedisExporterMetrics.connectionAge,
                CollectorHealth.duration, CollectorHealth.success, CollectorHealth.lastError,
            ]
    }

    /// The names that `collect[]` and `exclude[]` understand.
    public static var collectors: [String] { RedisPlan.collectors }
}

extension RedisMetrics {
    fileprivate static let labelled: [Metric] = [
        commandsTotal, commandsDurationSecondsTotal, commandsRejectedCallsTotal, commandsFailedCallsTotal,
        latencyPercentilesUsec, commandsLatenciesUsec, errorsTotal, latencySpikeLast, latencySpikeDurationSeconds,
        up, instanceInfo, startTimeSeconds, dbKeys, dbKeysExpiring, dbAvgTTLSeconds, dbKeysCached,
        connectedSlaveOffsetBytes, connectedSlaveLagSeconds, masterLinkUp, masterLastIOSecondsAgo,
        masterSyncInProgress, slaveReplOffset, slaveInfo, configKeyValue, configValue,
        configClientOutputBufferLimitBytes, configClientOutputBufferLimitOvercomeSeconds, rdbCurrentSizeBytes,
        slowlogLength, slowlogLastID, lastSlowExecutionDurationSeconds, commandlogExecutionSlowerThan,
        commandlogLargeReplyLength, commandlogLargeReplyMaxLen, commandlogLargeRequestLength,
        commandlogLargeRequestMaxLen, commandlogReplyLargerThan, commandlogRequestLargerThan,
        commandlogSlowExecutionMaxLen, commandlogSlowLength, keySize, keyMemoryUsageBytes, keyValue,
        keyValueAsString, keysCount, keyGroupCount, keyGroupMemoryUsageBytes, numberOfDistinctKeyGroups,
        lastKeyGroupsScrapeDurationMilliseconds, streamEntriesAddedTotal, streamFirstEntryID,
        streamGroupConsumerIdleSeconds, streamGroupConsumerMessagesPending, streamGroupConsumers,
        streamGroupEntriesRead, streamGroupLag, streamGroupLastDeliveredID, streamGroupMessagesPending,
        streamGroups, streamLastEntryID, streamLastGeneratedID, streamLength, streamMaxDeletedEntryID,
        streamRadixTreeKeys, streamRadixTreeNodes, sentinelMasterCkquorumStatus, sentinelPeerInfo,
        sentinelMasterOkSentinels, sentinelMasterOkSlaves, sentinelMasterSentinels, sentinelMasterSettingCkquorum,
        sentinelMasterSettingDownAfterMilliseconds, sentinelMasterSettingFailoverTimeout,
        sentinelMasterSettingParallelSyncs, sentinelMasterConfigEpoch, sentinelMasterLastOkPingReplySeconds,
        sentinelMasterSlaves, sentinelMasterStatus, sentinelMasters, sentinelRunningScripts,
        sentinelScriptsQueueLength, sentinelSimulateFailureFlags, sentinelTilt, sentinelConfigKeyValue,
        sentinelConfigValue, moduleInfo, scriptValues, scriptResult, exporterLastScrapeError,
        exporterLastScrapeDurationSeconds, exporterLastScrapeConnectTimeSeconds, exporterLastScrapePingTimeSeconds,
        exporterScrapesTotal, exporterScrapeDurationSeconds, targetScrapeRequestErrorsTotal,
    ]
}
