import Metrics

/// One alert of a rule, from the moment its sample first appears until fifteen minutes after it went.
///
/// All times are milliseconds since the epoch, and times of evaluations rather than of the clock.
public struct ActiveAlert: Sendable, Equatable {
    public enum Phase: Sendable, Equatable {
        /// The sample is there, but not yet for as long as the rule asks.
        case pending

        /// `keptSince`: the first evaluation without the sample, while `keep_firing_for` holds the alert up.
        case firing(since: Int64, keptSince: Int64?)
        case resolved(firedAt: Int64, at: Int64)
    }

    /// With `alertname`, without the metric's name.
    public let labels: Labels

    /// Sorted by name; values may be empty.
    public var annotations: [Label]
    public var value: Double
    public var phase: Phase

    /// When the sample first appeared.
    public private(set) var activeAt: Int64

    /// When the alert was last handed on; nil before the first time.
    public var lastSentAt: Int64?

    /// Restored from disk, so that whoever is told in this run of the program has not heard of it yet.
    var isUntold = false

    /// Restored from disk and not seen since: it is neither promoted nor resolved before the history can tell.
    var isUnconfirmed = false

    public init(labels: Labels, annotations: [Label], value: Double, activeAt: Int64) {
        self.labels = labels
        self.annotations = annotations
        self.value = value
        self.activeAt = activeAt
        phase = .pending
    }

    public var state: AlertState {
        switch phase {
        case .pending: .pending
        case .firing: .firing
        case .resolved: .inactive
        }
    }

    /// When it began to fire: what receivers see as `startsAt`.
    public var firedAt: Int64? {
        switch phase {
        case .pending: nil
        case .firing(let since, _): since
        case .resolved(let firedAt, _): firedAt
        }
    }

    public var resolvedAt: Int64? { if case .resolved(_, let at) = phase { at } else { nil } }

    public var keptSince: Int64? { if case .firing(_, let keptSince) = phase { keptSince } else { nil } }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) {
        activeAt += step
        lastSentAt = lastSentAt.map { $0 + step }
        switch phase {
        case .pending: break
        case .firing(let since, let keptSince):
            phase = .firing(since: since + step, keptSince: keptSince.map { $0 + step })
        case .resolved(let firedAt, let at): phase = .resolved(firedAt: firedAt + step, at: at + step)
        }
    }

    /// Whether it has to be handed on at `time`: never yet, resolved since, or last longer ago than `resendDelay`.
    func isDue(at time: Int64, resendDelay: Int64) -> Bool {
        if phase == .pending { return false }
        guard let lastSentAt, !isUntold else { return true }
        if let resolvedAt, resolvedAt > lastSentAt { return true }
        return lastSentAt + resendDelay < time
    }
}

/// What an alert or a rule is, as Prometheus names it in `ALERTS` and its API.
public enum AlertState: String, Sendable, CaseIterable {
    case inactive, pending, firing
}

/// An alert that changed its state.
public struct AlertTransition: Sendable, Equatable {
    public let labels: Labels
    public let from: AlertState
    public let to: AlertState
}
