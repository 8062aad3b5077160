import Runtime

/// Walks through the texts of an array reply whose frame `ReplySkimmer` has checked.
struct ReplyParts {
    private var place: Int
    private var missing = 0

    /// - Parameter place: where the array begins.
    init(of bytes: Span<UInt8>, at place: Int = 0) {
        self.place = place
        guard let end = bytes.lineEnd(from: place), end - 2 > place else { return }
        missing = max(0, bytes.strictInteger(in: place + 1..<end - 2) ?? 0)
        self.place = end
    }

    /// Where the next text is; nil at the end, and where the next part is none.
    mutating func next(in bytes: Span<UInt8>) -> Range<Int>? {
        guard missing > 0, place < bytes.count, bytes[place] == UInt8(ascii: "$"),
            let start = bytes.lineEnd(from: place), start - 2 > place,
            let length = bytes.strictInteger(in: place + 1..<start - 2), length >= 0, length <= bytes.count - start - 2
        else { return nil }
        missing -= 1
        place = start + length + 2
        return start..<start + length
    }

    /// The next part, which is an array; nil for a null. To be the last part that is looked at.
    mutating func nextArray(in bytes: Span<UInt8>) -> ReplyParts? {
        guard missing > 0, place + 1 < bytes.count, bytes[place] == UInt8(ascii: "*"),
            bytes[place + 1] != UInt8(ascii: "-")
        else { return nil }
        missing = 0
        return ReplyParts(of: bytes, at: place)
    }
}
