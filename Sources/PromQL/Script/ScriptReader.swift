import Metrics

/// Reads a test script line by line.
///
/// The language of Prometheus' `promqltest`: `load`, `load_with_nhcb`, `clear` and `eval`, each a block that ends at
/// the first empty line. Lines are trimmed, and a line that begins with `#` counts as empty.
struct ScriptReader {
    enum Command {
        case clear
        case load([ScriptSeries], step: Int64, makesHistograms: Bool)
        case evaluate(ScriptCase)
    }

    private let lines: [String]
    private var next = 0

    init(_ script: String) {
        lines = script.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            let trimmed = line.drop(while: \.isWhitespace)
            let end = trimmed.lastIndex { !$0.isWhitespace }
            guard let end, !trimmed.hasPrefix("#") else { return "" }
            return String(trimmed[...end])
        }
    }

    mutating func command() throws(ScriptProblem) -> Command? {
        while next < lines.count, lines[next].isEmpty { next += 1 }
        guard next < lines.count else { return nil }
        let number = next + 1
        let line = lines[next]
        next += 1
        let words = line.split(whereSeparator: \.isWhitespace)
        switch words[0].lowercased() {
        case "clear": return .clear
        case "load", "load_with_nhcb":
            guard words.count == 2, let step = ScriptReader.duration(words[1]), step > 0 else {
                throw ScriptProblem(line: number, message: "load needs a step")
            }
            var series: [ScriptSeries] = []
            while let (line, number) = blockLine() { series.append(try ScriptSeries(line, at: number)) }
            return .load(series, step: step, makesHistograms: words[0] != "load")
        case let word where word.hasPrefix("eval"):
            return .evaluate(try evaluation(line, words, at: number))
        default: throw ScriptProblem(line: number, message: "unknown command \(words[0])")
        }
    }

    private mutating func blockLine() -> (String, Int)? {
        guard next < lines.count, !lines[next].isEmpty else { return nil }
        next += 1
        return (lines[next - 1], next)
    }

    // MARK: eval

    private mutating func evaluation(_ line: String, _ words: [Substring], at number: Int) throws(ScriptProblem)
        -> ScriptCase
    {
        var test = try head(line, words, at: number)
        switch words[0] {
        case "eval": break
        case "eval_fail": test.failure = .any
        case "eval_warn": test.warnings = [.any]
        case "eval_info": test.remarks = [.any]
        case "eval_ordered": test.isOrdered = true
        default: throw ScriptProblem(line: number, message: "unknown command \(words[0])")
        }
        var series: [ScriptSeries] = []
        while let (line, number) = blockLine() {
            if line.hasPrefix("expected_fail_message ") {
                test.failure = try ScriptExpectation("msg:" + line.dropFirst(22), at: number)
            } else if line.hasPrefix("expected_fail_regexp ") {
                test.failure = try ScriptExpectation("regex:" + line.dropFirst(21), at: number)
            } else if line.hasPrefix("expect ") || line.hasPrefix("expect\t") {
                try expectation(line.dropFirst(7), &test, at: number)
            } else if let value = ScriptReader.scalar(line) {
                test.result = .scalar(value)
            } else {
                series.append(try ScriptSeries(line, at: number))
                test.result = .series(series)
            }
        }
        return test
    }

    private func head(_ line: String, _ words: [Substring], at number: Int) throws(ScriptProblem) -> ScriptCase {
        func rest(from index: Int) -> String { String(line[words[index].startIndex...]) }
        if words.count > 4, words[1] == "instant", words[2] == "at", let time = ScriptReader.duration(words[3]) {
            return ScriptCase(line: number, times: .instant(time), expression: rest(from: 4))
        }
        if words.count > 8, words[1] == "range", words[2] == "from", words[4] == "to", words[6] == "step",
            let from = ScriptReader.duration(words[3]), let to = ScriptReader.duration(words[5]),
            let step = ScriptReader.duration(words[7])
        {
            return ScriptCase(
                line: number, times: .range(from: from, to: to, step: step), expression: rest(from: 8))
        }
        throw ScriptProblem(line: number, message: "neither eval instant nor eval range: \(line)")
    }

    private func expectation(_ text: Substring, _ test: inout ScriptCase, at line: Int) throws(ScriptProblem) {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard let kind = words.first else { throw ScriptProblem(line: line, message: "expect needs a word") }
        let rest = text[kind.endIndex...]
        switch kind {
        case "ordered": test.isOrdered = true
        case "fail": test.failure = try ScriptExpectation(rest, at: line)
        case "warn": test.warnings.append(try ScriptExpectation(rest, at: line))
        case "info": test.remarks.append(try ScriptExpectation(rest, at: line))
        case "no_warn": test.forbidsWarnings = true
        case "no_info": test.forbidsRemarks = true
        case "string":
            guard let value = unquoted(rest.drop(while: \.isWhitespace)) else {
                throw ScriptProblem(line: line, message: "not a string: \(rest)")
            }
            test.result = .string(value)
        case "range":
            guard words.count == 8, words[1] == "vector", let from = ScriptReader.duration(words[3]),
                let to = ScriptReader.duration(words[5]), let step = ScriptReader.duration(words[7])
            else { throw ScriptProblem(line: line, message: "not a range vector's times: \(text)") }
            test.vectorTimes = (from, to, step)
        default: throw ScriptProblem(line: line, message: "unknown expectation \(kind)")
        }
    }

    /// A line that is nothing but a number is the value of a scalar.
    private static func scalar(_ line: String) -> Double? {
        guard !line.contains(where: \.isWhitespace) else { return nil }
        let digits = line.drop { $0 == "-" || $0 == "+" }
        guard let first = digits.first, first.isNumber || first == "." || ["inf", "nan"].contains(digits.lowercased())
        else { return nil }
        return NumberText.parse(digits).map { line.hasPrefix("-") ? -$0 : $0 }
    }

    /// Milliseconds from a duration or a number of seconds.
    private static func duration(_ text: Substring) -> Int64? {
        let isNegative = text.hasPrefix("-")
        let magnitude = text.drop { $0 == "-" || $0 == "+" }
        guard
            let milliseconds = DurationText.parse(magnitude)
                ?? NumberText.parse(magnitude).map({ Int64(($0 * 1000).rounded()) })
        else { return nil }
        return isNegative ? -milliseconds : milliseconds
    }
}
