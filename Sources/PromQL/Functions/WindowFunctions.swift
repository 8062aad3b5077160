extension WindowFunction {
    // MARK: Slopes

    static let rate = WindowFunction(wantsCounter: true) { points, window in
        extrapolated(points, window, isCounter: true, perSecond: true)
    }

    static let increase = WindowFunction(wantsCounter: true) { points, window in
        extrapolated(points, window, isCounter: true)
    }

    static let delta = WindowFunction { points, window in extrapolated(points, window, isCounter: false) }

    static let irate = WindowFunction { points, _ in
        guard points.count > 1 else { return nil }
        let last = points[points.count - 1]
        let before = points[points.count - 2]
        guard last.time > before.time else { return nil }
        let rise = last.value < before.value ? last.value : last.value - before.value
        return rise / (Double(last.time - before.time) / 1000)
    }

    static let idelta = WindowFunction { points, _ in
        guard points.count > 1 else { return nil }
        return points[points.count - 1].value - points[points.count - 2].value
    }

    static let deriv = WindowFunction { points, _ in
        guard points.count > 1 else { return nil }
        return regression(points, interceptAt: points[0].time).slope
    }

    static let predictLinear = WindowFunction(usesEvaluationTime: true) { points, window in
        guard points.count > 1 else { return nil }
        let line = regression(points, interceptAt: window.evaluation)
        return line.slope * window.parameter + line.intercept
    }

    /// Double exponential smoothing (Holt, 1957; NIST/SEMATECH e-Handbook, 6.4.3.3): the level that a series has reached,
    /// each sample weighed by the first factor and the trend by the second.
    static func smoothed(note: String?) -> WindowFunction {
        WindowFunction(takesFactors: true, note: note) { points, window in
            guard points.count > 1 else { return nil }
            let (smoothing, weight) = (window.parameter, window.second)
            var (before, level, trend) = (0.0, points[0].value, points[1].value - points[0].value)
            for index in 1..<points.count {
                if index > 1 { trend = weight * (level - before) + (1 - weight) * trend }
                let next = smoothing * points[index].value + (1 - smoothing) * (level + trend)
                (before, level) = (level, next)
            }
            return level
        }
    }

    /// How much a series rose within the window, if its samples were everywhere as dense as where they are.
    ///
    /// The rise between the first and last sample is stretched to the window's edges. Where an edge is farther away
    /// than 1.1 times the mean distance of samples, the series is taken to have begun or ended half such a distance
    /// beyond its sample. A counter is not stretched to before it was zero, and a fall is a restart from zero.
    private static func extrapolated(_ points: Span<Point>, _ window: Window, isCounter: Bool, perSecond: Bool = false)
        -> Double?
    {
        guard points.count > 1 else { return nil }
        let first = points[0]
        let last = points[points.count - 1]
        var rise = last.value - first.value
        if isCounter {
            var previous = first.value
            for index in 1..<points.count {
                let value = points[index].value
                if value < previous { rise += previous }
                previous = value
            }
        }
        var toStart = Double(first.time - window.start) / 1000
        var toEnd = Double(window.end - last.time) / 1000
        let sampled = Double(last.time - first.time) / 1000
        let meanDistance = sampled / Double(points.count - 1)
        let farthest = meanDistance * 1.1
        if toStart >= farthest { toStart = meanDistance / 2 }
        if isCounter, rise > 0, first.value >= 0 { toStart = min(toStart, sampled * (first.value / rise)) }
        if toEnd >= farthest { toEnd = meanDistance / 2 }
        let stretch = (sampled + toStart + toEnd) / sampled
        return rise * (perSecond ? stretch / window.seconds : stretch)
    }

    /// The line with the least squares of errors; its intercept is the value at a given time.
    private static func regression(_ points: Span<Point>, interceptAt time: Int64) -> (slope: Double, intercept: Double)
    {
        var x = KahanSum()
        var y = KahanSum()
        var xy = KahanSum()
        var xx = KahanSum()
        let first = points[0].value
        var isConstant = true
        for index in 0..<points.count {
            let point = points[index]
            if point.value != first { isConstant = false }
            let distance = Double(point.time - time) / 1000
            x.add(distance)
            y.add(point.value)
            xy.add(distance * point.value)
            xx.add(distance * distance)
        }
        if isConstant { return first.isInfinite ? (.nan, .nan) : (0, first) }
        let count = Double(points.count)
        let sumX = x.sum + x.lost
        let sumY = y.sum + y.lost
        let covariance = xy.sum + xy.lost - sumX * sumY / count
        let variance = xx.sum + xx.lost - sumX * sumX / count
        let slope = covariance / variance
        return (slope, sumY / count - slope * sumX / count)
    }

    // MARK: Events

    static let changes = WindowFunction { points, _ in
        countPairs(points) { $0 != $1 && !($0.isNaN && $1.isNaN) }
    }

    static let resets = WindowFunction { points, _ in countPairs(points) { $1 < $0 } }

    private static func countPairs(_ points: Span<Point>, where isCounted: (Double, Double) -> Bool) -> Double? {
        guard points.count > 0 else { return nil }
        var count = 0.0
        for index in 1..<points.count where isCounted(points[index - 1].value, points[index].value) { count += 1 }
        return count
    }

    // MARK: Summaries

    static let average = WindowFunction { points, _ in
        var mean = KahanMean(points[0].value)
        for index in 1..<points.count { mean.add(points[index].value) }
        return mean.mean
    }

    static let sum = WindowFunction { points, _ in
        var sum = KahanSum()
        for index in 0..<points.count { sum.add(points[index].value) }
        return sum.total
    }

    static let count = WindowFunction { points, _ in Double(points.count) }

    static let present = WindowFunction { _, _ in 1 }

    static let first = WindowFunction(keepsName: true) { points, _ in points[0].value }

    static let last = WindowFunction(keepsName: true) { points, _ in points[points.count - 1].value }

    static let maximum = WindowFunction { points, _ in extreme(points) { $0 > $1 } }

    static let minimum = WindowFunction { points, _ in extreme(points) { $0 < $1 } }

    static let variance = WindowFunction { points, _ in spread(points) }

    static let standardDeviation = WindowFunction { points, _ in spread(points).squareRoot() }

    static let quantile = WindowFunction(takesQuantile: true) { points, window in
        var values: [Double] = []
        values.reserveCapacity(points.count)
        for index in 0..<points.count { values.append(points[index].value) }
        return PromQL.quantile(window.parameter, of: &values)
    }

    /// NaN only if there is nothing else.
    private static func extreme(_ points: Span<Point>, _ isBetter: (Double, Double) -> Bool) -> Double {
        var best = points[0].value
        for index in 1..<points.count {
            let value = points[index].value
            if isBetter(value, best) || best.isNaN { best = value }
        }
        return best
    }

    private static func spread(_ points: Span<Point>) -> Double {
        var variance = KahanVariance()
        for index in 0..<points.count { variance.add(points[index].value) }
        return variance.variance
    }
}

/// The value below which the share `quantile` of the values lies, between two of them in proportion. Sorts `values`,
/// NaN first. Infinite outside 0 to 1, NaN if there are no values.
func quantile(_ quantile: Double, of values: inout [Double]) -> Double {
    if values.isEmpty || quantile.isNaN { return .nan }
    if quantile < 0 { return -.infinity }
    if quantile > 1 { return .infinity }
    values.sort { $0.isNaN ? !$1.isNaN : $0 < $1 }
    let rank = quantile * Double(values.count - 1)
    let lower = Int(max(0, rank.rounded(.down)))
    let upper = min(values.count - 1, lower + 1)
    let weight = rank - rank.rounded(.down)
    return values[lower] * (1 - weight) + values[upper] * weight
}
