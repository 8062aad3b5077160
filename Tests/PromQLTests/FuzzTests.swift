import Foundation
import Metrics
import PromQL
import TestTools
import Testing

@Suite struct FuzzTests {
    private static let pieces = [
        "up", "x_total", "{", "}", "[", "]", "(", ")", "5m", "1", "0.5", "-", "+", "*", "/", "%", "^", "==", "!=", ">",
        "<=", "and", "or", "unless", "bool", "on", "ignoring", "group_left", "by", "without", "sum", "topk", "rate",
        "abs", "offset", "@", "start()", ":", ",", "=", "=~", "!~", "\"a\"", "'b'", "`c`", "\"(\"", "é", "#", "\n",
        "Inf", "NaN", "0x1f", "1e400", "9999999999y", "\\", "\"\\xff\"", "__name__", "quantile", "histogram_quantile",
        "label_replace", "atan2", "</", "~",
    ]

    private static let source = MemorySource(
        ["up", "x_total"].flatMap { name in
            (0..<3).map { index in
                MemorySource.MemorySeries(
                    labels: Labels(["__name__": name, "i": "\(index)"]),
                    points: ContiguousArray((0..<20).map { Point(time: Int64($0) * 15_000, value: Double($0 * index)) })
                )
            }
        })

    /// `TEST_FUZZ` sets how many.
    private static let rounds = Seeded.rounds(default: 4000)

    @Test func randomTextsAreReadOrRefusedWithAPlaceInThem() {
        var random = Seeded(fuzzing: 3)
        for _ in 0..<Self.rounds {
            let text = (0..<Int.random(in: 1...14, using: &random)).map { _ in
                Self.pieces.randomElement(using: &random)!
            }.joined(separator: Bool.random(using: &random) ? " " : "")
            do {
                let query = try Query(text)
                check(query)
            } catch {
                guard case .syntax(let problem) = error else {
                    Issue.record("\(text): \(error)")
                    continue
                }
                #expect(problem.range.upperBound <= text.utf8.count, "\(text): \(error)")
                #expect(problem.line >= 1 && problem.column >= 1)
            }
        }
    }

    /// Expressions that are right by construction: they print, read back the same, and evaluate to something.
    @Test func randomExpressionsReadBackAndEvaluate() throws {
        var random = Seeded(fuzzing: 11)
        for _ in 0..<Self.rounds / 4 {
            let text = vector(depth: 4, &random)
            check(try Query(text))
        }
    }

    private func check(_ query: Query) {
        let printed = query.expression.description
        do {
            let again = try Query(printed).expression.description
            // Prometheus too prints an infinity with a sign that, before a power, reads back as an operator.
            if !printed.contains("+Inf") { #expect(again == printed, "\(query.text)") }
            var engine = Engine()
            engine.sampleLimit = 20_000
            _ = try engine.instant(query, at: 200_000, source: Self.source)
        } catch PromQLError.syntax(let problem) {
            Issue.record("\(query.text) printed as \(printed): \(problem.message)")
        } catch {
            // What the data does not allow.
        }
    }

    private func vector(depth: Int, _ random: inout Seeded) -> String {
        guard depth > 0 else { return ["up", "x_total{i=\"1\"}", "{i!=\"9\",i!=\"\"}"].randomElement(using: &random)! }
        let inner = vector(depth: depth - 1, &random)
        let other = vector(depth: depth - 2, &random)
        switch Int.random(in: 0..<13, using: &random) {
        case 0: return "-\(inner)"
        case 1: return "(\(inner))"
        case 2: return "sum by (i) (\(inner))"
        case 3: return "topk without (i) (2, \(inner))"
        case 4: return "rate((\(inner))[2m:15s] offset 10s)"
        case 5: return "max_over_time(x_total[1m] @ 150)"
        case 6: return "(\(inner)) * on (i) group_left () (\(other))"
        case 7: return "(\(inner)) > bool 3"
        case 8: return "(\(inner)) unless ignoring (z) (\(other))"
        case 9: return "clamp(\(inner), scalar(\(other)), 1e3)"
        case 10: return "label_replace(\(inner), \"z\", \"$1\", \"i\", \"(.)\")"
        case 11: return "quantile(0.5, \(inner)) or \(other)"
        default: return "2 ^ (\(inner))"
        }
    }
}
