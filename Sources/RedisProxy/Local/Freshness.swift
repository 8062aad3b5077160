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

    func set(_ isLive: Bool) {
        isConfirmed.store(isLive, ordering: .releasing)
        gauge.set(isLive ? 1 : 0)
    }
}
