import Metrics
import PromQL

/// The alerts of one rule and how an evaluation changes them: the state machine of Prometheus' alerting rules.
///
/// A value: it takes a query's result and the time, changes itself and says what changed. Times and durations are
/// milliseconds.
public struct AlertingRuleState: Sendable, Equatable {
    /// In the order in which they became active.
    public private(set) var alerts: [ActiveAlert] = []
    private var places: [Labels: Int] = [:]

    /// The last end of each alert that is active again. Prometheus forgets it; here a crash may have come before anybody was
    /// told, so it is kept as long as any end and handed on after a restart, before the new beginning.
    public private(set) var endedBefore: [ActiveAlert] = []

    /// For how long a resolved alert is handed on again and again, so that every receiver learns of its end.
    public static let resolvedRetention: Int64 = 15 * 60_000

    public init() {}

    /// What an evaluation found: a sample's labels and annotations after the templates.
    struct Finding {
        let labels: Labels
        let annotations: [Label]
        let value: Double
    }

    /// Pending if some alert is, firing if some alert is.
    public var state: AlertState {
        if alerts.contains(where: { $0.state == .firing }) { return .firing }
        return alerts.contains { $0.state == .pending } ? .pending : .inactive
    }

    /// Goes through one evaluation. Throws, with the alerts as they were, if two findings are the same alert; and with
    /// all alerts gone, as Prometheus has it, if there are more than `limit`.
    ///
    /// - Parameter mayConclude: false while the history cannot yet tell whether a restored alert's sample is gone.
    mutating func update(
        with findings: [Finding], rule: AlertingRule, at time: Int64, limit: Int, mayConclude: Bool = true
    ) throws(RuleFailure) -> [AlertTransition] {
        var found: Set<Labels> = []
        for finding in findings {
            guard found.insert(finding.labels).inserted else { throw .sameLabelset(.alert) }
        }
        var transitions: [AlertTransition] = []
        for finding in findings { take(finding, at: time) }
        var kept: [ActiveAlert] = []
        var active = 0
        for alert in alerts {
            var alert = alert
            let before = isNew(alert, at: time) ? AlertState.inactive : alert.state
            let stays = found.contains(alert.labels) || alert.isUnconfirmed && !mayConclude
            if alert.isUnconfirmed, mayConclude { alert.isUnconfirmed = false }
            guard stays ? alert.remain(rule, at: time) : alert.disappear(rule, at: time) else {
                if before == .pending {
                    transitions.append(AlertTransition(labels: alert.labels, from: before, to: .inactive))
                }
                continue
            }
            if alert.state != .inactive { active += 1 }
            if before != alert.state {
                transitions.append(AlertTransition(labels: alert.labels, from: before, to: alert.state))
            }
            kept.append(alert)
        }
        replace(with: kept)
        endedBefore.removeAll { $0.isForgotten(at: time) }
        guard limit == 0 || active <= limit else {
            replace(with: [])
            throw .overLimit(limit: limit, count: active, what: .alert)
        }
        return transitions
    }

    private func isNew(_ alert: ActiveAlert, at time: Int64) -> Bool {
        alert.activeAt == time && alert.phase == .pending
    }

    private mutating func take(_ finding: Finding, at time: Int64) {
        if let place = places[finding.labels], alerts[place].state != .inactive {
            alerts[place].value = finding.value
            alerts[place].annotations = finding.annotations
            alerts[place].isUnconfirmed = false
            return
        }
        let fresh = ActiveAlert(
            labels: finding.labels, annotations: finding.annotations, value: finding.value, activeAt: time)
        if let place = places[finding.labels] {
            endedBefore.removeAll { $0.labels == finding.labels }
            endedBefore.append(alerts[place])
            alerts[place] = fresh
        } else {
            places[finding.labels] = alerts.count
            alerts.append(fresh)
        }
    }

    // MARK: Handing on

    /// The alerts that have to be handed on after the evaluation at `time`.
    public func due(at time: Int64, resendDelay: Int64) -> [ActiveAlert] {
        endedBefore.filter(\.isUntold) + alerts.filter { $0.isDue(at: time, resendDelay: resendDelay) }
    }

    /// Notes that these alerts, by their labels, were handed on.
    public mutating func noteSent(_ sent: [Labels], at time: Int64) {
        for labels in sent {
            for index in endedBefore.indices where endedBefore[index].labels == labels {
                endedBefore[index].isUntold = false
            }
            guard let place = places[labels], alerts[place].phase != .pending else { continue }
            alerts[place].lastSentAt = time
            alerts[place].isUntold = false
        }
    }

    // MARK: Keeping

    /// Takes over alerts of another run of the program: they stay what they were until the history can tell.
    public mutating func restore(_ alerts: [ActiveAlert], endedBefore: [ActiveAlert] = []) {
        func restored(_ alert: ActiveAlert) -> ActiveAlert {
            var alert = alert
            alert.isUnconfirmed = alert.state != .inactive
            alert.isUntold = true
            return alert
        }
        replace(with: alerts.map(restored))
        self.endedBefore = endedBefore.map(restored)
    }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) {
        for index in alerts.indices { alerts[index].move(by: step) }
        for index in endedBefore.indices { endedBefore[index].move(by: step) }
    }

    private mutating func replace(with alerts: [ActiveAlert]) {
        self.alerts = alerts
        places = Dictionary(alerts.enumerated().map { ($1.labels, $0) }) { first, _ in first }
    }
}

extension ActiveAlert {
    /// An evaluation with the alert's sample. True: it stays in any case.
    fileprivate mutating func remain(_ rule: AlertingRule, at time: Int64) -> Bool {
        // Without its sample a restored alert only waits.
        guard !isUnconfirmed else { return true }
        switch phase {
        case .pending:
            if time - activeAt >= rule.holdDuration { phase = .firing(since: time, keptSince: nil) }
        case .firing(let since, _):
            if time - activeAt < rule.holdDuration {
                // A reload has raised `for`.
                phase = .pending
                lastSentAt = nil
            } else {
                phase = .firing(since: since, keptSince: nil)
            }
        case .resolved: break
        }
        return true
    }

    /// Whether it ended so long ago that every receiver has learned of it.
    fileprivate func isForgotten(at time: Int64) -> Bool {
        guard let resolvedAt, !isUntold else { return false }
        return time - resolvedAt > AlertingRuleState.resolvedRetention
    }

    /// An evaluation without the alert's sample. False if nothing is left to remember.
    fileprivate mutating func disappear(_ rule: AlertingRule, at time: Int64) -> Bool {
        switch phase {
        case .pending: return false
        case .firing(let since, let keptSince):
            let gone = keptSince ?? time
            if rule.keepFiringFor > 0, time - gone < rule.keepFiringFor {
                phase = .firing(since: since, keptSince: gone)
                if time - activeAt < rule.holdDuration {
                    phase = .pending
                    lastSentAt = nil
                }
            } else {
                phase = .resolved(firedAt: since, at: time)
            }
            return true
        case .resolved: return !isForgotten(at: time)
        }
    }
}
