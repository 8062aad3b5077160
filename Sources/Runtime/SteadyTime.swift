import Glibc
import Synchronization

/// The time of day for everything that waits: what the machine's clock said when it was last looked at, carried on by the
/// clock that never jumps (`CLOCK_BOOTTIME`).
///
/// Somebody looks at each sample of the history. When the machine's clock was set meanwhile, everybody who keeps moments
/// moves them by as much, so that what was ten seconds ago stays ten seconds ago.
public final class SteadyTime: Sendable {
    /// That of the process.
    public static let shared = SteadyTime()

    /// Milliseconds: a smaller difference is left as it is. It does not grow, since both clocks tick alike.
    public static let tolerance: Int64 = 1000

    private struct State {
        /// From the clock that never jumps to the time of day.
        var offset: Int64
        var stepped: Int64 = 0
    }

    private let wall: @Sendable () -> Int64
    private let running: @Sendable () -> Int64
    private let state: Mutex<State>

    /// - Parameters:
    ///   - wall: the machine's time of day, in milliseconds since 1970.
    ///   - running: milliseconds on a clock that never jumps.
    public init(
        wall: @escaping @Sendable () -> Int64 = { WallClock.nowMilliseconds },
        running: @escaping @Sendable () -> Int64 = { SteadyTime.sinceBoot }
    ) {
        (self.wall, self.running) = (wall, running)
        state = Mutex(State(offset: wall() - running()))
    }

    /// Milliseconds since the machine started, the time it slept included.
    public static var sinceBoot: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Milliseconds since 1970.
    public var now: Int64 { state.withLock { running() + $0.offset } }

    /// By how many milliseconds the time has jumped since the process began, the jumps added up.
    public var stepped: Int64 { state.withLock { $0.stepped } }

    /// Compares with the machine's clock and follows it.
    ///
    /// - Parameter move: called with the step, in milliseconds, before anybody sees the new time.
    public func look(_ move: (Int64) -> Void) {
        state.withLock { state in
            let step = wall() - running() - state.offset
            guard abs(step) > Self.tolerance else { return }
            move(step)
            state.offset += step
            state.stepped += step
        }
    }
}
