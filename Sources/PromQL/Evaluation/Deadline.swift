import Synchronization

/// When a query has to be done, looked at now and then: reading the clock costs more than a step of work does.
final class Deadline: Sendable {
    /// Steps of a few nanoseconds between two looks at the clock.
    private static let interval = 1_000_000

    private let time: ContinuousClock.Instant
    private let steps = Atomic(0)
    private let isOver = Atomic(false)

    private let isAbandoned: (@Sendable () -> Bool)?

    /// - Parameter isAbandoned: whether it is over before its time, because nobody waits any more.
    init(after duration: Duration, isAbandoned: (@Sendable () -> Bool)? = nil) {
        time = .now + duration
        self.isAbandoned = isAbandoned
    }

    var hasPassed: Bool {
        if isOver.load(ordering: .relaxed) { return true }
        guard ContinuousClock.now >= time || isAbandoned?() == true else { return false }
        isOver.store(true, ordering: .relaxed)
        return true
    }

    /// Counts work about to be done; false once the time is over.
    func allows(_ work: Int) -> Bool {
        let (_, total) = steps.add(work, ordering: .relaxed)
        guard total > Deadline.interval else { return !isOver.load(ordering: .relaxed) }
        steps.store(0, ordering: .relaxed)
        return !hasPassed
    }
}
