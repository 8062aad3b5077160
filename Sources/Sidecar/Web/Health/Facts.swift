import Alerting
import Metrics
import PromQL
import Runtime

/// What the pages ask of the history, in PromQL. Nothing here waits for a database, so every page answers at once,
/// whatever hangs.
struct Facts: Sendable {
    let engine: Engine
    let source: HistoryStore

    /// The value of the first sample; nil where there is none, or none that JSON can write.
    func number(_ query: String) -> Double? { samples(query).first?.value }

    func json(_ query: String) -> JSON { number(query).map { .number($0) } ?? .null }

    /// Finite samples at this moment. A question that fails is a mistake in this program and is logged.
    func samples(_ query: String) -> [(labels: Labels, value: Double)] {
        do {
            let prepared = try PreparedQuery(try Query(query), engine: engine)
            let answer = try prepared.instant(at: WallClock.nowMilliseconds, source: source)
            guard case .vector(let samples) = answer.value else { return [] }
            return samples.filter { $0.value.isFinite }.map { ($0.labels, $0.value) }
        } catch {
            Log.error("a page's question failed", ["query": query, "error": "\(error)"])
            return []
        }
    }

    /// Points in the last hour, a minute apart, of the first series.
    func hour(_ query: String) -> [Double] {
        do {
            let now = WallClock.nowMilliseconds
            let prepared = try PreparedQuery(try Query(query), engine: engine)
            let answer = try prepared.range(
                from: now - 3_600_000, to: now, step: 60_000, source: source)
            guard case .matrix(let series) = answer.value else { return [] }
            return series.first?.points.map(\.value).filter(\.isFinite) ?? []
        } catch {
            Log.error("a page's question failed", ["query": query, "error": "\(error)"])
            return []
        }
    }

    /// A table: one object a combination of `labels`, with a column a question.
    func rows(_ labels: [String], _ columns: [(name: String, query: String)], limit: Int = 50) -> JSON {
        var order: [[String]] = []
        var cells: [[String]: [String: Double]] = [:]
        for column in columns {
            for sample in samples(column.query) {
                let key = labels.map { sample.labels[$0] ?? "" }
                if cells[key] == nil { order.append(key) }
                cells[key, default: [:]][column.name] = sample.value
            }
        }
        return .array(
            order.prefix(limit).map { key in
                .object(
                    zip(labels, key).map { JSON.Member($0, .string($1)) }
                        + columns.map { column in
                            JSON.Member(column.name, cells[key]?[column.name].map { .number($0) } ?? .null)
                        })
            })
    }
}

extension JSON {
    static func record(_ members: KeyValuePairs<String, JSON>) -> JSON {
        .object(members.map { Member($0.key, $0.value) })
    }
}
