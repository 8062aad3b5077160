/// The mark that a series ends here: a NaN that no calculation makes.
public enum StaleNaN {
    public static let bits: UInt64 = 0x7ff0_0000_0000_0002

    public static let value = Double(bitPattern: bits)
}

extension Double {
    /// Whether this is Prometheus' mark of an ended series; every other NaN is a number that was measured.
    @inlinable public var isStale: Bool { bitPattern == StaleNaN.bits }
}
