import Databases
import Metrics
import Runtime

/// What the scrapes themselves are like: `redis_up`, redis_exporter's metrics of itself, and the health of the collectors.
struct RedisExporterMetrics: Sendable {
    private let labels: Labels
    private var health: CollectorHealth
    private var isUp = false
    private var error = ""
    private var lastDuration = Duration.zero
    private var totalDuration = Duration.zero
    private var scrapes = 0
    private var connectTime: Duration?
    private var openedAt: ContinuousClock.Instant?

    var pingTime: Duration?
    /// Connections made, the first one included.
    var connects = 0
    var isClustered = false

    static let connectsTotal = Metric.counter(
        "outrigger_redis_connects_total", "Connections made to the watched Redis.")
    static let connectionAge = Metric.gauge(
        "outrigger_redis_connection_age_seconds", "How long the connection to the watched Redis is open.")

    init(labels: Labels) {
        self.labels = labels
        health = CollectorHealth(target: labels)
    }

    mutating func record(_ harvest: RedisHarvest, took: Duration, failure: RedisError?, session: RedisSession?) {
        scrapes += 1
        isUp = failure == nil
        error = failure?.description ?? ""
        lastDuration = took
        totalDuration += took
        openedAt = session?.openedAt
        if let session { connectTime = session.connectTime }
        for run in harvest.runs { health.record(run.collected.collector, took: run.took, error: run.error) }
    }

    var families: [Family] { families(isUp: isUp, error: error, health: health) }

    /// What is served when a scrape did not come back: it failed, and so did all that it was to bring.
    var lateFamilies: [Family] {
        var late = health
        if scrapes == 0 { late.record("redis", took: .zero, error: .timeout) }
        return families(isUp: false, error: "scrape: timed out", health: late.failed(.timeout))
    }

    private func families(isUp: Bool, error: String, health: CollectorHealth) -> [Family] {
        var families = [
            Family(RedisMetrics.up, isUp ? 1 : 0, labels),
            Family(RedisMetrics.exporterLastScrapeError, isUp ? 0 : 1, labels.adding([Label("err", error)])),
            Family(RedisMetrics.exporterLastScrapeDurationSeconds, lastDuration.seconds, labels),
            Family(RedisMetrics.exporterScrapesTotal, Double(scrapes), labels),
            Family(
                RedisMetrics.exporterScrapeDurationSeconds,
                [Sample(labels, totalDuration.seconds, .sum), Sample(labels, Double(scrapes), .count)]),
            Family(RedisMetrics.targetScrapeRequestErrorsTotal, 0, labels),
            Family(Self.connectsTotal, Double(connects), labels),
        ]
        if let connectTime {
            families.append(Family(RedisMetrics.exporterLastScrapeConnectTimeSeconds, connectTime.seconds, labels))
        }
        if let pingTime {
            families.append(Family(RedisMetrics.exporterLastScrapePingTimeSeconds, pingTime.seconds, labels))
        }
        if let openedAt {
            families.append(Family(Self.connectionAge, (ContinuousClock.now - openedAt).seconds, labels))
        }
        return families + health.families
    }
}
