import Metrics
import PromQL
import TestTools
import Testing

/// Queries that mean harm, or that somebody generated: each ends in an error, and soon.
@Suite struct LimitsTests {
    private static let source = memory(series: 1000)

    private static func memory(series: Int) -> MemorySource {
        MemorySource(
            (0..<series).map { index in
                MemorySource.MemorySeries(
                    labels: Labels(["__name__": "m", "i": "\(index)"]),
                    points: ContiguousArray((0..<100).map { Point(time: Int64($0) * 15_000, value: Double($0)) }))
            })
    }

    /// By number, because a test that names its argument would print all of it.
    private static let hugeTexts = [
        String(repeating: "(", count: 50_000), String(repeating: "-", count: 50_000) + "x",
        String(repeating: "abs(", count: 20_000), String(repeating: "x[5m:1m]", count: 600) + "x",
        "x" + String(repeating: "+x", count: 40_000), String(repeating: "x^", count: 40_000) + "x",
        String(repeating: "sum(", count: 1000) + "x" + String(repeating: ")", count: 1000),
        "x{a=~\"" + String(repeating: "(a{1000})", count: 100) + "\"}", String(repeating: "x", count: 200_000),
    ]

    @Test(arguments: hugeTexts.indices)
    func hugeTextsAreRefused(number: Int) {
        let text = Self.hugeTexts[number]
        let started = computedByThisThread
        #expect(throws: PromQLError.self) { try Query(text) }
        #expect(computedByThisThread - started < .seconds(5))
    }

    @Test func theDeepestQueryThatIsReadIsEvaluated() throws {
        let depth = 40
        let text = String(repeating: "abs(-(", count: depth / 2) + "m" + String(repeating: "))", count: depth / 2)
        let source = Self.memory(series: 20)
        let answer = try Engine().instant(try Query(text), at: 600_000, source: source)
        guard case .vector(let samples) = answer.value else { return }
        #expect(samples.count == 20)
        let chain = "m" + String(repeating: " + m", count: 250)
        _ = try Engine().instant(try Query(chain), at: 600_000, source: source)
    }

    @Test(arguments: [
        "sum_over_time(m[1y:1ms])", "max_over_time(sum_over_time(m[1d:1s])[1d:1s])",
        "sum_over_time(vector(1)[200y:1ms])", "count_over_time((m + on(i) m)[30d:100ms])",
    ])
    func endlessSubqueriesHitALimit(text: String) throws {
        var engine = Engine()
        engine.sampleLimit = 50_000
        let query = try Query(text)
        #expect(throws: PromQLError.tooManySamples(limit: 50_000)) {
            try engine.instant(query, at: 600_000, source: Self.memory(series: 3))
        }
        engine.sampleLimit = .max
        engine.timeout = .milliseconds(50)
        let started = computedByThisThread
        #expect(throws: PromQLError.timedOut(limit: .milliseconds(50))) {
            try engine.instant(query, at: 600_000, source: Self.source)
        }
        #expect(computedByThisThread - started < .seconds(2))
    }

    @Test func crossJoinsAreNoJoins() throws {
        let engine = Engine()
        for text in ["m * on() m", "m * on() group_left m", "m * ignoring(i) group_right m"] {
            let query = try Query(text)
            #expect(throws: PromQLError.self) { try engine.instant(query, at: 600_000, source: Self.source) }
        }
    }

    @Test func aRangeOfTooManyStepsHitsTheLimit() throws {
        var engine = Engine()
        engine.sampleLimit = 100_000
        for text in ["m", "vector(1)", "1"] {
            let query = try Query(text)
            #expect(throws: PromQLError.tooManySamples(limit: 100_000)) {
                try engine.range(query, from: 0, to: 1 << 40, step: 1, source: Self.source)
            }
        }
    }

    @Test func labelsDoNotGrowWithoutEnd() throws {
        let call = "label_replace("
        let text =
            String(repeating: call, count: 40) + "m"
            + String(repeating: ", \"i\", \"$1$1\", \"i\", \"(.*)\")", count: 40)
        let query = try Query(text)
        let error = #expect(throws: PromQLError.self) {
            try Engine().instant(query, at: 600_000, source: Self.memory(series: 3))
        }
        #expect(error == .evaluation("label \"i\" would be longer than 65536 bytes"))
    }

    @Test func slowExpressionsEndWithTheQuerysTime() throws {
        let long = String(repeating: "a", count: 500)
        let source = MemorySource(
            (0..<2000).map { index in
                MemorySource.MemorySeries(
                    labels: Labels(["__name__": "m", "i": "\(long)\(index)"]), points: [Point(time: 0, value: 1)])
            })
        var engine = Engine()
        engine.timeout = .milliseconds(50)
        for text in [
            "m{i=~\"(a?){300}(a?){300}b\"}", "label_replace(m, \"x\", \"y\", \"i\", \"(a?){300}(a?){300}b\")",
        ] {
            let query = try Query(text)
            let started = computedByThisThread
            #expect(throws: PromQLError.timedOut(limit: .milliseconds(50))) {
                try engine.instant(query, at: 0, source: source)
            }
            #expect(computedByThisThread - started < .seconds(30))
        }
    }

    @Test func manyRegularExpressionsAreRefused() {
        let matchers = Array(repeating: "a=~\"(b|c){9}d\"", count: 5000).joined(separator: ",")
        #expect(throws: PromQLError.self) { try Query("x{\(matchers)}") }
    }
}
