import Glibc

/// The C library's functions that Swift's own library has not.
enum Mathematics {
    @Sendable static func exp(_ value: Double) -> Double { Glibc.exp(value) }
    @Sendable static func log(_ value: Double) -> Double { Glibc.log(value) }
    @Sendable static func log2(_ value: Double) -> Double { Glibc.log2(value) }
    @Sendable static func log10(_ value: Double) -> Double { Glibc.log10(value) }
    @Sendable static func sin(_ value: Double) -> Double { Glibc.sin(value) }
    @Sendable static func cos(_ value: Double) -> Double { Glibc.cos(value) }
    @Sendable static func tan(_ value: Double) -> Double { Glibc.tan(value) }
    @Sendable static func asin(_ value: Double) -> Double { Glibc.asin(value) }
    @Sendable static func acos(_ value: Double) -> Double { Glibc.acos(value) }
    @Sendable static func atan(_ value: Double) -> Double { Glibc.atan(value) }
    @Sendable static func sinh(_ value: Double) -> Double { Glibc.sinh(value) }
    @Sendable static func cosh(_ value: Double) -> Double { Glibc.cosh(value) }
    @Sendable static func tanh(_ value: Double) -> Double { Glibc.tanh(value) }
    @Sendable static func asinh(_ value: Double) -> Double { Glibc.asinh(value) }
    @Sendable static func acosh(_ value: Double) -> Double { Glibc.acosh(value) }
    @Sendable static func atanh(_ value: Double) -> Double { Glibc.atanh(value) }

    static func power(_ base: Double, _ exponent: Double) -> Double { Glibc.pow(base, exponent) }
    static func remainder(_ left: Double, _ right: Double) -> Double { Glibc.fmod(left, right) }
    static func arcTangent(_ left: Double, _ right: Double) -> Double { Glibc.atan2(left, right) }
}
