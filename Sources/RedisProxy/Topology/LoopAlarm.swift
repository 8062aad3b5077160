/// Calls when the time that somebody waits for has come; a later time is only asked for after an earlier one has passed,
/// so that few timers are ever set. Only for the loop's thread.
final class LoopAlarm: @unchecked Sendable {
    private let after: LoopTimer
    private var next: ContinuousClock.Instant?

    init(_ after: @escaping LoopTimer) { self.after = after }

    /// - Parameter ring: may be called early, but not later than one millisecond after `due`.
    func ring(at due: ContinuousClock.Instant, _ ring: @escaping @Sendable () -> Void) {
        if let next, next <= due { return }
        next = due
        let wait = max(.zero, due - .now)
        after(wait.milliseconds + 1) { [self] in
            if next == due { next = nil }
            ring()
        }
    }
}
