import Glibc
import Runtime
import Synchronization

/// How late this machine is just now: a thread sleeps for a millisecond again and again, and notes how much longer that took.
/// What a proof allows in milliseconds it allows on top of that, so that it judges the proxy and not the machine.
final class Lateness: Sendable {
    private struct Windows {
        var (current, before) = (0, 0)
        var endsAt = MonotonicClock.nowNs + Windows.lengthNs
        static let lengthNs = 500_000_000
    }

    private let windows = Mutex(Windows())
    private let isOver = Atomic<Bool>(false)

    init() {
        DetachedThread.start("lateness") { [weak self] in
            while let self, !self.isOver.load(ordering: .relaxed) { self.look() }
        }
    }

    /// The worst of the last half second, and of up to as much before it, in nanoseconds.
    var worstNs: Int { windows.withLock { max($0.current, $0.before) } }

    func end() { isOver.store(true, ordering: .relaxed) }

    private func look() {
        let asked = MonotonicClock.nowNs
        usleep(1000)
        let now = MonotonicClock.nowNs
        windows.withLock { windows in
            if now >= windows.endsAt {
                (windows.before, windows.current) = (windows.current, 0)
                windows.endsAt = now + Windows.lengthNs
            }
            windows.current = max(windows.current, now - asked - 1_000_000)
        }
    }
}
