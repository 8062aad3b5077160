extension Array where Element == UInt8 {
    /// Appends the decimal digits of a whole number.
    public mutating func append(decimal value: Int) {
        if value < 0 { append(UInt8(ascii: "-")) }
        append(digits: UInt64(value.magnitude))
    }

    /// Appends a number as the exporters written in Go do: the shortest form of `GoFormat`'s `general` style. Whole
    /// numbers below a million, which most samples are, take a short cut.
    public mutating func append(shortest value: Double) {
        if let whole = Int(exactly: value), whole.magnitude < 1_000_000, whole != 0 || value.sign == .plus {
            append(decimal: whole)
        } else {
            GoFormat.append(value, to: &self)
        }
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
}
