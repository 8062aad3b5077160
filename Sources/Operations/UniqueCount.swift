import Glibc

/// How many different members a set had lately: in the window that runs and the one before it.
///
/// Exact up to 512 members, then HyperLogLog with 4,096 registers: 4 KiB a window and a standard error of 1.6 %
/// (Flajolet, Fusy, Gandouet, Meunier, "HyperLogLog", 2007).
struct UniqueCount: Sendable {
    private var current = UniqueWindow()
    private var previous = UniqueWindow()

    /// - Parameter hash: of the member, well mixed.
    mutating func insert(_ hash: UInt64) { current.insert(hash) }

    /// Ends the window that runs.
    mutating func rotate() {
        previous = current
        current = UniqueWindow()
    }

    var count: Double { current.union(previous).count }
}

private struct UniqueWindow: Sendable {
    private static let exactLimit = 512
    private static let bits = 12
    private static let size = 1 << bits

    private var exact: Set<UInt64> = []
    /// Empty while the members are few enough to be kept.
    private var registers: [UInt8] = []

    mutating func insert(_ hash: UInt64) {
        guard registers.isEmpty else { return raise(hash) }
        exact.insert(hash)
        if exact.count > Self.exactLimit { estimate() }
    }

    func union(_ other: UniqueWindow) -> UniqueWindow {
        var all = self
        guard !other.registers.isEmpty else {
            for hash in other.exact { all.insert(hash) }
            return all
        }
        if all.registers.isEmpty { all.estimate() }
        for index in 0..<Self.size { all.registers[index] = max(all.registers[index], other.registers[index]) }
        return all
    }

    var count: Double {
        guard !registers.isEmpty else { return Double(exact.count) }
        let size = Double(Self.size)
        var sum = 0.0
        var empty = 0
        for register in registers {
            sum += 1 / Double(UInt64(1) << UInt64(register))
            if register == 0 { empty += 1 }
        }
        let raw = 0.7213 / (1 + 1.079 / size) * size * size / sum
        // Few members leave registers empty, and counting those is more exact: size · ln(size ÷ empty).
        guard raw <= 2.5 * size, empty > 0 else { return raw.rounded() }
        return (size * log(size / Double(empty))).rounded()
    }

    private mutating func estimate() {
        registers = Array(repeating: 0, count: Self.size)
        for hash in exact { raise(hash) }
        exact = []
    }

    private mutating func raise(_ hash: UInt64) {
        let index = Int(hash >> UInt64(64 - Self.bits))
        let rank = UInt8(min((hash << UInt64(Self.bits)).leadingZeroBitCount, 64 - Self.bits) + 1)
        registers[index] = max(registers[index], rank)
    }
}
