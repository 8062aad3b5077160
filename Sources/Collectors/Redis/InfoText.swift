/// Reading the lines and comma-separated fields of INFO without copying them.
extension Span<UInt8> {
    /// Where `byte` stands first in `range`.
    func firstIndex(of byte: UInt8, in range: Range<Int>) -> Int? {
        var index = range.lowerBound
        while index < range.upperBound {
            if self[index] == byte { return index }
            index += 1
        }
        return nil
    }

    func equals(_ range: Range<Int>, _ text: [UInt8]) -> Bool {
        range.count == text.count && hasPrefix(range, text)
    }

    func hasPrefix(_ range: Range<Int>, _ text: [UInt8]) -> Bool {
        guard range.count >= text.count else { return false }
        var index = 0
        while index < text.count {
            if self[range.lowerBound + index] != text[index] { return false }
            index += 1
        }
        return true
    }

    func hasSuffix(_ range: Range<Int>, _ text: [UInt8]) -> Bool {
        range.count >= text.count && equals(range.upperBound - text.count..<range.upperBound, text)
    }

    func bytes(_ range: Range<Int>) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        for index in range { bytes.append(self[index]) }
        return bytes
    }

    /// The text of a range; what is not UTF-8 is replaced by U+FFFD.
    func string(_ range: Range<Int>) -> String { String(decoding: bytes(range), as: UTF8.self) }

    func trimmed(_ range: Range<Int>) -> Range<Int> {
        var (start, end) = (range.lowerBound, range.upperBound)
        while start < end, self[start] <= 0x20 { start += 1 }
        while end > start, self[end - 1] <= 0x20 { end -= 1 }
        return start..<end
    }

    /// A decimal number. Up to 15 digits and a point are read here, exactly; anything else is left to the library.
    func number(_ range: Range<Int>) -> Double? {
        var index = range.lowerBound
        let isNegative = index < range.upperBound && self[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        var digits = 0
        var value: Int64 = 0
        var fractionDigits = -1
        while index < range.upperBound {
            let byte = self[index]
            if byte == UInt8(ascii: "."), fractionDigits < 0 {
                fractionDigits = 0
            } else if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9"), digits < 15 {
                value = value * 10 + Int64(byte - UInt8(ascii: "0"))
                digits += 1
                if fractionDigits >= 0 { fractionDigits += 1 }
            } else {
                return Double(string(range))
            }
            index += 1
        }
        guard digits > 0 else { return nil }
        // Both are exact in a Double, so their quotient is rounded once, as it should be.
        let magnitude = fractionDigits > 0 ? Double(value) / InfoNumber.powersOfTen[fractionDigits] : Double(value)
        return isNegative ? -magnitude : magnitude
    }

    /// Whether a range is `prefix` and a number: `slave0`.
    func isNumbered(_ range: Range<Int>, _ prefix: [UInt8]) -> Bool {
        guard range.count > prefix.count, hasPrefix(range, prefix) else { return false }
        for index in range.lowerBound + prefix.count..<range.upperBound
        where self[index] < UInt8(ascii: "0") || self[index] > UInt8(ascii: "9") { return false }
        return true
    }
}

/// Walks over the `name=value` parts of a comma-separated list, skipping what has no `=`.
struct Pairs {
    private var rest: Range<Int>

    init(_ range: Range<Int>) { rest = range }

    mutating func next(_ text: Span<UInt8>) -> (name: Range<Int>, value: Range<Int>)? {
        while !rest.isEmpty {
            let end = text.firstIndex(of: UInt8(ascii: ","), in: rest) ?? rest.upperBound
            let part = rest.lowerBound..<end
            rest = min(end + 1, rest.upperBound)..<rest.upperBound
            if let equals = text.firstIndex(of: UInt8(ascii: "="), in: part) {
                return (part.lowerBound..<equals, equals + 1..<part.upperBound)
            }
        }
        return nil
    }
}

enum InfoNumber {
    static let powersOfTen: [Double] = (0...15).map { exponent in
        (0..<exponent).reduce(1.0) { power, _ in power * 10 }
    }
}
