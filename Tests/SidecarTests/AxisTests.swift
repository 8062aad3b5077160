import Testing

@testable import Sidecar

/// From where to where the first page's drawings reach.
@Suite struct AxisTests {
    @Test(arguments: [
        ([1.99, 2.01], "per second", 0.0, 3.0), ([0, 0], "ratio", 0, 0.005), ([0.97, 0.98], "ratio", 0, 1),
        ([0.02, 0.031], "ratio", 0, 0.04), ([0, 0], "per second", 0, 0.5), ([55, 60], "of 100", 0, 100),
        ([0.0037, 0.0036], "seconds", 0, 0.004),
    ])
    func ratesSharesAndTimesBeginAtZero(_ values: [Double], _ unit: String, _ low: Double, _ high: Double) {
        let axis = Axis(of: values, unit)
        #expect(axis.low == low && abs(axis.high - high) < 1e-9, "\(axis)")
    }

    @Test(arguments: [[1_000_000.0, 1_000_001], [5e9, 5.001e9], [0, 0], [12, 900]])
    func memoryHasARangeThatShows(_ values: [Double]) {
        let axis = Axis(of: values, "bytes")
        #expect(axis.low <= values[0] && axis.high >= values[1])
        #expect(Quantity.text(axis.low, "bytes") != Quantity.text(axis.high, "bytes"))
    }
}
