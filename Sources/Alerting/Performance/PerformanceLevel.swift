/// How well something does, in the five words of the Apdex scale, and a sixth for when nobody can say.
public enum PerformanceLevel: String, CaseIterable, Sendable {
    case unknown, excellent, good, fair, poor, critical

    /// -1 for unknown, 0 for excellent, … 4 for critical: the value of `outrigger_performance_level_code`.
    public var code: Int {
        switch self {
        case .unknown: -1
        case .excellent: 0
        case .good: 1
        case .fair: 2
        case .poor: 3
        case .critical: 4
        }
    }

    public init?(code: Int) {
        guard let level = PerformanceLevel.allCases.first(where: { $0.code == code }) else { return nil }
        self = level
    }

    /// One step towards excellent; what is excellent or unknown stays.
    var better: PerformanceLevel { code > 0 ? PerformanceLevel(code: code - 1) ?? self : self }
}

extension PerformanceLevel: Comparable {
    /// Worse is greater; unknown is less than all.
    public static func < (left: PerformanceLevel, right: PerformanceLevel) -> Bool { left.code < right.code }
}

/// What is judged. The overall level is that of the worst of them.
public enum PerformanceComponent: String, CaseIterable, Sendable {
    case service, postgres, redis, pgbouncer, cache, host, sidecar
}
