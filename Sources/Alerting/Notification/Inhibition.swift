import Metrics
import Runtime

/// A rule by which some alerts keep others quiet: a broken database makes a slow service no news.
public struct InhibitRule: Sendable, Equatable {
    /// Alerts that keep others quiet while they fire.
    public var source: [Matcher]
    /// Alerts that are kept quiet.
    public var target: [Matcher]
    /// Labels that must be the same on both; absent and empty are the same.
    public var equal: [String]

    public init(source: [Matcher], target: [Matcher], equal: [String] = []) {
        self.source = source
        self.target = target
        self.equal = equal
    }

    /// An alert that is on both sides is not kept quiet by another that is on both sides, and so never by itself.
    func inhibits(_ target: Alert, by source: Alert) -> Bool {
        guard self.target.matches(target.labels), self.source.matches(source.labels) else { return false }
        for name in equal where !(source.labels[name] ?? "").utf8.elementsEqual((target.labels[name] ?? "").utf8) {
            return false
        }
        return !(self.source.matches(target.labels) && self.target.matches(source.labels))
    }
}

/// The alerts that can keep others quiet at one moment, sought once for all questions.
struct InhibitionSources {
    private let rules: [(rule: InhibitRule, sources: [Alert])]

    init(_ rules: [InhibitRule], among alerts: some Sequence<Alert>, at now: Moment) {
        let firing = rules.isEmpty ? [] : alerts.filter { !$0.isResolved(at: now) }
        self.rules = rules.map { rule in (rule, firing.filter { rule.source.matches($0.labels) }) }
    }

    /// The alerts that keep this one quiet, one for each rule that does.
    func inhibiting(_ alert: Alert) -> [Fingerprint] {
        rules.compactMap { rule, sources in
            sources.first { rule.inhibits(alert, by: $0) }?.fingerprint
        }
    }
}
