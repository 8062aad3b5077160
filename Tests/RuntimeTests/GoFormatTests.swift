import Runtime
import Testing

@Suite struct GoFormatTests {
    @Test(arguments: [
        (0.0, "0"), (-0.0, "-0"), (1, "1"), (-1, "-1"), (100000, "100000"), (999999, "999999"), (1e6, "1e+06"),
        (1_234_567, "1.234567e+06"), (12345678.9, "1.23456789e+07"), (12345.678, "12345.678"), (0.0001, "0.0001"),
        (0.00001, "1e-05"), (0.000012345, "1.2345e-05"), (1e21, "1e+21"), (1e100, "1e+100"),
        (Double.leastNonzeroMagnitude, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"), (33.333333333333336, "33.333333333333336"),
        (9_007_199_254_740_992, "9.007199254740992e+15"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
    ]) func theShortestGeneralFormIsGos(_ value: Double, _ text: String) {
        #expect(GoFormat.text(value) == text)
    }

    @Test(arguments: [
        (10.5, "1.05e+01"), (0, "0e+00"), (1e-7, "1e-07"), (123, "1.23e+02"), (1e300, "1e+300"), (-2, "-2e+00"),
    ]) func theShortestScientificFormIsGos(_ value: Double, _ text: String) {
        #expect(GoFormat.text(value, .scientific) == text)
    }

    @Test(arguments: [
        (1e21, "1000000000000000000000"), (1e-7, "0.0000001"), (1.25, "1.25"), (120, "120"), (0, "0"),
        (5e-10, "0.0000000005"), (1.5e16, "15000000000000000"),
    ]) func theShortestFixedFormHasNoExponent(_ value: Double, _ text: String) {
        #expect(GoFormat.text(value, .fixed) == text)
    }

    @Test(arguments: [
        (2.5, GoFormat.Style.fixed, 0, "2"), (0.125, .fixed, 2, "0.12"), (1.005, .fixed, 2, "1.00"),
        (1e22, .fixed, 1, "10000000000000000000000.0"), (1234, .general, 4, "1234"), (12345, .general, 4, "1.234e+04"),
        (100000, .general, 4, "1e+05"), (0.5, .general, 4, "0.5"), (1, .scientific, 3, "1.000e+00"),
        (.infinity, .fixed, 2, "+Inf"),
    ]) func aGivenPrecisionIsRoundedExactly(_ value: Double, _ style: GoFormat.Style, _ digits: Int, _ text: String) {
        #expect(GoFormat.text(value, style, precision: digits) == text)
    }

    @Test(arguments: [
        (1e20, "100000000000000000000"), (1e21, "1e+21"), (1e-6, "0.000001"), (1e-7, "1e-7"), (1.5e-10, "1.5e-10"),
        (0, "0"), (.nan, "null"),
    ]) func jsonKeepsGosShorterExponents(_ value: Double, _ text: String) {
        var bytes: [UInt8] = []
        GoFormat.appendJSON(value, to: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == text)
    }

    @Test func everyDoubleReadsBackAsItselfAndWithNoFewerDigits() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            let value = Double(bitPattern: UInt64.random(in: 0..<0x7ff0_0000_0000_0000, using: &random))
            let whole = Double(UInt64.random(in: 0..<(1 << 54), using: &random))
            for value in [value, whole, -value] {
                for style in [GoFormat.Style.general, .scientific, .fixed] {
                    #expect(Double(GoFormat.text(value, style)) == value)
                }
                let scientific = GoFormat.text(value.magnitude, .scientific)
                let digits = scientific.prefix { $0 != "e" }.count { $0 != "." }
                guard digits > 1 else { continue }
                let shorter = GoFormat.text(value.magnitude, .scientific, precision: digits - 2)
                #expect(Double(shorter) != value.magnitude, "\(shorter) is shorter than \(scientific)")
            }
        }
    }
}
