import Metrics

/// One line of a script that names a series and its values.
public struct ScriptSeries: Sendable {
    public let labels: Labels
    public let values: [ScriptValue]

    /// Whether some value is a native histogram; `values` is then empty.
    public let isHistogram: Bool

    /// Whether the line gives the times at which counters began, instead of values.
    let isStartTimes: Bool

    /// `name{label="value"} 1 2+3x4 _ stale`.
    public init(_ line: String, at number: Int) throws(ScriptProblem) {
        let (series, rest) = ScriptSeries.split(line)
        isStartTimes = series.hasSuffix("@st")
        labels = try ScriptSeries.labels(String(isStartTimes ? series.dropLast(3) : series), at: number)
        isHistogram = rest.contains("{{")
        guard !isHistogram, !isStartTimes else {
            values = []
            return
        }
        var values: [ScriptValue] = []
        for word in rest.split(whereSeparator: \.isWhitespace) {
            guard let expanded = ScriptValue.expand(word) else {
                throw ScriptProblem(line: number, message: "not a value: \(word)")
            }
            values += expanded
        }
        self.values = values
    }

    /// The labels of a series that is written as a selector.
    public static func labels(_ text: String, at number: Int) throws(ScriptProblem) -> Labels {
        do throws(PromQLError) {
            var parser = try Parser(text)
            let selector = try parser.parseSeries().selector
            return Labels(selector.matchers.map { Label($0.name, $0.value) })
        } catch {
            throw ScriptProblem(line: number, message: "\(error)")
        }
    }

    /// Cuts behind the braces, or behind the name if there are none.
    private static func split(_ line: String) -> (Substring, Substring) {
        var quote: Character?
        var depth = 0
        var index = line.startIndex
        while index < line.endIndex {
            let character = line[index]
            if let open = quote {
                if character == "\\", open != "`" {
                    index = line.index(after: index)
                } else if character == open {
                    quote = nil
                }
            } else if "\"'`".contains(character) {
                quote = character
            } else if character == "{" {
                depth += 1
            } else if character == "}" {
                depth -= 1
            } else if character.isWhitespace, depth == 0 {
                let rest = line[index...].drop(while: \.isWhitespace)
                guard rest.hasPrefix("{"), !rest.hasPrefix("{{"), !line[..<index].contains("{") else {
                    return (line[..<index], rest)
                }
                let inner = split(String(rest))
                return (Substring(line[..<index] + inner.0), inner.1)
            }
            if index < line.endIndex { index = line.index(after: index) }
        }
        return (line[...], "")
    }
}

/// What a series has at one step.
public enum ScriptValue: Sendable, Equatable {
    case gap
    case number(Double)
    case stale

    /// `1`, `1x3`, `1+2x3`, `1-2x3`, `_`, `_x3`, `stale`. A repetition of n gives n+1 values, except that of a gap.
    static func expand(_ word: Substring) -> [ScriptValue]? {
        if word == "_" { return [.gap] }
        if word == "stale" { return [.stale] }
        if word.hasPrefix("_x") { return count(word.dropFirst(2)).map { Array(repeating: .gap, count: $0) } }
        if word.hasPrefix("stalex") { return count(word.dropFirst(6)).map { Array(repeating: .stale, count: $0 + 1) } }
        var rest = word
        guard let first = number(&rest) else { return nil }
        if rest.isEmpty { return [.number(first)] }
        var step = 0.0
        if let sign = rest.first, sign == "+" || sign == "-" {
            guard let read = number(&rest) else { return nil }
            step = read
        }
        guard rest.first == "x", let times = count(rest.dropFirst()) else { return nil }
        var value = first
        return (0...times).map { _ in
            defer { value += step }
            return .number(value)
        }
    }

    private static func count(_ text: Substring) -> Int? {
        guard let count = Int(text), count >= 0, count <= 1_000_000 else { return nil }
        return count
    }

    /// The number at the start, with its sign. Never hexadecimal: `0x3` repeats 0.
    private static func number(_ rest: inout Substring) -> Double? {
        var end = rest.startIndex
        var seenExponent = false
        func peek() -> Character? { end < rest.endIndex ? rest[end] : nil }
        if peek() == "+" || peek() == "-" { end = rest.index(after: end) }
        let word = rest[end...].prefix(3).lowercased()
        if word == "inf" || word == "nan" {
            end = rest.index(end, offsetBy: 3)
        } else {
            while let character = peek() {
                if character.isNumber || character == "." {
                    end = rest.index(after: end)
                } else if (character == "e" || character == "E") && !seenExponent {
                    seenExponent = true
                    end = rest.index(after: end)
                    if peek() == "+" || peek() == "-" { end = rest.index(after: end) }
                } else {
                    break
                }
            }
        }
        let text = rest[..<end]
        rest = rest[end...]
        let value = text.hasPrefix("+") ? NumberText.parse(text.dropFirst()) : NumberText.parse(text)
        if let value { return value }
        return text.hasPrefix("-") ? NumberText.parse(text.dropFirst()).map { -$0 } : nil
    }
}
