/// How much a partition may hold: entries, and their weight if bytes are counted.
struct Bounds: Equatable {
    var weight: Int
    var entries: Int

    @inline(__always)
    func haveRoom(for weight: Int, beside present: Int, _ entries: Int) -> Bool {
        present <= self.weight - weight && entries < self.entries
    }

    /// For a sample of the keys.
    func scaled(by factor: Double, _ sampleMask: UInt32) -> Bounds {
        let share = factor / Double(UInt64(sampleMask) + 1)
        return Bounds(weight: Bounds.scale(weight, share), entries: Bounds.scale(entries, share))
    }

    private static func scale(_ bound: Int, _ share: Double) -> Int {
        bound == .max ? .max : Int(min(Double(bound) * share, 0x1p62).rounded())
    }
}
