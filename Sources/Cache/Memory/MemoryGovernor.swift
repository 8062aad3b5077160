import Runtime

/// How much of the cache goes when memory is short.
public enum MemoryPolicy: String, CaseIterable, Sendable {
    /// Half.
    case aggressive
    /// A quarter.
    case conservative
    /// A tenth at the threshold, rising to half where nothing is left.
    case adaptive
}

/// Why memory was freed.
public enum MemoryTrigger: String, CaseIterable, Sendable {
    /// The control group is nearly full.
    case cgroup
    /// The host is nearly full.
    case host
    /// Tasks wait for memory.
    case pressure
    /// The cache takes more than its own bound allows.
    case bound
}

/// Decides when the cache has to give memory back, and how much: every interval, or ten times as often in an
/// emergency, when nineteen twentieths are in use.
public struct MemoryGovernor: Sendable {
    public struct Rules: Sendable, Equatable {
        public var policy: MemoryPolicy
        /// Share of the memory in use, of the control group or the host, from which on the cache gives way.
        public var threshold: Double
        public var interval: Duration

        public init(policy: MemoryPolicy = .adaptive, threshold: Double = 0.8, interval: Duration = .seconds(60)) {
            self.policy = policy
            self.threshold = threshold
            self.interval = interval
        }
    }

    public struct Decision: Sendable, Equatable {
        public let trigger: MemoryTrigger
        /// Of what the cache holds, 0 to 1.
        public let share: Double
    }

    /// What the cache takes and what it may take.
    public struct Own: Sendable, Equatable {
        public var residentBytes: Int
        public var boundBytes: Int

        public init(residentBytes: Int, boundBytes: Int) {
            self.residentBytes = residentBytes
            self.boundBytes = boundBytes
        }
    }

    private static let emergency = 0.95
    private static let emergencyShare = 0.5
    /// Stalls below this happen on healthy machines.
    private static let stalledThreshold = 0.1

    public let rules: Rules
    private var nextCheckMs = Int.min

    public init(_ rules: Rules) { self.rules = rules }

    /// Whether it is time to read how full the memory is.
    public func isDue(nowMs: Int) -> Bool { nowMs >= nextCheckMs }

    public mutating func check(_ reading: MemoryReading, own: Own, nowMs: Int) -> Decision? {
        guard isDue(nowMs: nowMs) else { return nil }
        let (trigger, used) = tightest(reading)
        let isEmergency = used >= MemoryGovernor.emergency
        nextCheckMs = nowMs + max(1, rules.interval.milliseconds / (isEmergency ? 10 : 1))
        guard own.residentBytes > 0 else { return nil }
        if used >= rules.threshold {
            let share = share(used: used)
            return Decision(trigger: trigger, share: isEmergency ? max(share, MemoryGovernor.emergencyShare) : share)
        }
        if let stalled = reading.stalledShare, stalled >= MemoryGovernor.stalledThreshold {
            return Decision(
                trigger: .pressure, share: share(used: max(used, rules.threshold) + stalled * (1 - rules.threshold)))
        }
        guard own.residentBytes > own.boundBytes else { return nil }
        let excess = Double(own.residentBytes - own.boundBytes) / Double(own.residentBytes)
        return Decision(trigger: .bound, share: max(excess, share(used: rules.threshold)))
    }

    private func tightest(_ reading: MemoryReading) -> (MemoryTrigger, used: Double) {
        let cgroup = reading.cgroup?.share ?? 0
        let host = reading.host?.share ?? 0
        return cgroup >= host ? (.cgroup, cgroup) : (.host, host)
    }

    private func share(used: Double) -> Double {
        switch rules.policy {
        case .aggressive: return 0.5
        case .conservative: return 0.25
        case .adaptive:
            let urgency = (used - rules.threshold) / max(0.01, 1 - rules.threshold)
            return 0.1 + 0.4 * min(max(urgency, 0), 1)
        }
    }
}
