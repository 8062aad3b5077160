import Databases
import Metrics

/// `count-keys`: how many keys match a pattern.
struct KeyCountCheck: RedisCheck {
    let collector = "redis_key_count"
    private var scans: KeyScans
    private let labels: [Labels]
    private let unfinishedLabels: Labels

    static let unfinished = Metric.gauge(
        "outrigger_redis_scans_unfinished",
        "Walks through the keys that the next scrape goes on with; until then their last complete result is told.")

    init?(base: Labels, options: RedisOptions) {
        guard !options.countKeys.isEmpty else { return nil }
        scans = KeyScans(options.countKeys, keeps: false, options: options)
        labels = options.countKeys.map { base.adding($0.labels) }
        unfinishedLabels = base.adding([Label("collector", collector)])
    }

    mutating func run(_ context: CheckContext) throws(RedisError) -> CheckResult {
        var result = CheckResult()
        try scans.advance(context, &result)
        var counts = Family(RedisMetrics.keysCount)
        for (scan, labels) in zip(scans.scans, labels) {
            if let count = scan.count { counts.samples.append(Sample(labels, Double(count))) }
        }
        result.families = [counts, Family(Self.unfinished, Double(scans.unfinished), unfinishedLabels)]
        return result
    }
}

extension DatabaseKey {
    var labels: [Label] { [Label("db", "db\(database)"), Label("key", String(decoding: key, as: UTF8.self))] }
}
