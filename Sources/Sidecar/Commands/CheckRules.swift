import Alerting
import Runtime

extension Command {
    static let checkRules = Command(
        name: "check-rules", usage: "check-rules [--lint-fatal] FILE…",
        summary: "Check rule files as promtool check rules does. Exit status 1 if one is refused."
    ) { invocation in
        let paths = invocation.words.dropFirst()
        guard !paths.isEmpty else { throw UsageError(description: "check-rules: name at least one rule file") }
        var isRefused = false
        var hasDuplicates = false
        for path in paths {
            writeOutput("Checking \(path)\n")
            do throws(RuleFileError) {
                let file = try RuleFile.load(path)
                for warning in file.warnings { writeError("  WARNING: \(warning)\n") }
                let duplicates = file.duplicates
                if duplicates.isEmpty {
                    writeOutput("  SUCCESS: \(file.groups.map(\.rules.count).reduce(0, +)) rules found\n")
                } else {
                    hasDuplicates = true
                    writeError("  FAILED:\n" + complaint(about: duplicates))
                }
            } catch {
                isRefused = true
                writeError("  FAILED:\n\(error)\n")
            }
            writeOutput("\n")
        }
        if isRefused { return 1 }
        // A duplicate is odd, but Prometheus loads the file; promtool's exit statuses say so.
        return hasDuplicates && invocation.has("lint_fatal") ? 3 : 0
    }

    private static func complaint(about duplicates: [DuplicateRule]) -> String {
        var text = "lint error \(duplicates.count) duplicate rule(s) found.\n"
        for duplicate in duplicates {
            text += "Metric: \(duplicate.name)\nLabel(s):\n"
            for label in duplicate.labels { text += "\t\(label)\n" }
        }
        return text + "Might cause inconsistency while recording expressions\n"
    }
}
