import Alerting
import Metrics
import Operations
import Runtime
import Synchronization

/// What parts share with each other.
final class Surroundings: Sendable {
    let registry: Registry
    let operations: OperationRecorder
    /// Series left out of a page because they stood in it already.
    let duplicates: Counter
    let startedAt = ContinuousClock.now
    let memory = GivenBack()

    init(registry: Registry, operations: OperationRecorder, duplicates: Counter) {
        (self.registry, self.operations, self.duplicates) = (registry, operations, duplicates)
    }
}

/// Memory that its owner can do without, such as the local level of a proxy.
protocol Reclaimable: Sendable {
    /// Removes what has expired.
    func sweep()

    /// Drops a share of it, 0 to 1, what is used least first.
    ///
    /// - Returns: bytes that are free now.
    func free(share: Double) -> Int
}

/// Everybody who can give memory back.
final class GivenBack: Sendable {
    private let owners = Mutex<[any Reclaimable]>([])

    func add(_ owner: any Reclaimable) { owners.withLock { $0.append(owner) } }

    var isEmpty: Bool { owners.withLock { $0.isEmpty } }

    func sweep() { for owner in owners.withLock({ $0 }) { owner.sweep() } }

    func free(share: Double) -> Int { owners.withLock { $0 }.map { $0.free(share: share) }.reduce(0, +) }
}
