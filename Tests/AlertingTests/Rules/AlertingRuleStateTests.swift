import Metrics
import PromQL
import Testing

@testable import Alerting

@Suite struct AlertingRuleStateTests {
    private func rule(for hold: Int64 = 0, keep: Int64 = 0) throws -> AlertingRule {
        AlertingRule(name: "A", query: try Query("up"), holdDuration: hold, keepFiringFor: keep)
    }

    private func finding(_ instance: String = "a", _ value: Double = 1) -> AlertingRuleState.Finding {
        .init(labels: Labels(["alertname": "A", "instance": instance]), annotations: [Label("s", "\(value)")], value: value)
    }

    @Test func withoutForItFiresAtOnce() throws {
        var state = AlertingRuleState()
        let changes = try state.update(with: [finding()], rule: try rule(), at: 1000, limit: 0)
        #expect(state.alerts[0].phase == .firing(since: 1000, keptSince: nil))
        #expect(changes == [AlertTransition(labels: finding().labels, from: .inactive, to: .firing)])
    }

    @Test func itIsPendingUntilForHasPassed() throws {
        var state = AlertingRuleState()
        let rule = try rule(for: 60_000)
        for time in [0, 30_000] as [Int64] {
            _ = try state.update(with: [finding("a", Double(time))], rule: rule, at: time, limit: 0)
            #expect(state.state == .pending)
            #expect(state.due(at: time, resendDelay: 60_000).isEmpty)
        }
        #expect(state.alerts[0].annotations == [Label("s", "30000.0")])
        let changes = try state.update(with: [finding()], rule: rule, at: 60_000, limit: 0)
        #expect(changes.map(\.to) == [.firing])
        #expect(state.alerts[0].activeAt == 0)
        #expect(state.alerts[0].firedAt == 60_000)
        #expect(state.due(at: 60_000, resendDelay: 60_000).count == 1)
    }

    @Test func aPendingAlertWhoseSampleGoesIsForgotten() throws {
        var state = AlertingRuleState()
        let rule = try rule(for: 60_000)
        _ = try state.update(with: [finding()], rule: rule, at: 0, limit: 0)
        let changes = try state.update(with: [], rule: rule, at: 30_000, limit: 0)
        #expect(state.alerts.isEmpty)
        #expect(changes == [AlertTransition(labels: finding().labels, from: .pending, to: .inactive)])
    }

    @Test func aResolvedAlertIsHandedOnForFifteenMinutesAndThenForgotten() throws {
        var state = AlertingRuleState()
        let rule = try rule()
        var sentAt: [Int64] = []
        func evaluate(_ findings: [AlertingRuleState.Finding], at time: Int64) throws {
            _ = try state.update(with: findings, rule: rule, at: time, limit: 0)
            let due = state.due(at: time, resendDelay: 60_000)
            if due.contains(where: { $0.resolvedAt != nil }) { sentAt.append(time) }
            state.noteSent(due.map(\.labels), at: time)
        }
        try evaluate([finding()], at: 0)
        for minute in 1...20 { try evaluate([], at: Int64(minute) * 60_000) }
        // The delay has to have passed entirely, so every second minute it is.
        #expect(sentAt == [1, 3, 5, 7, 9, 11, 13, 15].map { $0 * 60_000 })
        #expect(state.alerts.isEmpty)
    }

    @Test func anAlertThatFiresAgainWhileItsEndIsToldBeginsAnew() throws {
        var state = AlertingRuleState()
        let rule = try rule()
        _ = try state.update(with: [finding()], rule: rule, at: 0, limit: 0)
        state.noteSent([finding().labels], at: 0)
        _ = try state.update(with: [], rule: rule, at: 1000, limit: 0)
        state.noteSent([finding().labels], at: 1000)
        _ = try state.update(with: [finding()], rule: rule, at: 2000, limit: 0)
        #expect(state.alerts.map(\.phase) == [.firing(since: 2000, keptSince: nil)])
        #expect(state.due(at: 2000, resendDelay: 60_000).count == 1)
    }

    @Test func keepFiringForHoldsAnAlertUpAndASampleResetsIt() throws {
        var state = AlertingRuleState()
        let rule = try rule(keep: 60_000)
        _ = try state.update(with: [finding()], rule: rule, at: 0, limit: 0)
        _ = try state.update(with: [], rule: rule, at: 30_000, limit: 0)
        #expect(state.alerts[0].phase == .firing(since: 0, keptSince: 30_000))
        _ = try state.update(with: [finding()], rule: rule, at: 60_000, limit: 0)
        #expect(state.alerts[0].phase == .firing(since: 0, keptSince: nil))
        for time in [90_000, 149_999] as [Int64] {
            _ = try state.update(with: [], rule: rule, at: time, limit: 0)
            #expect(state.alerts[0].phase == .firing(since: 0, keptSince: 90_000))
        }
        _ = try state.update(with: [], rule: rule, at: 150_000, limit: 0)
        #expect(state.alerts[0].phase == .resolved(firedAt: 0, at: 150_000))
    }

    @Test func aRaisedForSendsAFiringAlertBackToPending() throws {
        var state = AlertingRuleState()
        _ = try state.update(with: [finding()], rule: try rule(), at: 0, limit: 0)
        state.noteSent([finding().labels], at: 0)
        _ = try state.update(with: [finding()], rule: try rule(for: 120_000), at: 60_000, limit: 0)
        #expect(state.alerts[0].phase == .pending)
        #expect(state.alerts[0].lastSentAt == nil)
        _ = try state.update(with: [finding()], rule: try rule(for: 120_000), at: 120_000, limit: 0)
        #expect(state.alerts[0].phase == .firing(since: 120_000, keptSince: nil))
    }

    @Test func overTheLimitEveryAlertIsDroppedAndNoEndIsEverTold() throws {
        var state = AlertingRuleState()
        _ = try state.update(with: [finding("a")], rule: try rule(), at: 0, limit: 1)
        #expect(throws: RuleFailure.overLimit(limit: 1, count: 2, what: .alert)) {
            try state.update(with: [finding("a"), finding("b")], rule: try rule(), at: 1000, limit: 1)
        }
        #expect(state.alerts.isEmpty)
    }

    @Test func twoSamplesThatBecomeOneAlertFailTheRuleAndLeaveItsAlerts() throws {
        var state = AlertingRuleState()
        _ = try state.update(with: [finding("a")], rule: try rule(), at: 0, limit: 0)
        let before = state
        #expect(throws: RuleFailure.sameLabelset(.alert)) {
            try state.update(with: [finding("b"), finding("b")], rule: try rule(), at: 1000, limit: 0)
        }
        #expect(state == before)
    }

    @Test func aRestoredAlertWaitsUntilItsSampleCanBeKnownToBeGone() throws {
        var firing = ActiveAlert(labels: finding("f").labels, annotations: [], value: 1, activeAt: 0)
        firing.phase = .firing(since: 60_000, keptSince: nil)
        firing.lastSentAt = 60_000
        let pending = ActiveAlert(labels: finding("p").labels, annotations: [], value: 1, activeAt: 50_000)
        var state = AlertingRuleState()
        state.restore([firing, pending])
        let rule = try rule(for: 60_000)

        let changes = try state.update(with: [], rule: rule, at: 600_000, limit: 0, mayConclude: false)
        #expect(changes.isEmpty)
        #expect(state.alerts.map(\.phase) == [firing.phase, .pending])
        // It is still told, and tells when it began.
        #expect(state.due(at: 600_000, resendDelay: 60_000).map(\.firedAt) == [60_000])

        _ = try state.update(with: [finding("p")], rule: rule, at: 630_000, limit: 0, mayConclude: true)
        #expect(state.alerts.map(\.phase) == [
            .resolved(firedAt: 60_000, at: 630_000), .firing(since: 630_000, keptSince: nil),
        ])
    }

    @Test func alertsAreHandedOnAgainOnlyAfterMoreThanTheDelay() throws {
        var state = AlertingRuleState()
        _ = try state.update(with: [finding()], rule: try rule(), at: 0, limit: 0)
        state.noteSent([finding().labels], at: 0)
        #expect(state.due(at: 10_000, resendDelay: 10_000).isEmpty)
        #expect(state.due(at: 10_001, resendDelay: 10_000).count == 1)
    }
}
