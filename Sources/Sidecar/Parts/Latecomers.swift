import Glibc
import Runtime
import Synchronization

/// Parts that have not ended yet, and what happens when they take too long.
final class Latecomers: Sendable {
    private let state: Mutex<(names: [String], isOver: Bool)>

    init(_ names: [String]) { state = Mutex((names, false)) }

    func ended(_ name: String) { state.withLock { $0.names.removeAll { $0 == name } } }

    func allEnded() { state.withLock { $0.isOver = true } }

    /// On a thread of its own, which nothing that hangs can hold up: it says who is late, and ends the process without
    /// anything that could wait.
    func endTheProcess(at deadline: Deadline) {
        let failure = DetachedThread.tryStart("grace") { [self] in
            while !deadline.hasPassed { poll(nil, 0, deadline.pollMilliseconds) }
            let (names, isOver) = state.withLock { $0 }
            guard !isOver else { return }
            Log.error("the grace period is over: ending without the rest", ["late": names.joined(separator: ",")])
            Log.flush(within: .milliseconds(100))
            _exit(0)
        }
        if failure != 0 { Log.error("nothing limits how long ending takes: no thread left") }
    }
}
