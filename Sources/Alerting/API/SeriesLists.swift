import Metrics
import PromQL
import Runtime

/// `series`, `labels`, `label/…/values` and `metadata`: what there is to ask about.
extension PrometheusAPI {
    func series(_ question: Question) throws(QueryRefusal) -> APIAnswer {
        let parameters = question.parameters
        guard !parameters.all("match[]").isEmpty else { throw .badData("no match[] parameter provided") }
        let limit = try parameters.limit()
        let found = try find(question).sorted { $0.rendered.lexicographicallyPrecedes($1.rendered) }
        return try list(found, limit: limit) { writer, labels in writer.labels(labels) }
    }

    func labelNames(_ question: Question) throws(QueryRefusal) -> APIAnswer {
        let limit = try question.parameters.limit()
        var names: Set<String> = []
        for labels in try find(question) { names.formUnion(labels.pairs.map(\.name)) }
        return try list(sorted(names), limit: limit) { writer, name in writer.string(name) }
    }

    func labelValues(_ question: Question) throws(QueryRefusal) -> APIAnswer {
        guard Metric.isValidLabelName(question.name) else {
            throw .badData("invalid label name: \(GoQuote.quoted(question.name))")
        }
        let limit = try question.parameters.limit()
        var values: Set<String> = []
        for labels in try find(question) {
            if let value = labels[question.name] { values.insert(value) }
        }
        return try list(sorted(values), limit: limit) { writer, value in writer.string(value) }
    }

    func metadata(_ question: Question) async throws(QueryRefusal) -> APIAnswer {
        let parameters = question.parameters
        let limit = parameters["limit"].isEmpty ? -1 : try parameters.limit()
        let wanted = parameters["metric"]
        var known: [String: Metric] = [:]
        for metric in await metadata() where wanted.isEmpty || metric.name == wanted {
            if known[metric.name] == nil { known[metric.name] = metric }
        }
        let shown = known.values.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        return try APIAnswer { writer in
            writer.object { writer in
                for metric in limit >= 0 ? shown.prefix(limit) : shown[...] {
                    writer.key(metric.name)
                    writer.array { writer in
                        writer.object { writer in
                            writer.member("type", metric.kind.metadataType)
                            writer.member("help", metric.help)
                            writer.member("unit", "")
                        }
                    }
                }
            }
        }
    }

    /// Labels of all series that the request's matchers, any of them, select and that have samples in its time.
    private func find(_ question: Question) throws(QueryRefusal) -> Set<Labels> {
        let parameters = question.parameters
        let start = try parameters.time("start", default: .min / 4)
        let end = try parameters.time("end", default: .max / 4)
        guard end >= start else { throw .invalid("end", "end timestamp must not be before start time") }
        var sets = try parameters.all("match[]").map { text throws(QueryRefusal) in try matchers(text) }
        if sets.isEmpty { sets = [[]] }
        var found: Set<Labels> = []
        for matchers in sets {
            let selection = Selection(matchers: matchers, after: start - 1, through: end)
            for series in source.select(selection) {
                guard series.newest(after: start - 1, through: end) != nil else { continue }
                found.insert(series.labels)
            }
        }
        return found
    }

    private func matchers(_ text: String) throws(QueryRefusal) -> [PromQL.Matcher] {
        do throws(PromQLError) {
            let query = try Query(text)
            guard case .vector(let selector) = query.expression, selector.shift.offset == 0,
                selector.shift.anchor == nil
            else {
                throw .evaluation("1:1: parse error: expected a series selector, got \(query.expression)")
            }
            return selector.matchers
        } catch {
            if case .syntax(let problem) = error, problem.message.hasSuffix("at least one non-empty matcher") {
                throw .invalid("match[]", "match[] must contain at least one non-empty matcher")
            }
            throw .invalid("match[]", "\(error)")
        }
    }

    private func sorted(_ texts: Set<String>) -> [String] {
        texts.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    private func list<Item>(_ items: [Item], limit: Int, _ write: (inout JSONWriter, Item) -> Void) throws(QueryRefusal)
        -> APIAnswer
    {
        let shown = limit > 0 ? items.prefix(limit) : items[...]
        var answer = try APIAnswer { writer in
            writer.array { writer in
                for item in shown { write(&writer, item) }
            }
        }
        if shown.count < items.count { answer.warnings = ["results truncated due to limit"] }
        return answer
    }
}

extension Metric.Kind {
    /// As Prometheus names it in metadata.
    fileprivate var metadataType: String {
        switch self {
        case .counter: "counter"
        case .gauge: "gauge"
        case .histogram: "histogram"
        case .summary: "summary"
        case .untyped: "unknown"
        case .stateSet: "stateset"
        case .info: "info"
        }
    }
}
