import Glibc

/// Numbers as text the way Go's `strconv.FormatFloat` writes them: Prometheus' exposition, APIs and templates all do.
///
/// Shortest digits come from Swift's own `description`, which is the shortest decimal that reads back as the same
/// double, as Go's is; a given precision comes from glibc, whose conversion is exact, as Go's is.
public enum GoFormat {
    /// Which notation: the letters of Go's verbs.
    public enum Style: Sendable {
        /// `f`: `123.456`, never an exponent.
        case fixed
        /// `e`: `1.23456e+02`, the exponent signed and of two digits at least.
        case scientific
        /// `g`: `scientific` for exponents below -4 or from the precision upward (6 for the
        /// shortest digits), else `fixed`; no trailing zeros.
        case general
    }

    /// `value` in `style`; without a precision the fewest digits that read back as the same double.
    /// `NaN`, `+Inf` and `-Inf` in every style.
    public static func text(_ value: Double, _ style: Style = .general, precision: Int? = nil) -> String {
        var bytes: [UInt8] = []
        append(value, style, precision: precision, to: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Appends what `text` returns, without making a string.
    public static func append(
        _ value: Double, _ style: Style = .general, precision: Int? = nil, to bytes: inout [UInt8]
    ) {
        guard value.isFinite else { return append(notFinite: value, to: &bytes) }
        if let precision { return append(value, style, exactly: precision, to: &bytes) }
        if value.sign == .minus { bytes.append(UInt8(ascii: "-")) }
        let number = ShortestDecimal(value.magnitude)
        switch style {
        case .fixed: number.appendFixed(to: &bytes)
        case .scientific: number.appendScientific(to: &bytes)
        case .general:
            let exponent = number.point - 1
            if exponent < -4 || exponent >= 6 {
                number.appendScientific(to: &bytes)
            } else {
                number.appendFixed(to: &bytes)
            }
        }
    }

    /// Appends a finite number as Go's `encoding/json` writes a float64: `fixed` unless the magnitude is below 1e-6 or
    /// from 1e21 upward, and then with an exponent without leading zeros (`1e-9`). JSON has no word for the others,
    /// so they become `null`.
    public static func appendJSON(_ value: Double, to bytes: inout [UInt8]) {
        guard value.isFinite else { return bytes.append(contentsOf: "null".utf8) }
        if value.sign == .minus { bytes.append(UInt8(ascii: "-")) }
        let magnitude = value.magnitude
        let number = ShortestDecimal(magnitude)
        if magnitude != 0, magnitude < 1e-6 || magnitude >= 1e21 {
            number.appendScientific(exponentDigits: magnitude < 1 ? 1 : 2, to: &bytes)
        } else {
            number.appendFixed(to: &bytes)
        }
    }

    private static func append(notFinite value: Double, to bytes: inout [UInt8]) {
        let word = value.isNaN ? "NaN" : value > 0 ? "+Inf" : "-Inf"
        bytes.append(contentsOf: word.utf8)
    }

    private static func append(_ value: Double, _ style: Style, exactly precision: Int, to bytes: inout [UInt8]) {
        let format =
            switch style {
            case .fixed: "%.*f"
            case .scientific: "%.*e"
            case .general: "%.*g"
            }
        // 309 digits before the point, a sign, a point, and what was asked for behind it.
        let precision = min(max(precision, 0), 1 << 20)
        let room = 320 + precision
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: room) { buffer in
            guard let base = buffer.baseAddress else { return }
            let length = withVaList([Int32(precision), value]) { vsnprintf(base, room, format, $0) }
            for index in 0..<min(Int(length), room - 1) { bytes.append(UInt8(bitPattern: buffer[index])) }
        }
    }
}

/// The fewest decimal digits that read back as one double: `0.d1d2d3… × 10^point`. Zero is the digit 0 at point 1.
private struct ShortestDecimal {
    var digits: [UInt8] = []
    var point = 0

    init(_ magnitude: Double) {
        // Below 2^53 no shorter decimal lies within half a unit of a whole number.
        if magnitude < 9_007_199_254_740_992, magnitude.rounded(.towardZero) == magnitude {
            self.init(whole: UInt64(magnitude))
        } else {
            self.init(description: magnitude.description)
        }
    }

    private init(whole: UInt64) {
        guard whole > 0 else {
            digits = [UInt8(ascii: "0")]
            point = 1
            return
        }
        var rest = whole
        var trailingZeros = true
        while rest > 0 {
            let digit = UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            point += 1
            if trailingZeros, digit == 0 { continue }
            trailingZeros = false
            digits.append(UInt8(ascii: "0") + digit)
        }
        digits.reverse()
    }

    /// Reads `12.5`, `1e-07`, `1.25e+20`, the three shapes of a Swift double.
    private init(description: String) {
        var exponent = 0
        var exponentIsNegative = false
        var inExponent = false
        var seenPoint = false
        for byte in description.utf8 {
            switch byte {
            case UInt8(ascii: "."): seenPoint = true
            case UInt8(ascii: "e"): inExponent = true
            case UInt8(ascii: "+"): continue
            case UInt8(ascii: "-"): exponentIsNegative = true
            default:
                let digit = byte - UInt8(ascii: "0")
                if inExponent {
                    exponent = exponent * 10 + Int(digit)
                } else if digits.isEmpty, digit == 0 {
                    if seenPoint { point -= 1 }
                } else {
                    digits.append(byte)
                    if !seenPoint { point += 1 }
                }
            }
        }
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        point += exponentIsNegative ? -exponent : exponent
    }

    func appendFixed(to bytes: inout [UInt8]) {
        if point <= 0 {
            bytes.append(contentsOf: [UInt8(ascii: "0"), UInt8(ascii: ".")])
            bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: -point))
            bytes.append(contentsOf: digits)
        } else if point >= digits.count {
            bytes.append(contentsOf: digits)
            bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: point - digits.count))
        } else {
            bytes.append(contentsOf: digits[..<point])
            bytes.append(UInt8(ascii: "."))
            bytes.append(contentsOf: digits[point...])
        }
    }

    func appendScientific(exponentDigits: Int = 2, to bytes: inout [UInt8]) {
        bytes.append(digits[0])
        if digits.count > 1 {
            bytes.append(UInt8(ascii: "."))
            bytes.append(contentsOf: digits[1...])
        }
        let exponent = point - 1
        bytes.append(UInt8(ascii: "e"))
        bytes.append(exponent < 0 ? UInt8(ascii: "-") : UInt8(ascii: "+"))
        let text = String(exponent.magnitude)
        bytes.append(contentsOf: repeatElement(UInt8(ascii: "0"), count: max(0, exponentDigits - text.utf8.count)))
        bytes.append(contentsOf: text.utf8)
    }
}
