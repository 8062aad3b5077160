import Runtime
import Synchronization

/// Counts handshakes that failed and connections that broke TLS, and logs some of them: whoever scans a port must not
/// fill the log.
final class TLSFailures: Sendable {
    private let counter = Atomic<Int>(0)
    private let logged = Mutex<(at: ContinuousClock.Instant, count: Int)?>(nil)
    private static let silence = Duration.seconds(10)

    var count: Int { counter.load(ordering: .relaxed) }

    /// Logs it unless another was logged within ten seconds.
    func note(_ failure: StreamFailure, with peer: StreamPeer) {
        let count = counter.add(1, ordering: .relaxed).newValue
        let now = ContinuousClock.now
        let unlogged: Int? = logged.withLock { logged in
            if let logged, now - logged.at < Self.silence { return nil }
            defer { logged = (now, count) }
            return max(0, count - (logged?.count ?? 0) - 1)
        }
        guard let unlogged else { return }
        Log.warn("TLS failed", ["peer": "\(peer)", "error": "\(failure)", "unlogged": "\(unlogged)"])
    }
}
