extension Array where Element == UInt8 {
    /// Appends the decimal digits of a whole number.
    public mutating func append(decimal value: Int) {
        if value < 0 { append(UInt8(ascii: "-")) }
        append(digits: UInt64(value.magnitude))
    }

    /// Appends a number as Go's `strconv.FormatFloat(v, 'g', -1, 64)` does, and so do all exporters written in Go: the
    /// fewest digits that read back as the same number, with an exponent below 1e-4 and from 1e+06 on; `+Inf`, `-Inf`
    /// and `NaN`.
    public mutating func append(shortest value: Double) {
        if let whole = Int64(exactly: value), whole.magnitude < 1 << 53, value.sign == .plus || whole != 0 {
            if whole < 0 { append(UInt8(ascii: "-")) }
            if whole.magnitude < 1_000_000 {
                append(digits: whole.magnitude)
            } else {
                append(scientific: whole.magnitude)
            }
            return
        }
        guard value.isFinite else {
            append(contentsOf: (value.isNaN ? "NaN" : value < 0 ? "-Inf" : "+Inf").utf8)
            return
        }
        append(reformatting: value)
    }

    private mutating func append(digits value: UInt64) {
        let start = count
        var rest = value
        repeat {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        self[start...].reverse()
    }

    /// A whole number of at least seven digits as `d.ddde+XX` without trailing zeros.
    private mutating func append(scientific value: UInt64) {
        let start = count
        append(digits: value)
        let exponent = count - start - 1
        while self[count - 1] == UInt8(ascii: "0") { removeLast() }
        if count - start > 1 { insert(UInt8(ascii: "."), at: start + 1) }
        append(exponent: exponent)
    }

    private mutating func append(exponent: Int) {
        append(UInt8(ascii: "e"))
        append(UInt8(ascii: exponent < 0 ? "-" : "+"))
        if exponent.magnitude < 10 { append(UInt8(ascii: "0")) }
        append(digits: UInt64(exponent.magnitude))
    }

    /// Swift's own description has the fewest digits too, but other rules for the exponent: take it apart.
    private mutating func append(reformatting value: Double) {
        var digits: [UInt8] = []
        var pointAfter: Int?
        var exponent = 0
        var text = value.description.utf8[...]
        if text.first == UInt8(ascii: "-") {
            append(UInt8(ascii: "-"))
            text.removeFirst()
        }
        while let byte = text.first {
            text.removeFirst()
            switch byte {
            case UInt8(ascii: "."): pointAfter = digits.count
            case UInt8(ascii: "e"):
                exponent = Int(Substring(text)) ?? 0
                text = text[text.endIndex...]
            default: digits.append(byte)
            }
        }
        var firstExponent = (pointAfter ?? digits.count) - 1 + exponent
        let leadingZeros = digits.prefix { $0 == UInt8(ascii: "0") }.count
        digits.removeFirst(Swift.min(leadingZeros, digits.count))
        firstExponent -= leadingZeros
        while digits.last == UInt8(ascii: "0") { digits.removeLast() }
        guard !digits.isEmpty else {
            append(UInt8(ascii: "0"))
            return
        }

        if firstExponent < -4 || firstExponent >= 6 {
            append(digits[0])
            if digits.count > 1 {
                append(UInt8(ascii: "."))
                append(contentsOf: digits[1...])
            }
            append(exponent: firstExponent)
        } else if firstExponent < 0 {
            append(contentsOf: "0.".utf8)
            append(contentsOf: repeatElement(UInt8(ascii: "0"), count: -firstExponent - 1))
            append(contentsOf: digits)
        } else if digits.count <= firstExponent + 1 {
            append(contentsOf: digits)
            append(contentsOf: repeatElement(UInt8(ascii: "0"), count: firstExponent + 1 - digits.count))
        } else {
            append(contentsOf: digits[...firstExponent])
            append(UInt8(ascii: "."))
            append(contentsOf: digits[(firstExponent + 1)...])
        }
    }
}
