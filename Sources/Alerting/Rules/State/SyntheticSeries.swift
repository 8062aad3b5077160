import Metrics
import PromQL

/// The series that tell of a rule's alerts: `ALERTS` and `ALERTS_FOR_STATE`.
extension AlertingRuleState {
    /// For each pending or firing alert one sample of both.
    ///
    /// - Parameter time: of the samples, milliseconds since the epoch.
    func samples(of rule: AlertingRule, at time: Int64) -> [RuleSample] {
        var samples: [RuleSample] = []
        samples.reserveCapacity(alerts.count * 2)
        // The rule's labels come first and unexpanded, so a template that yields nothing stays visible as it is written.
        let ruleLabels = rule.labels.map { Label($0.name, $0.template.text) }
        for alert in alerts where alert.state != .inactive {
            let base = ruleLabels + alert.labels.pairs + [Label("alertname", rule.name)]
            let state = [Label("__name__", "ALERTS"), Label("alertstate", alert.state.rawValue)]
            samples.append(RuleSample(labels: Labels(base + state), time: time, value: 1))
            let since = (Double(alert.activeAt) / 1000).rounded(.down)
            samples.append(
                RuleSample(labels: Labels(base + [Label("__name__", "ALERTS_FOR_STATE")]), time: time, value: since))
        }
        return samples
    }
}
