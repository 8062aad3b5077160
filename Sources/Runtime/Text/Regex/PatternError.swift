/// Why a regular expression was refused.
public struct PatternError: Error, Sendable, Equatable, CustomStringConvertible {
    public enum Reason: Sendable, Equatable {
        case missingClosingParenthesis
        case unexpectedParenthesis
        case missingClosingBracket
        case invalidRange(String)
        case unknownClass(String)
        case invalidEscape(String)
        case trailingBackslash
        case nothingToRepeat(String)
        case invalidRepetition(String)
        case unknownGroup(String)
        case duplicateName(String)
        case nestedTooDeep(limit: Int)
        case tooLarge(limit: Int)
    }

    public let reason: Reason

    /// Bytes from the start of the expression to what is wrong.
    public let offset: Int

    public init(_ reason: Reason, at offset: Int) {
        self.reason = reason
        self.offset = offset
    }

    public var description: String {
        switch reason {
        case .missingClosingParenthesis: "missing closing )"
        case .unexpectedParenthesis: "unexpected )"
        case .missingClosingBracket: "missing closing ]"
        case .invalidRange(let text): "invalid character class range: `\(text)`"
        case .unknownClass(let text): "unknown character class: `\(text)`"
        case .invalidEscape(let text): "invalid escape sequence: `\(text)`"
        case .trailingBackslash: "trailing backslash at end of expression"
        case .nothingToRepeat(let text): "missing argument to repetition operator: `\(text)`"
        case .invalidRepetition(let text): "invalid repeat count: `\(text)`"
        case .unknownGroup(let text): "invalid or unsupported group syntax: `\(text)`"
        case .duplicateName(let name): "duplicate capture group name: `\(name)`"
        case .nestedTooDeep(let limit): "expression nests deeper than \(limit)"
        case .tooLarge(let limit): "expression needs more than \(limit) instructions"
        }
    }
}
