/// The `long double` of Redis' `INCRBYFLOAT`: 80 bits where the processor has them, else 64. It is read and written as
/// Redis does (`string2ld`, `ld2string` with 17 digits behind the point and no zeros at the end).
struct WideFloat {
    #if arch(x86_64) || arch(i386)
        typealias Value = Float80
    #else
        typealias Value = Double
    #endif

    private let value: Value

    init?(_ value: Value) { self.value = value }

    /// Nil for what is no number, as Redis understands it: no blanks, no NaN, whole.
    init?(_ text: [UInt8]) {
        // Swift reads up to a zero byte, and would take what is in front of it.
        guard !text.isEmpty, text.count < 5 * 1024, !text.contains(0),
            let value = Value(String(decoding: text, as: UTF8.self)),
            !value.isNaN
        else { return nil }
        // Too large or too small for a number, which strtold tells apart from infinity and zero.
        let mantissa = text.prefix { $0 | 0x20 != UInt8(ascii: "e") && $0 | 0x20 != UInt8(ascii: "p") }
        let hasDigits = mantissa.contains { (UInt8(ascii: "1")...UInt8(ascii: "9")).contains($0) }
        if hasDigits, value.isInfinite || value == 0 { return nil }
        self.value = value
    }

    private init(sum: Value) { value = sum }

    var isFinite: Bool { value.isFinite }

    static func + (left: WideFloat, right: WideFloat) -> WideFloat { WideFloat(sum: left.value + right.value) }

    /// Without an exponent, rounded to 17 digits behind the point. Nil for infinity and what is no number.
    var text: [UInt8]? {
        guard value.isFinite else { return nil }
        let magnitude = value.magnitude
        var whole = magnitude.rounded(.towardZero)
        // Exact: both are multiples of the last bit of the same number.
        var fraction = Self.hundredQuadrillionths(of: magnitude - whole)
        if fraction == 100_000_000_000_000_000 {
            whole += 1
            fraction = 0
        }
        var digits = Self.digits(of: whole)
        if fraction > 0 {
            let behindPoint = String(fraction)
            var padded = Array(repeatElement(UInt8(ascii: "0"), count: 17 - behindPoint.utf8.count))
            padded += Array(behindPoint.utf8)
            while padded.last == UInt8(ascii: "0") { padded.removeLast() }
            digits.append(UInt8(ascii: "."))
            digits += padded
        }
        let isZero = digits == [UInt8(ascii: "0")]
        return value < 0 && !isZero ? [UInt8(ascii: "-")] + digits : digits
    }

    /// A fraction times 10^17, rounded half to even.
    private static func hundredQuadrillionths(of fraction: Value) -> UInt64 {
        guard fraction > 0, fraction.exponent >= -70 else { return 0 }
        // 64 bits behind the point hold all of a fraction next to a whole number; of one below 2^-6 a few are lost, which
        // lie far behind the 17th digit.
        let scaled = fraction * 18_446_744_073_709_551_616
        let product = UInt128(UInt64(scaled)) * 100_000_000_000_000_000
        let result = UInt64(truncatingIfNeeded: product >> 64)
        let rest = UInt64(truncatingIfNeeded: product)
        let half: UInt64 = 1 << 63
        return rest > half || rest == half && result % 2 == 1 ? result + 1 : result
    }

    /// All digits of a whole number of any size.
    private static func digits(of whole: Value) -> [UInt8] {
        if whole < 18_446_744_073_709_551_616 { return Array(String(UInt64(whole)).utf8) }
        // The bits in front, doubled as often as the exponent says, in groups of 18 digits, the lowest first.
        let shift = Int(whole.exponent) - 63
        var bits = UInt64(whole / Value(sign: .plus, exponent: Value.Exponent(shift), significand: 1))
        let base: UInt64 = 1_000_000_000_000_000_000
        var groups: [UInt64] = []
        while bits > 0 {
            groups.append(bits % base)
            bits /= base
        }
        for _ in 0..<shift {
            var carry: UInt64 = 0
            for index in groups.indices {
                let doubled = groups[index] * 2 + carry
                groups[index] = doubled % base
                carry = doubled / base
            }
            if carry > 0 { groups.append(carry) }
        }
        var text = String(groups.last ?? 0)
        for group in groups.dropLast().reversed() {
            let digits = String(group)
            text += String(repeating: "0", count: 18 - digits.utf8.count) + digits
        }
        return Array(text.utf8)
    }
}
