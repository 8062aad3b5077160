import RedisProxy

/// A reply taken apart, for tests to look into. Maps become arrays of keys and values in turn.
package indirect enum Reply: Equatable, CustomStringConvertible {
    case text([UInt8])
    case integer(Int)
    case error(String)
    case array([Reply])
    case null

    package init(_ bytes: [UInt8]) {
        var place = 0
        self.init(bytes, &place)
    }

    private init(_ bytes: [UInt8], _ place: inout Int) {
        let type = bytes[place]
        let end = bytes[place...].firstIndex(of: 13) ?? bytes.count
        let line = String(decoding: bytes[(place + 1)..<end], as: UTF8.self)
        place = end + 2
        switch type {
        case UInt8(ascii: "-"): self = .error(line)
        case UInt8(ascii: ":"): self = .integer(Int(line) ?? 0)
        case UInt8(ascii: "$"), UInt8(ascii: "="):
            guard let length = Int(line), length >= 0 else {
                self = .null
                return
            }
            self = .text(Array(bytes[place..<(place + length)]))
            place += length + 2
        case UInt8(ascii: "_"): self = .null
        case UInt8(ascii: "*"), UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "%"):
            guard let count = Int(line), count >= 0 else {
                self = .null
                return
            }
            self = .array((0..<(type == UInt8(ascii: "%") ? count * 2 : count)).map { _ in Reply(bytes, &place) })
        default: self = .text(Array(line.utf8))
        }
    }

    package var elements: [Reply] {
        guard case .array(let elements) = self else { return [] }
        return elements
    }

    package var text: String {
        guard case .text(let bytes) = self else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    package var integer: Int? {
        guard case .integer(let value) = self else { return nil }
        return value
    }

    package var description: String {
        switch self {
        case .text(let bytes): "\"" + String(decoding: bytes, as: UTF8.self) + "\""
        case .integer(let value): "\(value)"
        case .error(let text): "error \(text)"
        case .array(let elements): "[" + elements.map(\.description).joined(separator: ", ") + "]"
        case .null: "null"
        }
    }
}
