import Metrics
import Runtime

/// Alerts that are told together, and when to tell them.
struct AggregationGroup: Sendable {
    /// Number of the branch of the routing tree.
    let branch: Int
    let labels: Labels
    /// `<matchers of the branches>:<labels>`; consumers know the group by it.
    let key: String
    private let groupWait: Duration
    private let groupInterval: Duration

    private(set) var alerts: [Fingerprint: Alert] = [:]
    /// Alerts that ended and began anew before the end was told, as they were when they ended.
    private(set) var endedBefore: [Fingerprint: Alert] = [:]
    private(set) var nextFlush: Moment
    private var hasFlushed = false
    private var flush: Flush?

    /// A telling under way: it is over when every integration is done.
    private struct Flush: Sendable {
        /// Resolved alerts, and when they were last heard of.
        var resolved: [Fingerprint: Moment]
        var open: Int
        var hasFailed = false
        /// Whether it only made up for what another process left untold, so that another has to follow at once.
        var isInArrears = false
    }

    init(branch: Int, route: Route, labels: Labels, key: String, at now: Moment) {
        self.branch = branch
        self.labels = labels
        self.key = key
        groupWait = route.groupWait
        groupInterval = route.groupInterval
        nextFlush = now + route.groupWait
    }

    var isFlushing: Bool { flush != nil }

    /// The first telling waits no longer than the group wait after an alert began.
    mutating func insert(_ alert: Alert, at now: Moment) {
        if let known = alerts[alert.fingerprint], known.isResolved(at: now), known.startsAt < alert.startsAt {
            endedBefore[alert.fingerprint] = known
        }
        alerts[alert.fingerprint] = alert
        if !hasFlushed, alert.startsAt + groupWait < now { nextFlush = min(nextFlush, now) }
    }

    /// The alerts to tell, in order. What fires at this moment has no end in them, so that it stays so while the telling
    /// lasts. The next telling is due a group interval from now.
    mutating func beginFlush(at now: Moment) -> [Alert] {
        hasFlushed = true
        nextFlush = now + groupInterval
        var resolved: [Fingerprint: Moment] = [:]
        var told: [Alert] = []
        for var alert in alerts.values {
            if alert.isResolved(at: now) {
                resolved[alert.fingerprint] = alert.updatedAt
            } else {
                alert.endsAt = nil
            }
            told.append(alert)
        }
        flush = Flush(resolved: resolved, open: 0)
        return told.sorted(by: Alert.precedes)
    }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) {
        alerts = alerts.mapValues { $0.moved(by: step) }
        endedBefore = endedBefore.mapValues { $0.moved(by: step) }
        nextFlush = nextFlush.moved(by: step)
        if let resolved = flush?.resolved { flush?.resolved = resolved.mapValues { $0.moved(by: step) } }
    }

    mutating func await(_ deliveries: Int, at now: Moment) {
        flush?.open = deliveries
        endFlushIfDone(at: now)
    }

    mutating func deliveryEnded(hasFailed: Bool, isInArrears: Bool, at now: Moment) {
        flush?.open -= 1
        if hasFailed { flush?.hasFailed = true }
        if isInArrears { flush?.isInArrears = true }
        endFlushIfDone(at: now)
    }

    /// Resolved alerts that everybody was told of are forgotten, unless they were heard of meanwhile.
    private mutating func endFlushIfDone(at now: Moment) {
        guard let ended = flush, ended.open <= 0 else { return }
        flush = nil
        guard !ended.hasFailed else { return }
        guard !ended.isInArrears else {
            nextFlush = now
            return
        }
        endedBefore = [:]
        for (fingerprint, updatedAt) in ended.resolved where alerts[fingerprint]?.updatedAt == updatedAt {
            alerts[fingerprint] = nil
        }
    }
}
