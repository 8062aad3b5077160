/// When a group is evaluated: at times an interval apart, shifted by a hash of its name so that groups spread over the
/// interval and keep their times across restarts.
///
/// Times are milliseconds since the epoch.
public struct EvaluationSchedule: Sendable, Equatable {
    public let interval: Int64
    public let offset: Int64

    /// The next time that has not been evaluated.
    public private(set) var next: Int64

    /// - Parameter interval: at least 1.
    public init(group: String, file: String, interval: Int64, now: Int64) {
        precondition(interval > 0)
        self.interval = interval
        offset = Int64(EvaluationSchedule.hash(group, file) % UInt64(interval))
        next = 0
        next = slot(at: now) + interval
    }

    /// The latest time of this schedule at or before `now`.
    public func slot(at now: Int64) -> Int64 {
        let since = now - offset
        let rest = since % interval
        return since - (rest < 0 ? rest + interval : rest) + offset
    }

    /// The time to evaluate now and how many before it were missed; nil while it is too early. Where the clock was set
    /// back, the schedule follows it.
    public mutating func take(at now: Int64) -> (time: Int64, missed: Int)? {
        if next - now > interval { next = slot(at: now) + interval }
        guard now >= next else { return nil }
        let missed = (now - next) / interval
        let time = next + missed * interval
        next = time + interval
        return (time, Int(missed))
    }

    /// The clock was set by so many milliseconds: the next evaluation comes no later than it would have, at one of the
    /// schedule's times.
    mutating func move(by step: Int64) { next = slot(at: next + step) }

    /// FNV-1a with 64 bits: the same in every process.
    private static func hash(_ texts: String...) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for text in texts {
            for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
            hash = (hash ^ 0xff) &* 0x100_0000_01b3
        }
        return hash
    }
}
