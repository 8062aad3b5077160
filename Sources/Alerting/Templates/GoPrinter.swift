import Metrics
import Runtime

/// Go's `fmt`: `Sprint`, `Sprintln` and `Sprintf` for the values of templates, wrong verbs and missing operands
/// included, since those show up in people's annotations.
enum GoPrinter {
    /// Largest width and precision; Go stops at a million, of which one directive too many fills the memory.
    static let widthLimit = 10_000
    /// A format whose text has grown beyond this many bytes is left unfinished.
    static let sizeLimit = 1 << 20

    /// Operands after one another, with a blank between two that are not strings.
    static func print(_ values: [TemplateValue]) -> String {
        var text = ""
        for (index, value) in values.enumerated() {
            if index > 0, !value.isString, !values[index - 1].isString { text += " " }
            text += GoVerb().format(value, "v")
        }
        return text
    }

    /// Operands with a blank between each two, and a line feed.
    static func printLine(_ values: [TemplateValue]) -> String {
        values.map { GoVerb().format($0, "v") }.joined(separator: " ") + "\n"
    }

    static func printf(_ format: String, _ operands: [TemplateValue]) -> String {
        var run = FormatRun(format: Array(format.unicodeScalars), operands: operands)
        return run.text()
    }
}

/// One walk over a format.
private struct FormatRun {
    let format: [Unicode.Scalar]
    let operands: [TemplateValue]
    private var at = 0
    private var operand = 0
    private var isReordered = false
    private var indexIsGood = true
    private var result = ""

    init(format: [Unicode.Scalar], operands: [TemplateValue]) {
        self.format = format
        self.operands = operands
    }

    mutating func text() -> String {
        while at < format.count, result.utf8.count <= GoPrinter.sizeLimit {
            let scalar = format[at]
            at += 1
            if scalar == "%" { directive() } else { result.unicodeScalars.append(scalar) }
        }
        if !isReordered, operand < operands.count {
            let extra = operands[operand...].map { value in
                if case .nothing = value { return "<nil>" }
                return value.type + "=" + GoVerb().format(value, "v")
            }
            result += "%!(EXTRA " + extra.joined(separator: ", ") + ")"
        }
        return result
    }

    private mutating func directive() {
        var verb = GoVerb()
        indexIsGood = true
        flags(of: &verb)
        argumentIndex()
        width(of: &verb)
        precision(of: &verb)
        argumentIndex()
        guard at < format.count else {
            result += "%!(NOVERB)"
            return
        }
        let letter = format[at]
        at += 1
        if letter == "%" {
            result += "%"
        } else if !indexIsGood {
            result += "%!\(letter)(BADINDEX)"
        } else if operand >= operands.count {
            result += "%!\(letter)(MISSING)"
        } else {
            result += verb.format(operands[operand], letter)
            operand += 1
        }
    }

    private mutating func flags(of verb: inout GoVerb) {
        while at < format.count {
            switch format[at] {
            case "#": verb.sharp = true
            case "0": verb.zero = true
            case "+": verb.plus = true
            case "-": verb.minus = true
            case " ": verb.space = true
            default: return
            }
            at += 1
        }
    }

    private mutating func width(of verb: inout GoVerb) {
        if take("*") {
            guard let width = starOperand() else {
                result += "%!(BADWIDTH)"
                return
            }
            verb.minus = verb.minus || width < 0
            verb.width = abs(width)
        } else if let width = number() {
            if width > GoPrinter.widthLimit { result += "%!(BADWIDTH)" } else { verb.width = width }
        }
    }

    private mutating func precision(of verb: inout GoVerb) {
        guard take(".") else { return }
        argumentIndex()
        if take("*") {
            let precision = starOperand()
            if precision == nil { result += "%!(BADPREC)" }
            verb.precision = precision.flatMap { $0 < 0 ? nil : $0 }
        } else {
            let precision = number() ?? 0
            if precision > GoPrinter.widthLimit { result += "%!(BADPREC)" } else { verb.precision = precision }
        }
    }

    /// A width or precision taken from the operands.
    private mutating func starOperand() -> Int? {
        guard operand < operands.count else { return nil }
        operand += 1
        guard case .int(let value) = operands[operand - 1], abs(value) <= GoPrinter.widthLimit else { return nil }
        return value
    }

    /// `[n]`: the operand that comes next.
    private mutating func argumentIndex() {
        guard at < format.count, format[at] == "[" else { return }
        isReordered = true
        guard let close = format[at...].firstIndex(of: "]") else {
            at += 1
            indexIsGood = false
            return
        }
        let digits = String(String.UnicodeScalarView(format[(at + 1)..<close]))
        at = close + 1
        guard let index = Int(digits), index >= 1, index <= operands.count else {
            indexIsGood = false
            return
        }
        operand = index - 1
    }

    private mutating func number() -> Int? {
        var value: Int?
        while at < format.count, let digit = Int(String(format[at])), format[at].isASCII {
            value = min((value ?? 0) * 10 + digit, GoPrinter.widthLimit + 1)
            at += 1
        }
        return value
    }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard at < format.count, format[at] == scalar else { return false }
        at += 1
        return true
    }
}

/// The flags, width and precision before one verb, and what they make of a value.
struct GoVerb {
    var sharp = false
    var zero = false
    var plus = false
    var minus = false
    var space = false
    var width: Int?
    var precision: Int?

    func format(_ value: TemplateValue, _ verb: Unicode.Scalar) -> String {
        if verb == "T" { return string(value.type, "s") ?? "" }
        switch value {
        case .nothing: return verb == "v" ? padded("<nil>") : "%!\(verb)(<nil>)"
        case .map(let labels):
            return "map["
                + labels.pairs.map { format(.string($0.name), verb) + ":" + format(.string($0.value), verb) }
                .joined(separator: " ") + "]"
        case .arguments(let values):
            return "map["
                + TemplateValue.argumentNames(values).map {
                    format(.string($0), verb) + ":" + format(TemplateValue.argument($0, of: values), verb)
                }.joined(separator: " ") + "]"
        case .sample(let sample):
            return "{" + format(.map(sample.labels), verb) + " " + format(.float(sample.value), verb) + "}"
        case .vector(let samples):
            // Go prints addresses here, which help nobody.
            return "[" + samples.map { format(.sample($0), verb) }.joined(separator: " ") + "]"
        case .alert(let data):
            let parts: [TemplateValue] = [
                .map(data.labels), .map(data.externalLabels), .string(data.externalURL ?? ""), .float(data.value),
            ]
            return "{" + parts.map { format($0, verb) }.joined(separator: " ") + "}"
        default: return leaf(value, verb) ?? "%!\(verb)(\(value.type)=\(leaf(value, "v") ?? ""))"
        }
    }

    /// The text of a value without parts; nil where the verb does not fit it.
    private func leaf(_ value: TemplateValue, _ verb: Unicode.Scalar) -> String? {
        switch value {
        case .bool(let value): verb == "v" || verb == "t" ? padded(value ? "true" : "false") : nil
        case .int(let value): integer(value, verb)
        case .byte(let value): integer(Int(value), verb)
        case .float(let value): float(value, verb)
        case .string(let text), .html(let text): string(text, verb)
        case .time(let time): string(time.description, verb)
        case .duration(let nanoseconds):
            verb == "d" ? integer(Int(nanoseconds), verb) : string(GoDuration.text(nanoseconds: nanoseconds), verb)
        default: nil
        }
    }

    // MARK: Strings

    private func string(_ text: String, _ verb: Unicode.Scalar) -> String? {
        switch verb {
        case "v" where sharp: return padded(GoQuote.quoted(text))
        case "v", "s": return padded(truncated(text))
        case "q":
            let cut = truncated(text)
            if sharp, !cut.utf8.contains(where: { $0 == 0x60 || ($0 < 0x20 && $0 != 0x09) || $0 == 0x7f }) {
                return padded("`\(cut)`")
            }
            return padded(GoQuote.quoted(cut, ascii: plus))
        case "x", "X": return padded(hexadecimal(text, uppercase: verb == "X"))
        default: return nil
        }
    }

    private func truncated(_ text: String) -> String {
        guard let precision else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(precision)))
    }

    private func hexadecimal(_ text: String, uppercase: Bool) -> String {
        let prefix = sharp ? (uppercase ? "0X" : "0x") : ""
        let pairs = text.utf8.prefix(precision ?? .max).map { byte in
            (byte < 0x10 ? "0" : "") + String(byte, radix: 16, uppercase: uppercase)
        }
        return space ? pairs.map { prefix + $0 }.joined(separator: " ") : (pairs.isEmpty ? "" : prefix) + pairs.joined()
    }

    // MARK: Integers

    private func integer(_ value: Int, _ verb: Unicode.Scalar) -> String? {
        switch verb {
        case "v", "d": return digits(value, radix: 10)
        case "b": return digits(value, radix: 2, prefix: sharp ? "0b" : "")
        case "o": return digits(value, radix: 8, prefix: sharp ? "0" : "")
        case "O": return digits(value, radix: 8, prefix: "0o")
        case "x": return digits(value, radix: 16, prefix: sharp ? "0x" : "")
        case "X": return digits(value, radix: 16, uppercase: true, prefix: sharp ? "0X" : "")
        case "c": return padded(String(Character(scalar(value))))
        case "q": return padded(GoQuote.quoted(scalar(value), ascii: plus))
        case "U":
            let code = String(value.magnitude, radix: 16, uppercase: true)
            let text = "U+" + String(repeating: "0", count: max(0, max(4, precision ?? 4) - code.count)) + code
            return padded(sharp ? "\(text) '\(scalar(value))'" : text)
        default: return nil
        }
    }

    private func scalar(_ value: Int) -> Unicode.Scalar {
        UInt32(exactly: value).flatMap(Unicode.Scalar.init) ?? "\u{fffd}"
    }

    private func digits(_ value: Int, radix: Int, uppercase: Bool = false, prefix: String = "") -> String {
        let sign = value < 0 ? "-" : plus ? "+" : space ? " " : ""
        var least = 1
        if let precision {
            if precision == 0, value == 0 { return String(repeating: " ", count: width ?? 0) }
            least = precision
        } else if zero, !minus, let width {
            least = width - sign.count
        }
        let digits = String(value.magnitude, radix: radix, uppercase: uppercase)
        let zeros = String(repeating: "0", count: max(0, least - digits.count))
        return padded(sign + prefix + zeros + digits, withZeros: false)
    }

    // MARK: Floats

    private func float(_ value: Double, _ verb: Unicode.Scalar) -> String? {
        guard let magnitude = magnitude(value.magnitude, verb) else { return nil }
        let isNegative = value.sign == .minus && !value.isNaN
        var sign = isNegative ? "-" : plus ? "+" : space ? " " : ""
        guard value.isFinite else {
            if value == .infinity, !space { sign = "+" }
            return padded(sign + (value.isNaN ? "NaN" : "Inf"), withZeros: false)
        }
        if zero, !minus, let width, !sign.isEmpty {
            let zeros = max(0, width - sign.count - magnitude.count)
            return sign + String(repeating: "0", count: zeros) + magnitude
        }
        return padded(sign + magnitude)
    }

    private func magnitude(_ value: Double, _ verb: Unicode.Scalar) -> String? {
        switch verb {
        case "v", "g": GoFormat.text(value, .general, precision: precision)
        case "G": GoFormat.text(value, .general, precision: precision).uppercased()
        case "f", "F": GoFormat.text(value, .fixed, precision: precision ?? 6)
        case "e": GoFormat.text(value, .scientific, precision: precision ?? 6)
        case "E": GoFormat.text(value, .scientific, precision: precision ?? 6).uppercased()
        default: nil
        }
    }

    // MARK: Padding

    private func padded(_ text: String, withZeros: Bool? = nil) -> String {
        guard let width else { return text }
        let missing = width - text.unicodeScalars.count
        guard missing > 0 else { return text }
        if minus { return text + String(repeating: " ", count: missing) }
        return String(repeating: withZeros ?? zero ? "0" : " ", count: missing) + text
    }
}
