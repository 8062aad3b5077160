import Synchronization

/// The judgement of one moment.
public struct PerformanceReport: Sendable, Equatable {
    public let time: Moment
    /// The worst of the components, called `overall`.
    public let overall: ComponentReport
    /// Those there is something to say about, in the order of `PerformanceComponent`.
    public let components: [ComponentReport]
}

/// What is known about one component.
public struct ComponentReport: Sendable, Equatable {
    public let name: String
    public let level: PerformanceLevel
    /// 100 at its best, 0 at its worst; nil while the level is unknown.
    public let score: Double?
    /// When the level was entered.
    public let since: Moment
    /// What the indicators say at this moment: better than `level` while that is held.
    public let current: PerformanceLevel
    /// Until when the level is held at least although things are better now, so that it does not waver; nil where nothing
    /// is held. Then it rises by one step.
    public let heldUntil: Moment?
    public let trend: PerformanceTrend
    /// What decided, the worst first, at most three; empty for an excellent component.
    public let reasons: [PerformanceReason]
    /// Resources that fill up, the first to be full first.
    public let limits: [TimeToLimit]
    /// What is unusual against the last hour. Worth a look, and no reason for a level.
    public let annotations: [String]
}

/// Where the score has been heading.
public enum PerformanceTrend: String, CaseIterable, Sendable {
    case improving, steady, degrading, unknown

    /// 1, 0, -1; nil for unknown.
    public var code: Int? {
        switch self {
        case .improving: 1
        case .steady: 0
        case .degrading: -1
        case .unknown: nil
        }
    }
}

/// One indicator that decided a level.
public struct PerformanceReason: Sendable, Equatable {
    public let indicator: String
    public let level: PerformanceLevel
    public internal(set) var value: Double
    /// `ratio`, `seconds`, `sessions`, …
    public let unit: String
    /// Beyond which the level begins.
    public let threshold: Double
    /// Since when the indicator has been at this level or a worse one.
    public internal(set) var since: Moment
    /// What to do next.
    public let advice: String
}

/// When a resource is full if it goes on as in the last quarter of an hour.
public struct TimeToLimit: Sendable, Equatable {
    public let resource: String
    public let seconds: Double
}

/// The latest report, for whoever asks.
public final class PerformanceBoard: Sendable {
    private let report = Mutex<PerformanceReport?>(nil)

    public init() {}

    /// Nil until the first judgement.
    public var latest: PerformanceReport? { report.withLock { $0 } }

    func show(_ fresh: PerformanceReport) { report.withLock { $0 = fresh } }
}
