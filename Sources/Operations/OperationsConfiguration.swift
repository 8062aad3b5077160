import Metrics
import Network
import Runtime

/// What is counted of the service's operations, where StatsD is received, and every bound on both.
public struct OperationsConfiguration: Sendable {
    let isEnabled: Bool
    let servesMetrics: Bool
    let operations: Operations
    let custom: Custom
    public let statsd: StatsD
    let rules: MappingRules

    struct Operations: Sendable {
        var limit = 500
        var seriesLimit = 2000
        var tags: Set<String> = []
        var tagValueLimit = 100
        var buckets = Buckets.defaults
        var errorStatuses: [String] = ["error", "failed", "failure", "exception", "timeout", "critical", "5xx"]
    }

    struct Custom: Sendable {
        var metricLimit = 1000
        var seriesLimit = 10_000
        var tagValueLimit = 100
        var buckets = Buckets.defaults
        /// Of sets and summaries.
        var window: Duration = .seconds(60)
    }

    /// Where StatsD is received.
    public struct StatsD: Sendable, Equatable {
        var address: ListenAddress?
        var path: String?
        var mode: UInt32 = 0o722
        var receiveBuffer = ByteCount(8 << 20)
    }

    public init(_ settings: Settings) throws(SettingsError) {
        isEnabled = try settings.read(
            "operations.enabled", default: true, "Record what the service reports and what passes the proxies.",
            aliases: ["PERFORMANCE_MONITORING_ENABLED"])
        servesMetrics = try settings.read(
            "operations.metrics", default: true, "Serve the recorded operations as metrics.",
            aliases: ["PERFORMANCE_ENABLE_METRICS"])
        operations = try Operations(settings)
        custom = try Custom(settings, tagValueLimit: operations.tagValueLimit)
        statsd = try StatsD(settings)
        rules = try MappingRules(settings)
    }

    /// The defaults, with these changed: for tests.
    init(
        operations: Operations = Operations(), custom: Custom = Custom(), statsd: StatsD = StatsD(),
        rules: MappingRules = .none
    ) {
        isEnabled = true
        servesMetrics = true
        self.operations = operations
        self.custom = custom
        self.statsd = statsd
        self.rules = rules
    }
}

extension OperationsConfiguration.Operations {
    init(_ settings: Settings) throws(SettingsError) {
        limit = try settings.read(
            "operations.limit", default: limit, "Operations told apart by name; later ones are counted as other.",
            in: 1...100_000)
        seriesLimit = try settings.read(
            "operations.series_limit", default: seriesLimit,
            "Combinations of operation, status and tags; later ones are counted as other.", in: 1...100_000)
        tags = Set(
            try settings.readList("operations.tags", "Tags that become labels of operations; others are ignored.")
                .compactMap(MetricName.label))
        for name in ["operation", "status"] where tags.contains(name) {
            throw SettingsError(
                place: settings.fileName, key: "operations.tags",
                problem: "\(name) is a label of every operation already")
        }
        tagValueLimit = try settings.read(
            "operations.tag_value_limit", default: tagValueLimit,
            "Values of one tag that are told apart, of operations and of custom metrics; later ones are counted as other.",
            in: 1...100_000)
        buckets = try readBuckets(
            settings, "operations.buckets", default: buckets, "Upper bounds of the operations' histogram, in seconds.")
        errorStatuses = try settings.readList(
            "operations.error_statuses", default: errorStatuses,
            "Statuses that count as errors; 5xx stands for 500 to 599."
        ).map { $0.lowercased() }
    }

    /// Compared without regard to case.
    func isError(status: String) -> Bool {
        let status = status.lowercased()
        guard !errorStatuses.contains(status) else { return true }
        guard status.utf8.count == 3, Int(status) != nil, let first = status.first else { return false }
        return errorStatuses.contains("\(first)xx")
    }
}

extension OperationsConfiguration.Custom {
    init(_ settings: Settings, tagValueLimit: Int) throws(SettingsError) {
        self.tagValueLimit = tagValueLimit
        metricLimit = try settings.read(
            "statsd.metric_limit", default: metricLimit, "Custom metrics by name; samples of later ones are dropped.",
            in: 1...100_000)
        seriesLimit = try settings.read(
            "statsd.series_limit", default: seriesLimit,
            "Series of custom metrics; later ones are counted under the label series=\"other\".", in: 1...1_000_000)
        buckets = try readBuckets(
            settings, "statsd.buckets", default: buckets,
            "Upper bounds of the histograms that mapping rules name, where a rule has none of its own.")
        window = try settings.read(
            "statsd.window", default: window,
            "Sets count members and summaries tell quantiles of the last one to two windows.",
            in: .seconds(1)...(.seconds(3600)))
    }
}

extension OperationsConfiguration.StatsD {
    init(_ settings: Settings) throws(SettingsError) {
        address = try settings.read(
            "statsd.listen_address", "Where to receive StatsD and DogStatsD by UDP, such as 127.0.0.1:8125.")
        path = try settings.read(
            "statsd.listen_unixgram", "File of a Unix datagram socket that receives StatsD and DogStatsD.")
        if path?.isEmpty == true { path = nil }
        let text = try settings.read(
            "statsd.unixgram_mode", default: "722", "Permissions of that file, octal; senders need to write.")
        guard let mode = UInt32(text, radix: 8), mode <= 0o777 else {
            throw SettingsError(
                place: settings.fileName, key: "statsd.unixgram_mode", problem: "\"\(text)\" is not octal permissions")
        }
        self.mode = mode
        receiveBuffer = try settings.read(
            "statsd.receive_buffer", default: receiveBuffer,
            "Receive buffer to ask the kernel for; without root it grants net.core.rmem_max at most.",
            in: ByteCount(4096)...ByteCount(1 << 30))
    }
}

private func readBuckets(
    _ settings: Settings, _ name: String, default fallback: [Double], _ help: String
) throws(SettingsError) -> [Double] {
    let texts = try settings.readList(name, default: fallback.map { HistogramBound($0).text }, help)
    do { return try Buckets.parse(texts) } catch {
        throw SettingsError(place: settings.fileName, key: name, problem: error.problem)
    }
}
