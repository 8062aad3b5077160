import CLinux
import Glibc
import Synchronization

/// Signals as a stream, so that they are handled by ordinary code and not in a handler.
///
/// A signal that comes again before it was handed on is handed on once: twenty thousand SIGHUPs are a few.
public enum Signals {
    /// The write end of the pipe that wakes the thread: nothing but writing there and setting a bit is safe in a handler.
    private static let wakeup = Atomic<Int32>(-1)
    /// By number, those that have come and were not handed on.
    private static let pending = Atomic<UInt64>(0)

    /// Takes these signals away from their default action, for the rest of the process' life. To be called once.
    ///
    /// - Parameter numbers: below 64.
    public static func stream(_ numbers: [Int32]) -> AsyncStream<Int32> {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return AsyncStream { $0.finish() } }
        let reading = ends[0]
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        // A full pipe wakes the thread as well as another byte would, and a handler must not wait.
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        wakeup.store(ends[1], ordering: .releasing)
        for number in numbers { signal(number) { Signals.tell($0) } }
        return AsyncStream { continuation in
            DetachedThread.start("signals") {
                var bytes = [UInt8](repeating: 0, count: 4096)
                while true {
                    let got = read(reading, &bytes, bytes.count)
                    if got == 0 || got < 0 && errno != EINTR { return }
                    let come = pending.exchange(0, ordering: .acquiringAndReleasing)
                    for number in Int32(0)..<64 where come & 1 << UInt64(number) != 0 { continuation.yield(number) }
                }
            }
        }
    }

    private static func tell(_ number: Int32) {
        let before = errno
        var byte: UInt8 = 0
        pending.bitwiseOr(1 << UInt64(number & 63), ordering: .acquiringAndReleasing)
        _ = write(wakeup.load(ordering: .acquiring), &byte, 1)
        errno = before
    }

    /// A peer that has gone must be an error of `write`, never the end of the process.
    public static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
