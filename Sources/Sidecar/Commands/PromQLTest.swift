import PromQL
import Runtime

extension Command {
    static let promqlTest = Command(
        name: "promqltest", usage: "promqltest [--delayed-name-removal] FILE…",
        summary: "Run scripts in Prometheus' promqltest language. Exit status 1 if a case fails."
    ) { invocation in
        let paths = invocation.words.dropFirst()
        guard !paths.isEmpty else { throw UsageError(description: "promqltest: name at least one script") }
        let runner = PromQLTest(delaysNameRemoval: invocation.has("delayed_name_removal"))
        var total = Tally()
        for path in paths {
            let cases = try runner.run(try Files.readText(path))
            var tally = Tally()
            for one in cases {
                tally.note(one.outcome)
                guard case .failed(let reason) = one.outcome else { continue }
                writeError("\(path):\(one.line): \(one.expression): \(reason)\n")
            }
            writeOutput("\(path): \(tally)\n")
            total.add(tally)
        }
        writeOutput("\(total)\n")
        for (reason, count) in total.skipped.sorted(by: { $0.key < $1.key }) {
            writeOutput("  \(count) skipped: \(reason)\n")
        }
        return total.failed == 0 ? 0 : 1
    }
}

private struct Tally: CustomStringConvertible {
    var passed = 0
    var failed = 0
    /// How many for each reason.
    var skipped: [String: Int] = [:]

    mutating func note(_ outcome: PromQLTest.Case.Outcome) {
        switch outcome {
        case .passed: passed += 1
        case .failed: failed += 1
        case .skipped(let reason): skipped[reason, default: 0] += 1
        }
    }

    mutating func add(_ other: Tally) {
        passed += other.passed
        failed += other.failed
        skipped.merge(other.skipped, uniquingKeysWith: +)
    }

    var description: String { "\(passed) passed, \(failed) failed, \(skipped.values.reduce(0, +)) skipped" }
}
