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
    let descriptors: DescriptorBudget
    fileprivate let reloading = Mutex<@Sendable () async -> String?>({ nil })

    init(
        registry: Registry, operations: OperationRecorder, duplicates: Counter, descriptors: DescriptorBudget
    ) {
        (self.registry, self.operations, self.duplicates) = (registry, operations, duplicates)
        self.descriptors = descriptors
    }
}

/// How many clients each listener may have, so that descriptors are left for what the process itself opens: connections to
/// what is watched and carried to, files, and the threads' own.
struct DescriptorBudget: Sendable {
    private let limit: Int
    private let web: Int
    private let eachProxy: Int

    /// - Parameters:
    ///   - limit: of descriptors of the process.
    ///   - web: connections that the web wants; what it does not need is the proxies'.
    ///   - proxies: how many of them listen.
    init(limit: Int, web: Int, proxies: Int) {
        self.limit = limit
        let most = max(8, limit - min(max(32, limit / 8), 1024))
        self.web = min(web, most / (proxies + 1))
        eachProxy = (most - self.web) / max(1, proxies)
    }

    func webConnections(atMost wanted: Int) -> Int { lowered(wanted, to: web, "web.max_connections") }

    /// - Parameter setting: the one that says `wanted`; it is said by name where the descriptors do not suffice.
    func clients(of setting: String, atMost wanted: Int) -> Int { lowered(wanted, to: eachProxy, setting) }

    private func lowered(_ wanted: Int, to most: Int, _ setting: String) -> Int {
        guard most < wanted else { return wanted }
        Log.warn(
            "fewer clients than set: there are not enough descriptors",
            ["setting": setting, "clients": "\(most)", "set": "\(wanted)", "descriptors": "\(limit)"])
        return most
    }
}

extension Surroundings {
    /// Says how the configuration is read anew; to be called before the parts start.
    func reload(by reload: @escaping @Sendable () async -> String?) { reloading.withLock { $0 = reload } }

    /// Reads the configuration anew.
    ///
    /// - Returns: what is wrong with it; nil where it has taken effect.
    func reload() async -> String? { await reloading.withLock { $0 }() }
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
