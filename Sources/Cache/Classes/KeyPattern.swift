import Runtime

/// Which keys belong to a class: text in which `*` stands for any bytes, also none, and `?` for one.
public struct KeyPattern: Sendable, Equatable, CustomStringConvertible {
    public let description: String
    private let bytes: [UInt8]
    /// The pattern is these bytes and a single star at the end, as most are.
    private let prefixLength: Int?

    private static let star = UInt8(ascii: "*")
    private static let question = UInt8(ascii: "?")

    public init(_ text: String) {
        description = text
        bytes = Array(text.utf8)
        let firstWild = bytes.firstIndex { $0 == KeyPattern.star || $0 == KeyPattern.question }
        prefixLength = firstWild == bytes.count - 1 && bytes.last == KeyPattern.star ? firstWild : nil
    }

    /// Costs at most the product of both lengths, and their sum for patterns with one star.
    public func matches(_ key: Span<UInt8>) -> Bool {
        if let prefixLength {
            return key.count >= prefixLength
                && key.extracting(0..<prefixLength).hasSameBytes(as: bytes.span.extracting(0..<prefixLength))
        }
        var (place, position) = (0, 0)
        // Where to go on when what follows the last star does not fit: one byte more to the star.
        var retry: (place: Int, position: Int)?
        while position < key.count {
            if place < bytes.count, bytes[place] == KeyPattern.star {
                place += 1
                retry = (place, position)
            } else if place < bytes.count, bytes[place] == KeyPattern.question || bytes[place] == key[position] {
                place += 1
                position += 1
            } else if let last = retry {
                retry = (last.place, last.position + 1)
                (place, position) = (last.place, last.position + 1)
            } else {
                return false
            }
        }
        return bytes[place...].allSatisfy { $0 == KeyPattern.star }
    }
}
