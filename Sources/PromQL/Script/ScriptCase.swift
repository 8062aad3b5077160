import Metrics
import Runtime

/// One `eval` of a script: what is asked, and what is to come out.
struct ScriptCase {
    enum Times: Equatable {
        case instant(Int64)
        case range(from: Int64, to: Int64, step: Int64)
    }

    enum Result {
        case scalar(Double)
        case string(String)

        /// In the order of the script. For an instant query one value each.
        case series([ScriptSeries])
    }

    let line: Int
    let times: Times
    let expression: String
    var isOrdered = false
    var failure: ScriptExpectation?
    var warnings: [ScriptExpectation] = []
    var remarks: [ScriptExpectation] = []
    var forbidsWarnings = false
    var forbidsRemarks = false

    /// The times of the points of a range vector, if that is what is to come out.
    var vectorTimes: (from: Int64, to: Int64, step: Int64)?
    var result = Result.series([])

    var expectsHistograms: Bool {
        guard case .series(let series) = result else { return false }
        return series.contains(where: \.isHistogram)
    }
}

/// A message that is to come: any, one to the letter, or one that an expression finds.
struct ScriptExpectation {
    private enum Form {
        case any
        case exactly(String)
        case found(Pattern)
    }

    private let form: Form
    let description: String

    static let any = ScriptExpectation(form: .any, description: "any")

    private init(form: Form, description: String) {
        self.form = form
        self.description = description
    }

    /// `msg: …`, `regex: …`, or nothing.
    init(_ text: Substring, at line: Int) throws(ScriptProblem) {
        let trimmed = text.drop(while: \.isWhitespace)
        description = String(trimmed)
        if trimmed.isEmpty {
            form = .any
        } else if trimmed.hasPrefix("msg:") {
            form = .exactly(String(trimmed.dropFirst(4).drop(while: \.isWhitespace)))
        } else if trimmed.hasPrefix("regex:") {
            form = .found(try Self.pattern(trimmed.dropFirst(6).drop(while: \.isWhitespace), at: line))
        } else {
            throw ScriptProblem(line: line, message: "neither msg: nor regex: \(trimmed)")
        }
    }

    private static func pattern(_ text: Substring, at line: Int) throws(ScriptProblem) -> Pattern {
        do throws(PatternError) {
            return try Pattern(String(text))
        } catch {
            throw ScriptProblem(line: line, message: "\(error)")
        }
    }

    func accepts(_ message: String) -> Bool {
        switch form {
        case .any: true
        case .exactly(let text): message == text
        case .found(let pattern): pattern.firstMatch(in: message) != nil
        }
    }
}
