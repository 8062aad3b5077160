import Metrics
import PromQL
import Runtime

/// `rules` and `alerts`, and the evaluations of each rule.
extension PrometheusAPI {
    func rules(_ question: Question) throws(QueryRefusal) -> APIAnswer {
        let filter = try RuleFilter(question.parameters)
        let (groups, nextToken) = try filter.page(rules().groups)
        return try APIAnswer { writer in
            writer.object { writer in
                writer.key("groups")
                writer.array { writer in
                    for (group, rules) in groups { write(group, rules, filter, to: &writer) }
                }
                if let nextToken { writer.member("groupNextToken", nextToken) }
            }
        }
    }

    func alerts() throws(QueryRefusal) -> APIAnswer {
        let groups = rules().groups
        return try APIAnswer { writer in
            writer.object { writer in
                writer.key("alerts")
                writer.array { writer in
                    for rule in groups.flatMap(\.rules) { write(rule.alerts, to: &writer) }
                }
            }
        }
    }

    private func write(
        _ group: RulesSnapshot.Group, _ rules: [RulesSnapshot.Rule], _ filter: RuleFilter, to writer: inout JSONWriter
    ) {
        writer.object { writer in
            writer.member("name", group.definition.name)
            writer.member("file", group.file)
            writer.key("rules")
            writer.array { writer in
                for rule in rules {
                    switch rule.rule {
                    case .alerting(let definition): write(rule, definition, filter, to: &writer)
                    case .recording(let definition): write(rule, definition, to: &writer)
                    }
                }
            }
            writer.key("interval")
            writer.number(Double(group.interval) / 1000)
            writer.key("limit")
            writer.integer(group.definition.limit)
            writer.key("evaluationTime")
            writer.number(group.lastDuration)
            writer.member("lastEvaluation", timeText(group.lastStart))
        }
    }

    private func write(
        _ rule: RulesSnapshot.Rule, _ definition: AlertingRule, _ filter: RuleFilter, to writer: inout JSONWriter
    ) {
        writer.object { writer in
            let isNew = rule.evaluations.isEmpty
            writer.member("state", isNew && rule.alerts.isEmpty ? "unknown" : rule.state.rawValue)
            writer.member("name", definition.name)
            writer.member("query", definition.query.expression.description)
            writer.key("duration")
            writer.number(Double(definition.holdDuration) / 1000)
            writer.key("keepFiringFor")
            writer.number(Double(definition.keepFiringFor) / 1000)
            writer.member("labels", definition.labels.map { Label($0.name, $0.template.text) })
            writer.member("annotations", definition.annotations.map { Label($0.name, $0.template.text) })
            writer.key("alerts")
            writer.array { writer in if !filter.excludesAlerts { write(rule.alerts, to: &writer) } }
            writeHealth(rule, to: &writer)
            writer.member("type", "alerting")
        }
    }

    private func write(_ rule: RulesSnapshot.Rule, _ definition: RecordingRule, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("name", definition.name)
            writer.member("query", definition.query.expression.description)
            if !definition.labels.isEmpty { writer.member("labels", definition.labels) }
            writeHealth(rule, to: &writer)
            writer.member("type", "recording")
        }
    }

    private func writeHealth(_ rule: RulesSnapshot.Rule, to writer: inout JSONWriter) {
        writer.member("health", rule.evaluations.isEmpty ? "unknown" : rule.lastError == nil ? "ok" : "err")
        if let error = rule.lastError { writer.member("lastError", error) }
        writer.key("evaluationTime")
        writer.number(rule.evaluations.last?.duration ?? 0)
        writer.member("lastEvaluation", timeText(rule.evaluations.last?.startedAt))
    }

    /// Resolved alerts are not listed.
    private func write(_ alerts: [ActiveAlert], to writer: inout JSONWriter) {
        for alert in alerts where alert.state != .inactive {
            writer.object { writer in
                writer.key("labels")
                writer.labels(alert.labels)
                writer.member("annotations", alert.annotations)
                writer.member("state", alert.state.rawValue)
                writer.member("activeAt", timeText(alert.activeAt))
                if let keptSince = alert.keptSince { writer.member("keepFiringSince", timeText(keptSince)) }
                writer.member("value", GoFormat.text(alert.value, .scientific))
            }
        }
    }

    private func timeText(_ milliseconds: Int64?) -> String {
        milliseconds.map { Moment(milliseconds: $0).description } ?? Moment.unsetText
    }

    // MARK: Evaluations

    /// For each rule its last evaluations, the newest first, and what keeps it from working: Outrigger's own page.
    func evaluations() throws(QueryRefusal) -> APIAnswer {
        let groups = rules().groups
        return try APIAnswer { writer in
            writer.array { writer in
                for group in groups {
                    for rule in group.rules {
                        writer.object { writer in
                            writer.member("file", group.file)
                            writer.member("group", group.definition.name)
                            writer.member("name", rule.rule.name)
                            writer.member("query", rule.rule.query.expression.description)
                            writer.key("missedEvaluations")
                            writer.integer(group.missed)
                            writer.key("insufficientHistory")
                            writer.bool(rule.lacksHistory)
                            writer.key("matchesNoSeries")
                            writer.array { writer in
                                for selector in rule.evaluations.last?.emptySelectors ?? [] { writer.string(selector) }
                            }
                            writer.key("evaluations")
                            writer.array { writer in
                                for one in rule.evaluations.reversed() { write(one, to: &writer) }
                            }
                        }
                    }
                }
            }
        }
    }

    private func write(_ record: EvaluationRecord, to writer: inout JSONWriter) {
        writer.object { writer in
            writer.member("time", timeText(record.time))
            writer.key("durationSeconds")
            writer.number(record.duration)
            writer.key("samples")
            writer.integer(record.samples)
            if let value = record.value { writer.member("value", sampleText(value)) }
            if let error = record.error { writer.member("error", error) }
            writer.key("matchesNoSeries")
            writer.array { writer in for selector in record.emptySelectors { writer.string(selector) } }
            writer.key("stateChanges")
            writer.integer(record.transitionCount)
            writer.key("changes")
            writer.array { writer in
                for change in record.transitions {
                    writer.object { writer in
                        writer.key("labels")
                        writer.labels(change.labels)
                        writer.member("from", change.from.rawValue)
                        writer.member("to", change.to.rawValue)
                    }
                }
            }
        }
    }
}
