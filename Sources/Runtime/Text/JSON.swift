/// A JSON document, read strictly by RFC 8259.
///
/// Strings are valid UTF-8 with every escape resolved. Members keep their order; of two with one key the later counts,
/// as in Go and JavaScript.
public indirect enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    /// A number without point or exponent that fits 64 bits.
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    public struct Member: Sendable, Equatable {
        public let key: String
        public let value: JSON

        public init(_ key: String, _ value: JSON) {
            self.key = key
            self.value = value
        }
    }

    /// What a document may cost its reader.
    public struct Limits: Sendable {
        /// Length of the text in bytes.
        public var bytes: Int
        /// Arrays and objects inside one another; the reader uses the stack, so at most a few hundred.
        public var depth: Int
        /// Values in the whole document, each of which takes about 50 bytes.
        public var values: Int

        public init(bytes: Int = 16 << 20, depth: Int = 64, values: Int = 1_000_000) {
            self.bytes = bytes
            self.depth = depth
            self.values = values
        }
    }

    /// Reads one document that fills `text`, white space around it allowed.
    public static func parse(_ text: Span<UInt8>, limits: Limits = Limits()) throws(JSONError) -> JSON {
        var reader = JSONReader(limits: limits)
        return try reader.document(text)
    }

    public static func parse(_ text: [UInt8], limits: Limits = Limits()) throws(JSONError) -> JSON {
        try parse(text.span, limits: limits)
    }

    /// The value of the last member called `key`; nil where there is none, or this is no object.
    public subscript(_ key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.key == key }?.value
    }

    public var string: String? { if case .string(let value) = self { value } else { nil } }
    public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
    public var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    public var members: [Member]? { if case .object(let value) = self { value } else { nil } }
    public var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    public var isNull: Bool { self == .null }

    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }
}

/// Why a text is not JSON, or is more JSON than its reader takes.
public enum JSONError: Error, Equatable, CustomStringConvertible {
    case unexpectedEnd
    case unexpected(byte: UInt8, offset: Int)
    case invalidNumber(offset: Int)
    case invalidEscape(offset: Int)
    case invalidUTF8(offset: Int)
    case tooLong(bytes: Int, limit: Int)
    case tooDeep(limit: Int)
    case tooManyValues(limit: Int)

    public var description: String {
        switch self {
        case .unexpectedEnd: "JSON: the text ends too early"
        case .unexpected(let byte, let offset): "JSON: unexpected \(Self.name(byte)) at byte \(offset)"
        case .invalidNumber(let offset): "JSON: not a number at byte \(offset)"
        case .invalidEscape(let offset): "JSON: not an escape at byte \(offset)"
        case .invalidUTF8(let offset): "JSON: string with invalid UTF-8 before byte \(offset)"
        case .tooLong(let bytes, let limit): "JSON: \(bytes) bytes, more than \(limit)"
        case .tooDeep(let limit): "JSON: nested deeper than \(limit)"
        case .tooManyValues(let limit): "JSON: more than \(limit) values"
        }
    }

    private static func name(_ byte: UInt8) -> String {
        byte > 0x20 && byte < 0x7f ? "\"\(Character(Unicode.Scalar(byte)))\"" : "byte 0x" + String(byte, radix: 16)
    }
}
