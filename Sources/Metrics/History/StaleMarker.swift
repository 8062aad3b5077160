extension Double {
    /// The mark that a series ends here: a NaN that no calculation makes, with the bits that Prometheus gave it.
    static let staleMarker = Double(bitPattern: staleMarkerBits)

    static let staleMarkerBits: UInt64 = 0x7FF0_0000_0000_0002
}
