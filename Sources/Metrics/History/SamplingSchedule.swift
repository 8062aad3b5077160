/// When to take samples: at the whole multiples of the interval since 1970, in milliseconds.
///
/// A sample that is hardly late is stamped with its slot, because even steps cost nothing to store; a later one is stamped
/// with the time it was taken, and slots that went by are skipped.
struct SamplingSchedule {
    enum Step: Equatable {
        case wait(milliseconds: Int64)
        /// - Parameter missed: how many slots went by since the last.
        case sample(at: Int64, missed: Int)
    }

    private let interval: Int64
    private var next: Int64

    init(interval: Int64, now: Int64) {
        precondition(interval > 0)
        self.interval = interval
        next = Self.slot(after: now, interval)
    }

    mutating func step(now: Int64) -> Step {
        // The clock was set back: the slots begin anew.
        if next - now > interval { next = Self.slot(after: now, interval) }
        guard now >= next else { return .wait(milliseconds: next - now) }
        let missed = (now - next) / interval
        let slot = next + missed * interval
        next = slot + interval
        return .sample(at: now - slot <= tolerance ? slot : now, missed: Int(missed))
    }

    /// A hundredth of the interval shows in no rate.
    private var tolerance: Int64 { max(10, interval / 100) }

    private static func slot(after now: Int64, _ interval: Int64) -> Int64 { (now / interval + 1) * interval }
}
