/// Arithmetic on numbers from outside: what is too large becomes the largest, what is too small the smallest, and nothing
/// traps.
extension FixedWidthInteger {
    public func addingClamped(_ other: Self) -> Self {
        let (sum, overflows) = addingReportingOverflow(other)
        guard overflows else { return sum }
        return other < 0 ? .min : .max
    }

    public func subtractingClamped(_ other: Self) -> Self {
        let (difference, overflows) = subtractingReportingOverflow(other)
        guard overflows else { return difference }
        return other < 0 ? .max : .min
    }

    public func multipliedClamped(by other: Self) -> Self {
        let (product, overflows) = multipliedReportingOverflow(by: other)
        guard overflows else { return product }
        return (self < 0) == (other < 0) ? .max : .min
    }

    /// The nearest whole number; zero for what is no number.
    public init(clamping number: Double) {
        guard !number.isNaN else {
            self = 0
            return
        }
        let rounded = number.rounded()
        self = Self(exactly: rounded) ?? (rounded < 0 ? .min : .max)
    }
}
