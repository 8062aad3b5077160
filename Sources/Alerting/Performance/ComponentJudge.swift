import Runtime

/// Judges one component: what its indicators say, held steady over time. A value: readings and the time in, a report out.
struct ComponentJudge: Sendable {
    let component: PerformanceComponent
    private(set) var hold: LevelHold
    /// What the last look saw.
    private(set) var current = PerformanceLevel.unknown
    /// Where each indicator stands, and since when it has been there or worse.
    private var standings: [String: (level: PerformanceLevel, since: Moment)] = [:]
    private var reasons: [PerformanceReason] = []
    /// Until then nothing but outages is judged, and a remembered level does not turn unknown.
    private var warmUntil: Moment
    private let isRemembered: Bool

    /// What one indicator answered.
    struct Reading: Sendable {
        let indicator: Indicator
        let value: Double
    }

    static let mostReasons = 3

    /// - Parameter remembered: what the last process knew; nil at a first start.
    init(_ component: PerformanceComponent, remembered: LevelHold?, warmUp: Duration, at now: Moment) {
        self.component = component
        hold = remembered ?? LevelHold(at: now)
        isRemembered = remembered != nil
        warmUntil = now + warmUp
    }

    /// - Returns: the level and its reasons; the score is nil where the level is unknown.
    mutating func judge(
        _ readings: [Reading], hold duration: Duration, at now: Moment
    ) -> (level: PerformanceLevel, score: Double?, reasons: [PerformanceReason]) {
        let standing = readings.map { reading in (reading, note(reading, at: now)) }
        let worst = standing.map(\.1).max() ?? .unknown
        let isOutage = standing.contains { $0.0.indicator.role == .outage && $0.1 == .critical }
        let hasEvidence = readings.contains { $0.indicator.role == .evidence || $0.indicator.role == .saturation }
        let isWarm = now >= warmUntil
        let isJudged = isOutage || (hasEvidence && (isWarm || isRemembered))
        let before = hold.level
        if isJudged || isWarm {
            hold.see(isJudged ? worst : .unknown, isOutage: isOutage, hold: duration, at: now)
        }
        if hold.level == .unknown || hold.level == .excellent {
            reasons = []
        } else if worst >= hold.level || hold.level != before || reasons.isEmpty {
            let current = deciding(standing, at: hold.level)
            if !current.isEmpty { reasons = current }
        }
        // A level that is held tells what decided it, with the values of now.
        for index in reasons.indices {
            if let reading = readings.first(where: { $0.indicator.name == reasons[index].indicator }) {
                reasons[index].value = reading.value
            }
        }
        current = isJudged ? worst : .unknown
        guard hold.level != .unknown else { return (.unknown, nil, []) }
        let score = readings.map { $0.indicator.scale.score($0.value) }.min()
        return (hold.level, score, reasons)
    }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) {
        hold.move(by: step)
        standings = standings.mapValues { ($0.level, $0.since.moved(by: step)) }
        for index in reasons.indices { reasons[index].since = reasons[index].since.moved(by: step) }
        warmUntil = warmUntil.moved(by: step)
    }

    private mutating func note(_ reading: Reading, at now: Moment) -> PerformanceLevel {
        let known = standings[reading.indicator.name]
        let level = reading.indicator.scale.level(reading.value, held: known?.level ?? .excellent)
        let since = known.map { $0.level <= level && $0.level > .excellent ? $0.since : now } ?? now
        standings[reading.indicator.name] = (level, since)
        return level
    }

    /// The worst indicators that are at the component's level or worse; while better is held back, those that come next.
    private func deciding(
        _ standing: [(Reading, PerformanceLevel)], at level: PerformanceLevel
    ) -> [PerformanceReason] {
        let deciding = standing.filter { $0.1 > .excellent && ($0.1 >= level || $0.1 == standing.map(\.1).max()) }
        return deciding.sorted { ($0.1, $1.0.indicator.name) > ($1.1, $0.0.indicator.name) }.prefix(Self.mostReasons)
            .map {
                reading, level in
                let indicator = reading.indicator
                return PerformanceReason(
                    indicator: indicator.name, level: level, value: reading.value, unit: indicator.unit,
                    threshold: indicator.scale.threshold(of: level) ?? reading.value,
                    since: standings[indicator.name]?.since ?? hold.since, advice: indicator.advice)
            }
    }
}
