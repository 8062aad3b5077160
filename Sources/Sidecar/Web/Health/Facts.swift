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
            let answer = try prepared.instant(at: SteadyTime.shared.now, source: source)
            guard case .vector(let samples) = answer.value else { return [] }
            return samples.filter { $0.value.isFinite }.map { ($0.labels, $0.value) }
        } catch {
            Log.error("a page's question failed", ["query": query, "error": "\(error)"])
            return []
        }
    }

    /// An object with a member for each value of a label.
    func map(_ label: String, _ query: String) -> JSON {
        .object(samples(query).map { JSON.Member($0.labels[label] ?? "", .number($0.value)) })
    }

    /// What there is to draw: the last hour, or as much of it as is known, at least two minutes.
    var shown: Duration {
        .milliseconds(min(max(SteadyTime.shared.now - source.keptSince, 120_000), 3_600_000))
    }

    /// Sixty points of the first series, with the share of the time that had passed: 0 for its beginning, 1 for now.
    func points(_ query: String, over time: Duration) -> [(place: Double, value: Double)] {
        do {
            let now = SteadyTime.shared.now
            let length = Int64(time.milliseconds)
            let start = now - length
            let prepared = try PreparedQuery(try Query(query), engine: engine)
            let answer = try prepared.range(from: start, to: now, step: length / 60, source: source)
            guard case .matrix(let series) = answer.value else { return [] }
            return (series.first?.points ?? []).filter(\.value.isFinite).map {
                (Double($0.time - start) / Double(length), $0.value)
            }
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
