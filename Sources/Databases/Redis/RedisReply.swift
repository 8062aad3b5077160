/// One answer of RESP2. Texts are slices of one buffer that all answers of a pipeline share: each byte was copied once.
public enum RedisReply: Sendable, Equatable {
    case status(ArraySlice<UInt8>)
    case bulk(ArraySlice<UInt8>)
    case integer(Int64)
    case array([RedisReply])
    case null
    case error(String)

    /// The bytes of a status or bulk reply.
    public var bytes: ArraySlice<UInt8>? {
        switch self {
        case .status(let bytes), .bulk(let bytes): bytes
        default: nil
        }
    }

    /// Its bytes as text; what is not UTF-8 is replaced by U+FFFD.
    public var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// An integer, sent as such or as the text of one.
    public var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .status(let bytes), .bulk(let bytes): Int64(String(decoding: bytes, as: UTF8.self))
        default: nil
        }
    }

    public var elements: [RedisReply]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    public var errorText: String? {
        guard case .error(let text) = self else { return nil }
        return text
    }

    /// An array of names and values in turn, as `CONFIG GET` and `XINFO` answer. Nil when it is none of that shape.
    public var pairs: [(name: String, value: RedisReply)]? {
        guard let elements, elements.count.isMultiple(of: 2) else { return nil }
        var pairs: [(String, RedisReply)] = []
        pairs.reserveCapacity(elements.count / 2)
        for index in stride(from: 0, to: elements.count, by: 2) {
            guard let name = elements[index].text else { return nil }
            pairs.append((name, elements[index + 1]))
        }
        return pairs
    }
}
