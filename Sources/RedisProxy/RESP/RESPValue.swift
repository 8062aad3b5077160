import Runtime

/// One reply of RESP2 or RESP3 as a tree, for the few that the proxy asks for itself; what clients ask for is passed on
/// without being taken apart.
///
/// Attributes in front of a value are left out.
public indirect enum RESPValue: Equatable, Sendable {
    case status(String)
    /// With its code, such as `ERR`.
    case error(String)
    /// A bulk or a verbatim string; the latter with its four bytes of format.
    case text([UInt8])
    case integer(Int)
    case double(Double)
    case boolean(Bool)
    /// Its digits.
    case bigNumber(String)
    /// Of either kind: no value, or no array.
    case null
    /// An array or a set.
    case array([RESPValue])
    /// Keys and values in turn.
    case map([RESPValue])
    case push([RESPValue])

    /// What is believed of a server.
    public struct Limits: Sendable {
        public var bytes = 16 << 20
        public var depth = 16
        /// Of all levels together.
        public var values = 1 << 20

        public init() {}
    }

    public enum Fault: Error, Equatable, CustomStringConvertible {
        case reply(ReplyFault)
        /// The reply ends after the bytes do.
        case incomplete
        /// Bytes after the reply's end.
        case trailing(bytes: Int)
        case badNumber
        case tooDeep(limit: Int)
        case tooManyValues(limit: Int)

        public var description: String {
            switch self {
            case .reply(let fault): "\(fault)"
            case .incomplete: "reply that is cut off"
            case .trailing(let bytes): "reply with \(bytes) bytes after its end"
            case .badNumber: "reply with a number that is none"
            case .tooDeep(let limit): "reply nested deeper than \(limit)"
            case .tooManyValues(let limit): "reply of more than \(limit) values"
            }
        }
    }

    /// Exactly one reply.
    public init(_ bytes: Span<UInt8>, limits: Limits = Limits()) throws(Fault) {
        // The skimmer sees to it that the frame is whole and every length right.
        var skimmer = ReplySkimmer(limitBytes: limits.bytes)
        switch skimmer.next(in: bytes) {
        case .incomplete: throw .incomplete
        case .failed(let fault): throw .reply(fault)
        case .reply(let reply):
            guard reply.length == bytes.count else { throw .trailing(bytes: bytes.count - reply.length) }
        }
        var reader = TreeReader(limits: limits)
        self = try reader.value(in: bytes, depth: 1)
    }

    /// What a status, a string or a number says, as text.
    public var text: String? {
        switch self {
        case .status(let text), .bigNumber(let text): text
        case .text(let bytes): String(decoding: bytes, as: UTF8.self)
        case .integer(let value): "\(value)"
        default: nil
        }
    }

    /// A number, or a string of its digits.
    public var integer: Int? {
        switch self {
        case .integer(let value): value
        case .text(let bytes): bytes.strictInteger()
        default: nil
        }
    }

    /// Of any aggregate; of a map its keys and values in turn. Nil for everything else.
    public var elements: [RESPValue]? {
        switch self {
        case .array(let elements), .map(let elements), .push(let elements): elements
        default: nil
        }
    }

    public var error: String? { if case .error(let text) = self { text } else { nil } }

    /// What a map, or the array of keys and values that stands for one in RESP2, holds under a name.
    public subscript(name: String) -> RESPValue? {
        guard let elements else { return nil }
        for index in stride(from: 0, to: elements.count - 1, by: 2) where elements[index].text == name {
            return elements[index + 1]
        }
        return nil
    }
}

/// Walks through the bytes of a reply that is known to be whole.
private struct TreeReader {
    let limits: RESPValue.Limits
    private var place = 0
    private var values = 0

    init(limits: RESPValue.Limits) { self.limits = limits }

    mutating func value(in bytes: Span<UInt8>, depth: Int) throws(RESPValue.Fault) -> RESPValue {
        guard depth <= limits.depth else { throw .tooDeep(limit: limits.depth) }
        values += 1
        guard values <= limits.values else { throw .tooManyValues(limit: limits.values) }
        guard place < bytes.count else { throw .incomplete }
        let type = bytes[place]
        let line = place + 1..<bytes.firstPlace(of: 13, in: place + 1..<bytes.count)
        place = min(line.upperBound + 2, bytes.count)
        switch type {
        case UInt8(ascii: "+"): return .status(string(bytes, line))
        case UInt8(ascii: "-"): return .error(string(bytes, line))
        case UInt8(ascii: "("): return .bigNumber(string(bytes, line))
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: ":"): return .integer(try number(bytes, line))
        case UInt8(ascii: ","):
            guard let value = Double(string(bytes, line)) else { throw .badNumber }
            return .double(value)
        case UInt8(ascii: "#"):
            guard bytes.isWord("t", line) || bytes.isWord("f", line) else { throw .badNumber }
            return .boolean(bytes.isWord("t", line))
        case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
            let length = try number(bytes, line)
            guard length >= 0 else { return .null }
            let end = place + length
            guard end + 2 <= bytes.count else { throw .incomplete }
            defer { place = end + 2 }
            guard type != UInt8(ascii: "!") else { return .error(string(bytes, place..<end)) }
            var text: [UInt8] = []
            text.append(bytes: bytes.extracting(place..<end))
            return .text(text)
        default: return try aggregate(type, try number(bytes, line), in: bytes, depth)
        }
    }

    private mutating func aggregate(
        _ type: UInt8, _ count: Int, in bytes: Span<UInt8>, _ depth: Int
    ) throws(RESPValue.Fault) -> RESPValue {
        guard count >= 0 else { return .null }
        let isPairs = type == UInt8(ascii: "%") || type == UInt8(ascii: "|")
        var elements: [RESPValue] = []
        for _ in 0..<(isPairs ? count * 2 : count) { elements.append(try value(in: bytes, depth: depth + 1)) }
        switch type {
        case UInt8(ascii: "*"), UInt8(ascii: "~"): return .array(elements)
        case UInt8(ascii: "%"): return .map(elements)
        case UInt8(ascii: ">"): return .push(elements)
        // An attribute: what it belongs to follows.
        case UInt8(ascii: "|"): return try value(in: bytes, depth: depth + 1)
        default: throw .reply(.unknownType(type))
        }
    }

    private func number(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(RESPValue.Fault) -> Int {
        guard let value = bytes.strictInteger(in: line) else { throw .badNumber }
        return value
    }

    private func string(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String {
        var text: [UInt8] = []
        text.append(bytes: bytes.extracting(range))
        return String(decoding: text, as: UTF8.self)
    }
}
