import CLinux
import Glibc
import Synchronization

/// Signals as a stream, so that they are handled by ordinary code and not in a handler.
public enum Signals {
    /// The write end of the pipe that handlers write to: nothing else is safe inside one.
    private static let wakeup = Atomic<Int32>(-1)

    /// Takes these signals away from their default action, for the rest of the process' life. To be called once.
    public static func stream(_ numbers: [Int32]) -> AsyncStream<Int32> {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { return AsyncStream { $0.finish() } }
        let reading = ends[0]
        wakeup.store(ends[1], ordering: .releasing)
        for number in numbers { signal(number) { Signals.tell($0) } }
        return AsyncStream { continuation in
            DetachedThread.start("signals") {
                var number: UInt8 = 0
                while true {
                    let got = read(reading, &number, 1)
                    if got == 1 { continuation.yield(Int32(number)) }
                    if got == 0 || got < 0 && errno != EINTR { return }
                }
            }
        }
    }

    private static func tell(_ number: Int32) {
        let before = errno
        var byte = UInt8(truncatingIfNeeded: number)
        _ = write(wakeup.load(ordering: .acquiring), &byte, 1)
        errno = before
    }

    /// A peer that has gone must be an error of `write`, never the end of the process.
    public static func ignoreBrokenPipes() { signal(SIGPIPE, SIG_IGN) }
}
