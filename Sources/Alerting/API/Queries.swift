import Metrics
import PromQL
import Runtime

/// `query`, `query_range` and `format_query`.
extension PrometheusAPI {
    /// Points a series of a range query may have, as Prometheus has it: enough for a screen.
    private static let pointLimit: Int64 = 11_000

    func query(_ question: Question) throws(QueryRefusal) -> APIAnswer {
        let parameters = question.parameters
        let limit = try parameters.limit()
        let time = try parameters.time("time", default: question.now)
        let engine = try engine(question)
        let query = try parsed(parameters)
        let answer = try ask { () throws(PromQLError) in try engine.instant(query, at: time, source: source) }
        return try write(answer, limit: limit, time: time)
    }

    func queryRange(_ question: Question) throws(QueryRefusal) -> APIAnswer {
        let parameters = question.parameters
        let limit = try parameters.limit()
        let start = try parameters.time("start")
        let end = try parameters.time("end")
        guard end >= start else { throw .invalid("end", "end timestamp must not be before start time") }
        let step = try parameters.duration("step")
        guard step > 0 else {
            throw .invalid(
                "step", "zero or negative query resolution step widths are not accepted. Try a positive integer")
        }
        guard (end - start) / step <= PrometheusAPI.pointLimit else {
            throw .badData(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
            )
        }
        let engine = try engine(question)
        let query = try parsed(parameters)
        guard query.expression.type == .scalar || query.expression.type == .vector else {
            let type = query.expression.type == .matrix ? "range vector" : "string"
            throw .invalid(
                "query", "invalid expression type \"\(type)\" for range query, must be Scalar or instant Vector")
        }
        let answer = try ask { () throws(PromQLError) in
            try engine.range(query, from: start, to: end, step: step, source: source)
        }
        return try write(answer, limit: limit, time: end)
    }

    func formatQuery(_ question: Question) throws(QueryRefusal) -> APIAnswer {
        let query = try parsed(question.parameters)
        return try APIAnswer { writer in writer.string(query.expression.description) }
    }

    private func parsed(_ parameters: FormParameters) throws(QueryRefusal) -> Query {
        do {
            return try Query(parameters["query"])
        } catch {
            throw .invalid("query", "\(error)")
        }
    }

    /// The engine with what the client may set: a shorter time-out and another lookback.
    private func engine(_ question: Question) throws(QueryRefusal) -> Engine {
        let (parameters, waiter) = (question.parameters, question.waiter)
        var engine = engine
        engine.isAbandoned = { waiter.hasGone }
        if !parameters["timeout"].isEmpty {
            engine.timeout = min(engine.timeout, .milliseconds(try parameters.duration("timeout")))
        }
        if !parameters["lookback_delta"].isEmpty {
            let lookback = try parameters.duration("lookback_delta")
            guard lookback > 0 else { throw .badData("error parsing lookback delta duration: must be positive") }
            engine.lookback = .milliseconds(lookback)
        }
        return engine
    }

    private func ask(_ body: () throws(PromQLError) -> Answer) throws(QueryRefusal) -> Answer {
        do {
            return try body()
        } catch {
            throw QueryRefusal(error)
        }
    }

    private func write(_ answer: Answer, limit: Int, time: Int64) throws(QueryRefusal) -> APIAnswer {
        var isCut = false
        func shown<Item>(_ items: [Item]) -> ArraySlice<Item> {
            guard limit > 0, items.count > limit else { return items[...] }
            isCut = true
            return items.prefix(limit)
        }
        var result = try APIAnswer { writer in
            writer.object { writer in
                writer.member("resultType", answer.value.resultType)
                writer.key("result")
                switch answer.value {
                case .scalar(let value): writer.lonePoint(time, GoFormat.text(value, .fixed))
                case .string(let text): writer.lonePoint(time, text)
                case .vector(let samples):
                    writer.array { writer in
                        for sample in shown(samples) {
                            writer.object { writer in
                                writer.key("metric")
                                writer.labels(sample.labels)
                                writer.key("value")
                                writer.point(time, sample.value)
                            }
                        }
                    }
                case .matrix(let series):
                    writer.array { writer in
                        for one in shown(series) {
                            writer.object { writer in
                                writer.key("metric")
                                writer.labels(one.labels)
                                writer.key("values")
                                writer.array { writer in
                                    for point in one.points { writer.point(point.time, point.value) }
                                }
                            }
                        }
                    }
                }
            }
        }
        result.warnings = answer.warnings + (isCut ? ["results truncated due to limit"] : [])
        result.remarks = answer.remarks
        return result
    }
}

extension Value {
    fileprivate var resultType: String {
        switch self {
        case .scalar: "scalar"
        case .string: "string"
        case .vector: "vector"
        case .matrix: "matrix"
        }
    }
}
