/// Decimal numbers out of bytes without a `String`.
///
/// Up to 15 digits are exact: such a whole number and such a power of ten are both
/// doubles, and one division rounds once (Clinger, "How to read floating point numbers accurately", 1990). Everything
/// longer, and exponents, go through `Double(String)`.
enum DecimalReader {
    /// - Returns: nil for anything but a finite number that fills the range.
    static func read(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Double? {
        var place = range.lowerBound
        let end = range.upperBound
        guard place < end else { return nil }
        let isNegative = bytes[place] == UInt8(ascii: "-")
        if isNegative || bytes[place] == UInt8(ascii: "+") { place += 1 }
        var whole: UInt64 = 0
        var digits = 0
        var behindPoint = 0
        var hasPoint = false
        while place < end {
            let byte = bytes[place]
            if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") {
                digits += 1
                guard digits <= 15 else { return readSlowly(bytes, range) }
                whole = whole &* 10 &+ UInt64(byte &- UInt8(ascii: "0"))
                if hasPoint { behindPoint += 1 }
            } else if byte == UInt8(ascii: "."), !hasPoint {
                hasPoint = true
            } else {
                return readSlowly(bytes, range)
            }
            place += 1
        }
        guard digits > 0 else { return nil }
        let value = behindPoint == 0 ? Double(whole) : Double(whole) / powersOfTen[behindPoint]
        return isNegative ? -value : value
    }

    private static let powersOfTen: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
    ]

    /// A number of many digits or with an exponent; not hexadecimal, an infinity or `nan`, which `Double` would take.
    private static func readSlowly(_ bytes: Span<UInt8>, _ range: Range<Int>) -> Double? {
        guard range.count <= 64 else { return nil }
        var text: [UInt8] = []
        for index in range {
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "+"), UInt8(ascii: "-"),
                UInt8(ascii: "e"), UInt8(ascii: "E"):
                text.append(bytes[index])
            default: return nil
            }
        }
        guard let value = Double(String(decoding: text, as: UTF8.self)), value.isFinite else { return nil }
        return value
    }
}
