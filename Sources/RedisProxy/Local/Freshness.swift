import Metrics
import Synchronization

/// Whether what the local level holds may be served: while the connection that tells of changes is alive and caught up.
/// Any thread may ask.
final class Freshness: Sendable {
    private let isConfirmed = Atomic<Bool>(false)
    private let gauge: Gauge

    /// - Parameter gauge: tells people what `isLive` says.
    init(_ gauge: Gauge) { self.gauge = gauge }

    var isLive: Bool { isConfirmed.load(ordering: .acquiring) }

    /// Only for the chorus: whoever else had a say would be overruled by nobody's later word.
    fileprivate func set(_ isLive: Bool) {
        isConfirmed.store(isLive, ordering: .releasing)
        gauge.set(isLive ? 1 : 0)
    }
}

/// Lets the local level be served while all who have a voice say that it may be. Any thread.
final class FeedChorus: Sendable {
    private let freshness: Freshness
    private let missing = Mutex(0)

    init(_ freshness: Freshness) { self.freshness = freshness }

    /// One that says no at first.
    func voice() -> Voice {
        count(1)
        return Voice(in: self)
    }

    private func count(_ change: Int) {
        missing.withLock {
            $0 += change
            freshness.set($0 == 0)
        }
    }

    final class Voice: Sendable {
        private enum Said { case yes, no, nothing }

        private let chorus: FeedChorus
        private let said = Mutex(Said.no)

        fileprivate init(in chorus: FeedChorus) { self.chorus = chorus }

        var isLive: Bool { said.withLock { $0 == .yes } }

        func set(_ isLive: Bool) { say(isLive ? .yes : .no) }

        /// It has nothing to say any more.
        func withdraw() { say(.nothing) }

        private func say(_ next: Said) {
            said.withLock { said in
                guard said != .nothing, said != next else { return }
                if said == .no { chorus.count(-1) }
                if next == .no { chorus.count(1) }
                said = next
            }
        }
    }
}
