import Network
import Runtime

/// What the threads around `WriteBehind` share, under its lock: what is pending, and who waits for what.
struct WriteBehindState: Sendable {
    typealias Call = (loop: EventLoop, work: @Sendable () -> Void)

    /// Writes whose client waits for the disk.
    struct Acceptance: Sendable {
        let through: UInt64
        let writes: Int
        let loop: EventLoop
        let then: @Sendable (WriteBehind.Acknowledgement) -> Void
    }

    struct Waiter: Sendable {
        let loop: EventLoop
        let then: @Sendable (WriteBehind.FlushEnd) -> Void
    }

    struct Stop: Sendable {
        let deadline: Deadline
        let continuation: CheckedContinuation<Int, Never>
    }

    var pending: PendingWrites
    /// In the order of their sequences.
    var acceptances: [Acceptance] = []
    var waiters: [FlushBarriers.ID: Waiter] = [:]
    var isStopping = false
    /// Until it has stopped.
    var stop: Stop?
    /// What the disk said last; nil while it does its work.
    var trouble: FileError?
    private var counted = PendingWrites.Counts()

    var hasStopped: Bool { isStopping && stop == nil }

    init(pending: PendingWrites) { self.pending = pending }

    mutating func takeAcceptances(_ through: UInt64) -> [Acceptance] {
        let decided = Array(acceptances.prefix { $0.through <= through })
        acceptances.removeFirst(decided.count)
        return decided
    }

    mutating func takeWaiters(_ ids: some Sequence<FlushBarriers.ID>, _ end: WriteBehind.FlushEnd) -> [Call] {
        ids.compactMap { id in
            waiters.removeValue(forKey: id).map { waiter in (waiter.loop, { waiter.then(end) }) }
        }
    }

    /// What has been counted since the last time.
    mutating func takeCounts() -> PendingWrites.Counts {
        defer { counted = pending.counts }
        return pending.counts - counted
    }
}
