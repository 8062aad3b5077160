import Metrics
import PromQL
import Runtime

/// A rule of a running group with everything it remembers from one evaluation to the next.
struct RunningRule {
    let rule: Rule
    private(set) var alerts = AlertingRuleState()

    /// The newest last.
    private(set) var evaluations: [EvaluationRecord] = []
    private(set) var lastError: RuleFailure?

    /// The series that the last successful evaluation wrote, and that end when the next does not.
    private(set) var series: Set<Labels> = []

    /// Whether the query looks further back than the store reaches.
    private(set) var lacksHistory = false

    /// Evaluations since the program or the rule began.
    private(set) var evaluationCount = 0
    private var firstEvaluation: Int64?
    private let reads: [SeriesRead]
    private let prepared: Result<PreparedQuery, PromQLError>

    /// A restored alert waits for its sample no longer than this.
    private static let patience: Int64 = 3_600_000

    init(_ rule: Rule, engine: Engine) {
        self.rule = rule
        reads = rule.query.expression.reads
        do throws(PromQLError) {
            prepared = .success(try PreparedQuery(rule.query, engine: engine))
        } catch {
            prepared = .failure(error)
        }
    }

    /// Goes on where another run of the program, or the rule before a reload, left off.
    mutating func restore(_ saved: SavedAlerts.Rule) {
        alerts.restore(saved.alerts, endedBefore: saved.endedBefore)
    }

    mutating func takeOver(_ other: RunningRule) {
        alerts = other.alerts
        evaluations = other.evaluations
        lastError = other.lastError
        series = other.series
        evaluationCount = other.evaluationCount
        firstEvaluation = other.firstEvaluation
    }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) {
        alerts.move(by: step)
        firstEvaluation = firstEvaluation.map { $0 + step }
    }

    mutating func noteSent(_ labels: [Labels], at time: Int64) { alerts.noteSent(labels, at: time) }

    /// Evaluates the rule at `time` and returns what is to be written.
    mutating func evaluate(at time: Int64, _ context: EvaluationContext) -> [RuleSample] {
        let startedAt = context.now()
        let start = context.stopwatch()
        let queryTime = time - context.queryOffset
        evaluationCount += 1
        firstEvaluation = firstEvaluation ?? time
        lacksHistory = reads.contains { queryTime - $0.reach < context.store.keptSince && $0.window != nil }

        var found: [PromQL.Sample] = []
        var transitions: [AlertTransition] = []
        var written: [RuleSample] = []
        do throws(RuleFailure) {
            found = try query(at: queryTime, context.store)
            switch rule {
            case .recording(let rule): written = try rule.record(found, at: queryTime, limit: context.limit)
            case .alerting(let rule):
                let findings = rule.findings(found, context, at: time)
                transitions = try alerts.update(
                    with: findings, rule: rule, at: time, limit: context.limit,
                    mayConclude: mayConclude(at: time, context.settings))
                written = alerts.samples(of: rule, at: queryTime)
            }
            lastError = nil
            written += endedSeries(without: written, at: queryTime)
        } catch {
            lastError = error
        }
        let record = EvaluationRecord(
            time: time, startedAt: startedAt, duration: context.stopwatch() - start, samples: found.count,
            value: found.first?.value, transitions: Array(transitions.prefix(EvaluationRecord.transitionLimit)),
            transitionCount: transitions.count, error: lastError?.description,
            emptySelectors: emptySelectors(at: queryTime, context))
        if evaluations.count >= max(1, context.settings.evaluationsKept) { evaluations.removeFirst() }
        evaluations.append(record)
        return written
    }

    private func query(at time: Int64, _ store: any SeriesStore) throws(RuleFailure) -> [PromQL.Sample] {
        let answer: Answer
        do throws(PromQLError) {
            answer = try prepared.get().instant(at: time, source: store)
        } catch {
            throw .query(error)
        }
        return try answer.ruleSamples()
    }

    /// Whether a sample that is missing is known to be gone. After a start little has been collected yet, so two
    /// evaluations, the settling time and the longest window of the query are waited for.
    private func mayConclude(at time: Int64, _ settings: RulerSettings) -> Bool {
        guard evaluationCount > 2, let firstEvaluation else { return false }
        guard !reads.isEmpty else { return true }
        let longest = reads.map(\.reach).max() ?? 0
        return time - firstEvaluation >= min(max(longest, settings.settlingTime), RunningRule.patience)
    }

    /// Marks for the series that the evaluation before wrote and this one did not.
    private mutating func endedSeries(without samples: [RuleSample], at time: Int64) -> [RuleSample] {
        let present = Set(samples.map(\.labels))
        defer { series = present }
        return series.subtracting(present).map { RuleSample(labels: $0, time: time, value: StaleNaN.value) }
    }

    private func emptySelectors(at time: Int64, _ context: EvaluationContext) -> [String] {
        var empty: [String] = []
        for read in reads where !read.isPinned {
            let after = time - read.reach - Int64(context.engine.lookback.milliseconds)
            let selection = Selection(matchers: read.matchers, after: after, through: time)
            let hasSamples = context.store.select(selection).contains { $0.newest(after: after, through: time) != nil }
            if !hasSamples, !empty.contains(read.text) { empty.append(read.text) }
        }
        return empty
    }
}

extension SeriesRead {
    /// The selector as it is written, without range and offset.
    fileprivate var text: String {
        let shown = matchers.filter { $0.name != "__name__" || $0.operation != .equal }.map(\.description)
        guard !shown.isEmpty || metricName == nil else { return metricName ?? "" }
        return "\(metricName ?? ""){\(shown.joined(separator: ","))}"
    }
}

extension RecordingRule {
    /// The query's samples under the rule's name and labels.
    fileprivate func record(_ found: [PromQL.Sample], at time: Int64, limit: Int) throws(RuleFailure) -> [RuleSample] {
        var seen: Set<Labels> = []
        var samples: [RuleSample] = []
        samples.reserveCapacity(found.count)
        for sample in found {
            // An empty value takes a label away.
            let named = sample.labels.adding([Label("__name__", name)] + labels)
            guard seen.insert(named).inserted else { throw .sameLabelset(.series) }
            samples.append(RuleSample(labels: named, time: time, value: sample.value))
        }
        guard limit == 0 || found.count <= limit else {
            throw .overLimit(limit: limit, count: found.count, what: .series)
        }
        return samples
    }
}

extension AlertingRule {
    /// The query's samples with the alerts' labels and annotations, templates expanded.
    fileprivate func findings(_ found: [PromQL.Sample], _ context: EvaluationContext, at time: Int64)
        -> [AlertingRuleState.Finding]
    {
        let environment = context.templates(at: time)
        let templateName = "__alert_" + name
        let settings = context.settings
        return found.map { sample in
            let data = TemplateData(
                labels: sample.labels, externalLabels: settings.externalLabels,
                externalURL: settings.externalURL.isEmpty ? nil : settings.externalURL, value: sample.value)
            func expand(_ text: TemplatedText) -> Label {
                Label(text.name, text.template.expandText(name: templateName, data, in: environment))
            }
            let alertLabels = sample.labels.removing("__name__")
                .adding(labels.map(expand) + [Label("alertname", name)])
            return AlertingRuleState.Finding(
                labels: alertLabels, annotations: annotations.map(expand), value: sample.value)
        }
    }
}
