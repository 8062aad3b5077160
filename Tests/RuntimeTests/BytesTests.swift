import Runtime
import Testing

@Suite struct BytesTests {
    @Test(arguments: [
        (0.0, "0"), (-0.0, "-0"), (1, "1"), (-17, "-17"), (999_999, "999999"), (1_000_000, "1e+06"),
        (1_234_567, "1.234567e+06"), (12345.678, "12345.678"), (0.0001, "0.0001"), (0.00001, "1e-05"),
        (1.5e300, "1.5e+300"), (12_345_678.9, "1.23456789e+07"), (.infinity, "+Inf"), (-.infinity, "-Inf"),
        (.nan, "NaN"), (0.1, "0.1"), (1_700_000_000.25, "1.70000000025e+09"),
    ])
    func numbersAreWrittenAsGoWritesThem(_ value: Double, _ text: String) {
        var bytes: [UInt8] = []
        bytes.append(shortest: value)
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }
}
