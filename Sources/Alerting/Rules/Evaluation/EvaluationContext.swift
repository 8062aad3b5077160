import Metrics
import PromQL
import Runtime

/// What a group's evaluation works with.
struct EvaluationContext {
    let store: any SeriesStore
    let engine: Engine
    let settings: RulerSettings

    /// Milliseconds since the epoch by the clock; only told to people.
    let now: @Sendable () -> Int64

    /// Seconds from any start on, to measure with.
    let stopwatch: @Sendable () -> Double

    /// Limit and offset of the group.
    var limit = 0
    var queryOffset: Int64 = 0

    func templates(at time: Int64) -> TemplateEnvironment {
        let (engine, store) = (engine, store)
        return TemplateEnvironment(now: Double(time) / 1000) { text throws(TemplateFailure) in
            let samples: [PromQL.Sample]
            do {
                let answer = try engine.instant(try Query(text), at: time, source: store)
                samples = try answer.ruleSamples()
            } catch {
                throw TemplateFailure("\(error)")
            }
            return samples.map { TemplateSample(labels: $0.labels, value: $0.value) }
        }
    }
}

extension Answer {
    /// The answer as rules take it: a vector, or a number as a sample without labels.
    func ruleSamples() throws(RuleFailure) -> [PromQL.Sample] {
        switch value {
        case .vector(let samples): samples
        case .scalar(let number): [PromQL.Sample(labels: .none, value: number)]
        case .matrix, .string: throw .notAVector
        }
    }
}
