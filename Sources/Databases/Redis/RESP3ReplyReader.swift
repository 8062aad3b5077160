/// What reads replies, however they are written.
protocol ReplyReading: AnyObject {
    /// - Returns: how many whole replies are there now.
    func feed(_ bytes: UnsafeRawBufferPointer) throws(RedisError) -> Int
    /// The whole replies, in order. The reader is then ready for the next ones.
    func take() -> [RedisReply]
}

extension RedisReplyReader: ReplyReading {}

/// Reads RESP3, which Debian's hiredis cannot, and tells it as RESP2 would have: a map as names and values in turn, a
/// boolean as 1 or 0, a double as its text. Pushes and attributes, which nobody here asked for, are left out.
///
/// The cost is one pass over the bytes and a copy of each text. <https://github.com/redis/redis-specifications>
final class RESP3ReplyReader: ReplyReading {
    private let limitBytes: Int
    private let limitValues: Int
    private static let limitDepth = 32
    private static let limitLineBytes = 1 << 16

    private var bytes: [UInt8] = []
    private var place = 0
    private var fedBytes = 0
    private var values = 0
    private var open: [Aggregate] = []
    private var replies: [RedisReply] = []

    private struct Aggregate {
        enum Kind { case array, push, attribute }
        let kind: Kind
        var missing: Int
        var elements: [RedisReply] = []
    }

    /// - Parameter limitBytes: what all replies since the last `take()` may have together.
    init(limitBytes: Int) {
        self.limitBytes = limitBytes
        limitValues = min(limitBytes / 3, 1 << 20)
    }

    func feed(_ new: UnsafeRawBufferPointer) throws(RedisError) -> Int {
        fedBytes += new.count
        guard fedBytes <= limitBytes else { throw .replyTooLong(limitBytes: limitBytes) }
        bytes.append(contentsOf: new)
        while try readOne() {}
        if place == bytes.count {
            bytes.removeAll(keepingCapacity: bytes.capacity <= 1 << 20)
            place = 0
        } else if place > 1 << 16 {
            bytes.removeFirst(place)
            place = 0
        }
        return replies.count
    }

    func take() -> [RedisReply] {
        fedBytes = 0
        values = 0
        defer { replies = [] }
        return replies
    }

    /// Reads a value, or the head of an aggregate. False when more bytes are needed for it.
    private func readOne() throws(RedisError) -> Bool {
        guard place < bytes.count, let end = try endOfLine() else { return false }
        let type = bytes[place]
        let line = bytes[place + 1..<end]
        let after = end + 2
        switch type {
        case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
            let length = try count(line)
            if length < 0 {
                place = after
                try add(.null)
                return true
            }
            guard bytes.count - after >= length + 2 else { return false }
            let text = bytes[after..<after + length]
            guard bytes[after + length] == 13, bytes[after + length + 1] == 10 else {
                throw .protocolBroken("a text that is longer than it says")
            }
            place = after + length + 2
            try add(value(type, text))
        case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: "%"), UInt8(ascii: ">"), UInt8(ascii: "|"):
            place = after
            try begin(type, try count(line))
        default:
            place = after
            try add(try simple(type, line))
        }
        return true
    }

    private func endOfLine() throws(RedisError) -> Int? {
        let searched = bytes[place..<min(bytes.count, place + Self.limitLineBytes)]
        guard let end = searched.firstIndex(of: 13) else {
            if searched.count == Self.limitLineBytes { throw .protocolBroken("a line without an end") }
            return nil
        }
        guard end > place else { throw .protocolBroken("an empty line") }
        return end + 1 < bytes.count ? end : nil
    }

    private func count(_ line: ArraySlice<UInt8>) throws(RedisError) -> Int {
        guard let count = Int(String(decoding: line, as: UTF8.self)), count >= -1, count <= limitBytes else {
            throw .protocolBroken("a length of \(String(decoding: line.prefix(32), as: UTF8.self))")
        }
        return count
    }

    private func value(_ type: UInt8, _ text: ArraySlice<UInt8>) -> RedisReply {
        // Copied, so that what is kept of a reply does not keep the rest.
        switch type {
        case UInt8(ascii: "!"): .error(String(decoding: text, as: UTF8.self))
        // Its format goes before: `txt:`.
        case UInt8(ascii: "="): .bulk(Array(text.dropFirst(4))[...])
        default: .bulk(Array(text)[...])
        }
    }

    private func simple(_ type: UInt8, _ line: ArraySlice<UInt8>) throws(RedisError) -> RedisReply {
        switch type {
        case UInt8(ascii: "+"): return .status(Array(line)[...])
        case UInt8(ascii: "-"): return .error(String(decoding: line, as: UTF8.self))
        case UInt8(ascii: ","), UInt8(ascii: "("): return .bulk(Array(line)[...])
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: "#"): return .integer(line.first == UInt8(ascii: "t") ? 1 : 0)
        case UInt8(ascii: ":"):
            guard let number = Int64(String(decoding: line, as: UTF8.self)) else {
                throw .protocolBroken("a number that is none")
            }
            return .integer(number)
        default: throw .protocolBroken("a reply of the unknown type \(type)")
        }
    }

    private func begin(_ type: UInt8, _ count: Int) throws(RedisError) {
        guard count >= 0 else { return try add(.null) }
        let kind: Aggregate.Kind =
            switch type {
            case UInt8(ascii: ">"): .push
            case UInt8(ascii: "|"): .attribute
            default: .array
            }
        let isPairs = type == UInt8(ascii: "%") || type == UInt8(ascii: "|")
        guard open.count < Self.limitDepth else { throw .protocolBroken("replies nested too deep") }
        let missing = isPairs ? count * 2 : count
        guard values + missing <= limitValues else { throw .replyTooLong(limitBytes: limitBytes) }
        open.append(Aggregate(kind: kind, missing: missing))
        closeFull()
    }

    private func add(_ value: RedisReply) throws(RedisError) {
        values += 1
        guard values <= limitValues else { throw .replyTooLong(limitBytes: limitBytes) }
        put(value)
        closeFull()
    }

    private func put(_ value: RedisReply) {
        guard !open.isEmpty else { return replies.append(value) }
        open[open.count - 1].elements.append(value)
        open[open.count - 1].missing -= 1
    }

    private func closeFull() {
        while let last = open.last, last.missing == 0 {
            open.removeLast()
            // A push stands between replies, and what an attribute belongs to follows it.
            if last.kind == .array { put(.array(last.elements)) }
        }
    }
}
