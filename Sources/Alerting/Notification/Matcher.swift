import Metrics
import Runtime

/// A condition on one label: `severity="page"`, `instance=~"db.*"`. A label that is not there counts as empty.
public struct Matcher: Sendable {
    public enum Operator: String, Sendable, CaseIterable {
        case equal = "="
        case notEqual = "!="
        case matches = "=~"
        case matchesNot = "!~"

        public var isRegex: Bool { self == .matches || self == .matchesNot }
        public var isEqual: Bool { self == .equal || self == .matches }
    }

    public let name: String
    public let operation: Operator
    public let value: String
    /// Anchored at both ends; only for the two operators that take one.
    private let pattern: Pattern?

    public init(_ name: String, _ operation: Operator, _ value: String) throws(MatcherError) {
        self.name = name
        self.operation = operation
        self.value = value
        guard operation.isRegex else {
            pattern = nil
            return
        }
        do {
            pattern = try Pattern(value)
        } catch {
            throw .invalidPattern(value, "\(error)")
        }
    }

    public func matches(_ labels: Labels) -> Bool { matches(labels[name] ?? "") }

    public func matches(_ text: String) -> Bool {
        switch operation {
        case .equal: text.utf8.elementsEqual(value.utf8)
        case .notEqual: !text.utf8.elementsEqual(value.utf8)
        case .matches: pattern?.matches(text) ?? false
        case .matchesNot: !(pattern?.matches(text) ?? false)
        }
    }

    /// The order in which group keys list a route's matchers.
    static func precedes(_ left: Matcher, _ right: Matcher) -> Bool {
        if left.name != right.name { return left.name.utf8.lexicographicallyPrecedes(right.name.utf8) }
        if left.value != right.value { return left.value.utf8.lexicographicallyPrecedes(right.value.utf8) }
        return (Operator.allCases.firstIndex(of: left.operation) ?? 0)
            < (Operator.allCases.firstIndex(of: right.operation) ?? 0)
    }
}

extension Matcher: Equatable {
    public static func == (left: Matcher, right: Matcher) -> Bool {
        left.name == right.name && left.operation == right.operation && left.value.utf8.elementsEqual(right.value.utf8)
    }
}

extension Matcher: CustomStringConvertible {
    /// `name="value"` with `\`, `"` and line feed escaped.
    public var description: String {
        var text = "\(name)\(operation.rawValue)\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\", "\"": text += "\\\(scalar)"
            case "\n": text += "\\n"
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}

extension [Matcher] {
    public func matches(_ labels: Labels) -> Bool { allSatisfy { $0.matches(labels) } }

    /// `{a="b",c=~"d"}`.
    public var text: String { "{" + map(\.description).joined(separator: ",") + "}" }
}

/// Why a text is no matcher.
public enum MatcherError: Error, Equatable, CustomStringConvertible {
    case badFormat(String)
    case unescapedQuote(String)
    case invalidPattern(String, String)

    public var description: String {
        switch self {
        case .badFormat(let text): "bad matcher format: \(text)"
        case .unescapedQuote(let text): "matcher value contains unescaped double quote: \(text)"
        case .invalidPattern(let pattern, let why): "error parsing regexp: \(why): `\(pattern)`"
        }
    }
}

// MARK: Reading

extension Matcher {
    /// Reads one matcher: `name`, an operator, and a value that may stand between double quotes.
    public init(parsing text: String) throws(MatcherError) {
        var bytes = Array(text.utf8)[...]
        Self.trim(&bytes)
        let name = try Self.takeName(&bytes, of: text)
        Self.trim(&bytes)
        guard let operation = Self.takeOperator(&bytes) else { throw .badFormat(text) }
        Self.trim(&bytes)
        try self.init(name, operation, try Self.unquoted(Array(bytes), of: text))
    }

    /// Reads `{a="b", c=~"d|e"}`, with or without the braces.
    public static func list(parsing text: String) throws(MatcherError) -> [Matcher] {
        var bytes = Array(text.utf8)[...]
        trim(&bytes)
        if bytes.first == UInt8(ascii: "{") {
            guard bytes.last == UInt8(ascii: "}"), bytes.count > 1 else { throw .badFormat(text) }
            bytes = bytes.dropFirst().dropLast()
            trim(&bytes)
        } else if bytes.last == UInt8(ascii: "}") {
            throw .badFormat(text)
        }
        var matchers: [Matcher] = []
        for part in split(bytes) {
            let isBlank = part.allSatisfy(isSpace)
            // A comma may stand at the end.
            if isBlank, matchers.count > 0 || bytes.isEmpty { continue }
            matchers.append(try Matcher(parsing: String(decoding: part, as: UTF8.self)))
        }
        return matchers
    }

    /// Cuts at the commas outside quotes.
    private static func split(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = bytes.startIndex
        var isQuoted = false
        var isEscaped = false
        for index in bytes.indices {
            switch bytes[index] {
            case _ where isEscaped: isEscaped = false
            case UInt8(ascii: "\\"): isEscaped = true
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: ","):
                if isQuoted { continue }
                parts.append(bytes[start..<index])
                start = index + 1
            default: continue
            }
        }
        parts.append(bytes[start...])
        return parts
    }

    /// A label's name, or any text between double quotes.
    private static func takeName(_ bytes: inout ArraySlice<UInt8>, of text: String) throws(MatcherError) -> String {
        if bytes.first == UInt8(ascii: "\"") {
            var end = bytes.startIndex + 1
            while end < bytes.endIndex, bytes[end] != UInt8(ascii: "\"") {
                end += bytes[end] == UInt8(ascii: "\\") ? 2 : 1
            }
            guard end < bytes.endIndex else { throw .badFormat(text) }
            let name = try unquoted(Array(bytes[...end]), of: text)
            bytes = bytes[(end + 1)...]
            guard !name.isEmpty else { throw .badFormat(text) }
            return name
        }
        let name = bytes.prefix { isNameByte($0) }
        guard let first = name.first, first < 0x30 || first > 0x39 else { throw .badFormat(text) }
        bytes = bytes[name.endIndex...]
        return String(decoding: name, as: UTF8.self)
    }

    private static func takeOperator(_ bytes: inout ArraySlice<UInt8>) -> Operator? {
        for operation in [Operator.matches, .notEqual, .matchesNot, .equal]
        where bytes.starts(with: operation.rawValue.utf8) {
            bytes = bytes.dropFirst(operation.rawValue.utf8.count)
            return operation
        }
        return nil
    }

    /// A value with its escapes resolved: `\n`, `\"` and `\\`; any other backslash stays.
    private static func unquoted(_ bytes: [UInt8], of text: String) throws(MatcherError) -> String {
        var bytes = bytes[...]
        let isQuoted = bytes.first == UInt8(ascii: "\"")
        if isQuoted {
            guard bytes.count > 1, bytes.last == UInt8(ascii: "\"") else { throw .unescapedQuote(text) }
            bytes = bytes.dropFirst().dropLast()
        }
        var value: [UInt8] = []
        var isEscaped = false
        for byte in bytes {
            switch byte {
            case _ where isEscaped:
                isEscaped = false
                switch byte {
                case UInt8(ascii: "n"): value.append(0x0a)
                case UInt8(ascii: "\""), UInt8(ascii: "\\"): value.append(byte)
                default: value.append(contentsOf: [UInt8(ascii: "\\"), byte])
                }
            case UInt8(ascii: "\\"): isEscaped = true
            case UInt8(ascii: "\""): throw .unescapedQuote(text)
            default: value.append(byte)
            }
        }
        if isEscaped {
            guard !isQuoted else { throw .unescapedQuote(text) }
            value.append(UInt8(ascii: "\\"))
        }
        return String(decoding: value, as: UTF8.self)
    }

    private static func trim(_ bytes: inout ArraySlice<UInt8>) {
        while let first = bytes.first, isSpace(first) { bytes.removeFirst() }
        while let last = bytes.last, isSpace(last) { bytes.removeLast() }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        (byte >= 0x30 && byte <= 0x39) || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ":")
            || (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
    }
}
