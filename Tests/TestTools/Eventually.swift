import Glibc
import Testing

/// Waits for what is bound to come. The minutes are for a machine that is stuck, not a promise of speed.
package func eventually(_ what: Comment, _ isSo: () async throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(120)
    while try await !isSo() {
        try #require(ContinuousClock.now < deadline, what)
        try await Task.sleep(for: .milliseconds(10))
    }
}

/// How long this thread has computed. What others do on a busy machine is not in it.
package var computedByThisThread: Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
