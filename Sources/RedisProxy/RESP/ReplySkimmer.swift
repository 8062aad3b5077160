import Runtime

/// Finds the end of one reply of RESP2 or RESP3 in the bytes a server has sent so far, and says what kind it is.
///
/// The span always begins where the reply begins; the skimmer remembers how far it came. Nesting costs nothing: it
/// counts how many values are still to come, whatever they are part of, so a reply may be nested as deep as it likes. Of
/// a value only its frame is read; what a number or a boolean says is for those who use it.
///
/// Streamed strings and aggregates (`$?`, `*?`), which no server sends so far, are refused.
public struct ReplySkimmer: Sendable {
    /// What stands in front of a reply, and what it means to a proxy.
    public enum Kind: UInt8, Sendable {
        case status, error, integer, bulk, null
        case double, boolean, bigNumber, verbatim, array, map, set
        /// Belongs to no command; comes between replies.
        case push
    }

    public struct Reply: Equatable, Sendable {
        public let kind: Kind
        /// Bytes from the start of the span to the end of the reply.
        public let length: Int
        /// Where the reply's own bytes begin: after attributes, which else start at zero.
        public let start: Int
    }

    public enum Step: Equatable, Sendable {
        /// The reply has at least this many bytes.
        case incomplete(needed: Int)
        case reply(Reply)
        /// This is no reply: the connection is of no more use.
        case failed(ReplyFault)
    }

    private let limitBytes: Int
    /// The next value begins here.
    private var place = 0
    private var searched = 0
    /// Values still to come before the reply is whole.
    private var missing = 1
    /// Of the reply's own first byte; attributes come before it.
    private var kind: Kind?
    private var start = 0
    /// Values of attributes in front of the reply.
    private var missingOfAttributes = 0

    /// - Parameter limitBytes: longest reply that is believed; its first byte tells before any is kept.
    public init(limitBytes: Int = 1 << 30) { self.limitBytes = limitBytes }

    /// Looks at the bytes from the reply's first to the last that has come.
    public mutating func next(in bytes: Span<UInt8>) -> Step {
        while missing > 0 {
            guard place < bytes.count else { return incomplete(needed: place + 3 * missing) }
            switch readValue(in: bytes) {
            case .done: continue
            case .incomplete(let needed): return incomplete(needed: needed)
            case .failed(let fault): return .failed(fault)
            }
        }
        guard place <= limitBytes, let kind else { return .failed(.tooLong(limit: limitBytes)) }
        let reply = Reply(kind: kind, length: place, start: start)
        self = ReplySkimmer(limitBytes: limitBytes)
        return .reply(reply)
    }

    private func incomplete(needed: Int) -> Step {
        needed <= limitBytes ? .incomplete(needed: needed) : .failed(.tooLong(limit: limitBytes))
    }

    private enum Value {
        case done
        case incomplete(needed: Int)
        case failed(ReplyFault)
    }

    private mutating func readValue(in bytes: Span<UInt8>) -> Value {
        let type = bytes[place]
        guard let shape = Shape(type) else { return .failed(.unknownType(type)) }
        guard let end = lineEnd(in: bytes) else { return .incomplete(needed: max(bytes.count + 1, place + 3)) }
        guard bytes[end + 1] == 10 else { return .failed(.badLine) }
        var after = end + 2
        var children = 0
        var isNull = shape == .null
        if shape.hasLength {
            guard let length = length(bytes, place + 1..<end, mayBeNull: shape == .bulk || shape == .array) else {
                return .failed(.badLength)
            }
            isNull = length < 0
            if shape.isText, length >= 0 {
                after += length + 2
                guard after <= limitBytes else { return .failed(.tooLong(limit: limitBytes)) }
                guard after <= bytes.count else { return .incomplete(needed: after) }
                guard bytes[after - 2] == 13, bytes[after - 1] == 10 else { return .failed(.badLine) }
            } else {
                children = max(0, length) * (shape == .map || shape == .attribute ? 2 : 1)
                // Even the shortest values have three bytes.
                guard missing + children <= limitBytes / 3 else { return .failed(.tooLong(limit: limitBytes)) }
            }
        }
        return take(shape, isNull: isNull, children: children, from: place, to: after)
    }

    private mutating func take(
        _ shape: Shape, isNull: Bool, children: Int, from: Int, to after: Int
    ) -> Value {
        if shape == .attribute {
            // An attribute takes nobody's place: it is followed by its values and by what it belongs to.
            missing += children
            if kind == nil { missingOfAttributes += children }
        } else if kind == nil, missingOfAttributes == 0 {
            kind = isNull ? .null : shape.kind
            start = from
            missing += children - 1
        } else {
            // Inside a reply a push is a value: so EXEC tells what UNSUBSCRIBE said.
            missing += children - 1
            if kind == nil { missingOfAttributes += children - 1 }
        }
        place = after
        searched = after
        return .done
    }

    /// Where the CR of the value's first line is, once the byte after it is here too.
    private mutating func lineEnd(in bytes: Span<UInt8>) -> Int? {
        var end = max(searched, place + 1)
        let near = min(bytes.count, end + 24)
        while end < near, bytes[end] != 13 { end += 1 }
        if end == near { end = bytes.firstPlace(of: 13, in: end..<bytes.count) }
        searched = end
        return end + 1 < bytes.count ? end : nil
    }

    private func length(_ bytes: Span<UInt8>, _ range: Range<Int>, mayBeNull: Bool) -> Int? {
        guard let length = bytes.strictInteger(in: range), length <= limitBytes else { return nil }
        return length >= 0 || mayBeNull && length == -1 ? length : nil
    }

    /// What the first byte says about the rest.
    private enum Shape {
        case status, error, integer, double, boolean, bigNumber, null
        case bulk, blobError, verbatim
        case array, set, push, map, attribute

        init?(_ type: UInt8) {
            switch type {
            case UInt8(ascii: "$"): self = .bulk
            case UInt8(ascii: "+"): self = .status
            case UInt8(ascii: ":"): self = .integer
            case UInt8(ascii: "-"): self = .error
            case UInt8(ascii: "*"): self = .array
            case UInt8(ascii: "_"): self = .null
            case UInt8(ascii: "%"): self = .map
            case UInt8(ascii: "~"): self = .set
            case UInt8(ascii: ">"): self = .push
            case UInt8(ascii: ","): self = .double
            case UInt8(ascii: "#"): self = .boolean
            case UInt8(ascii: "("): self = .bigNumber
            case UInt8(ascii: "="): self = .verbatim
            case UInt8(ascii: "!"): self = .blobError
            case UInt8(ascii: "|"): self = .attribute
            default: return nil
            }
        }

        var isText: Bool { self == .bulk || self == .blobError || self == .verbatim }

        var hasLength: Bool {
            switch self {
            case .bulk, .blobError, .verbatim, .array, .set, .push, .map, .attribute: true
            default: false
            }
        }

        var kind: Kind {
            switch self {
            case .status: .status
            case .error, .blobError: .error
            case .integer: .integer
            case .double: .double
            case .boolean: .boolean
            case .bigNumber: .bigNumber
            case .null: .null
            case .bulk: .bulk
            case .verbatim: .verbatim
            case .array: .array
            case .set: .set
            case .push: .push
            case .map, .attribute: .map
            }
        }
    }
}

/// Why a server's bytes are no reply.
public enum ReplyFault: Error, Equatable, Sendable, CustomStringConvertible {
    case unknownType(UInt8)
    case badLength, badLine
    case tooLong(limit: Int)

    public var description: String {
        switch self {
        case .unknownType(let byte): "reply of an unknown type: byte \(byte)"
        case .badLength: "reply with a length that is none"
        case .badLine: "reply with a line that does not end in CRLF"
        case .tooLong(let limit): "reply longer than \(limit) bytes"
        }
    }
}
