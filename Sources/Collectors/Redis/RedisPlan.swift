import Databases
import Metrics

/// What is asked in the one round trip of a scrape: the commands, and what each is for. INFO is always the first.
struct RedisPlan {
    enum Question: Equatable {
        case info, config, latencyLatest, latencyHistogram, slowlogLength, slowlogNewest, clusterInfo, clients, modules,
            tile38
        /// An index into `RedisMetrics.commandLogLengths`.
        case commandLog(Int)
    }

    private(set) var questions: [Question] = []
    private(set) var commands: [RedisCommand] = []
    private(set) var tellsHistograms = false

    static let info = RedisCommand("INFO", "ALL", name: "INFO ALL")
    static let clusterInfo = RedisCommand("CLUSTER", "INFO", name: "CLUSTER INFO")

    /// Every collector that a scrape may ask for by name.
    static let collectors = [
        "redis", "redis_config", "redis_latency", "redis_slowlog", "redis_cluster", "redis_clients", "redis_modules",
        "redis_keys", "redis_key_count", "redis_key_groups", "redis_streams", "redis_sentinel", "redis_search",
        "redis_scripts",
    ]

    /// - Parameter histogram: what to ask of the latency histograms, if anything.
    init(
        _ options: RedisOptions, _ server: RedisServer, _ selection: CollectorSelection, isClustered: Bool,
        histogram: RedisCommand?
    ) {
        ask(.info, Self.info)
        if selection.contains("redis_config") {
            for command in ConfigReader.commands(options, server) { ask(.config, command) }
        }
        if selection.contains("redis_latency"), !server.isSentinel {
            ask(.latencyLatest, LatencyReader.latest)
            tellsHistograms = !options.excludeLatencyHistogramMetrics && server.isAtLeast(7)
            if tellsHistograms, let histogram { ask(.latencyHistogram, histogram) }
        }
        if selection.contains("redis_slowlog"), !server.isSentinel {
            ask(.slowlogLength, SlowlogReader.length)
            ask(.slowlogNewest, SlowlogReader.newest)
            if server.hasCommandLog {
                for (index, command) in SlowlogReader.commandLogLengths.enumerated() {
                    ask(.commandLog(index), command)
                }
            }
        }
        if isClustered, selection.contains("redis_cluster") { ask(.clusterInfo, Self.clusterInfo) }
        if options.exportClientList, selection.contains("redis_clients") { ask(.clients, ClientListReader.command) }
        if options.includeModulesMetrics, selection.contains("redis_modules") { ask(.modules, ModuleReader.command) }
        if options.isTile38, selection.contains("redis_modules") { ask(.tile38, ModuleReader.tile38) }
    }

    private mutating func ask(_ question: Question, _ command: RedisCommand) {
        questions.append(question)
        commands.append(command)
    }

    /// The replies to every command of one kind.
    func replies(to question: Question, in replies: [RedisReply]) -> [RedisReply] {
        zip(questions, replies).filter { $0.0 == question }.map(\.1)
    }
}
