/// From a number to a level: where each level begins, and how far back a value must come to leave it.
public struct Scale: Sendable, Equatable {
    /// Where good, fair, poor and critical begin; nil for a level that this indicator never causes.
    public var good: Double?
    public var fair: Double?
    public var poor: Double?
    public var critical: Double?
    /// Whether larger is worse.
    public var isRising: Bool
    /// By how much of a threshold the value must be better than it to leave the level.
    public var margin: Double

    init(_ thresholds: [Double?], isRising: Bool = true, margin: Double = 0.1) {
        precondition(thresholds.count == 4)
        (good, fair, poor, critical) = (thresholds[0], thresholds[1], thresholds[2], thresholds[3])
        self.isRising = isRising
        self.margin = margin
    }

    /// The level of a value.
    ///
    /// - Parameter held: the level the indicator was at, which it leaves for a better one only by the margin.
    func level(_ value: Double, held: PerformanceLevel = .excellent) -> PerformanceLevel {
        let entered = level(entered: value, shift: 0)
        guard entered < held else { return entered }
        return min(held, level(entered: value, shift: margin))
    }

    private func level(entered value: Double, shift: Double) -> PerformanceLevel {
        for (level, threshold) in steps.reversed() {
            let border = isRising ? threshold * (1 - shift) : threshold * (1 + shift)
            if isRising ? value >= border : value < border { return level }
        }
        return .excellent
    }

    /// Where a level begins, or the nearest milder one that this scale has.
    func threshold(of level: PerformanceLevel) -> Double? { steps.last { $0.level <= level }?.threshold }

    private var steps: [(level: PerformanceLevel, threshold: Double)] {
        [(PerformanceLevel.good, good), (.fair, fair), (.poor, poor), (.critical, critical)].compactMap {
            level, value in
            value.map { (level, $0) }
        }
    }

    /// 100 at its best to 0 at its worst: twenty points a level, and within a level by how far the value has come towards
    /// the next one. Never larger for a worse value.
    func score(_ value: Double) -> Double {
        let level = level(value)
        let top = Double(100 - 20 * max(0, level.code))
        let from = level == .excellent ? 0 : threshold(of: level) ?? 0
        guard let next = steps.first(where: { $0.level > level })?.threshold, next != from,
            isRising || level != .excellent
        else { return level == .critical ? 0 : top }
        return top - 20 * min(1, max(0, (value - from) / (next - from)))
    }

    /// With every threshold multiplied, and none beyond `most`.
    func scaled(by factor: Double, most: Double) -> Scale {
        var scaled = self
        scaled.good = good.map { min($0 * factor, most) }
        scaled.fair = fair.map { min($0 * factor, most) }
        scaled.poor = poor.map { min($0 * factor, most) }
        scaled.critical = critical.map { min($0 * factor, most) }
        return scaled
    }
}
