import Alerting

extension Command {
    static let testRules = Command(
        name: "test-rules", usage: "test-rules FILE…",
        summary: "Run unit tests of rules, written as for promtool test rules. Exit status 1 if one fails."
    ) { invocation in
        let paths = invocation.words.dropFirst()
        guard !paths.isEmpty else { throw UsageError(description: "test-rules: name at least one test file") }
        var hasFailed = false
        for path in paths {
            writeOutput("Unit Testing:  \(path)\n")
            let report = RuleUnitTests.run(file: path)
            for warning in report.warnings { writeOutput("  WARNING: \(warning)\n") }
            if report.failures.isEmpty {
                writeOutput("  SUCCESS\n")
            } else {
                hasFailed = true
                writeError("  FAILED:\n")
                for failure in report.failures { writeError("\(failure)\n\n") }
            }
            writeOutput("\n")
        }
        return hasFailed ? 1 : 0
    }
}
