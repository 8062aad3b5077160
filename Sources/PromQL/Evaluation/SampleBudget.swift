import Synchronization

/// Samples that queries under way have read and made, over all of them.
public final class SampleBudget: Sendable {
    public let limit: Int
    private let used = Atomic<Int>(0)
    private let refusedQueries = Atomic<Int>(0)

    public init(limit: Int) { self.limit = limit }

    public var samples: Int { used.load(ordering: .relaxed) }
    /// Queries that ended because too many samples were in use, by themselves or by others.
    public var refused: Int { refusedQueries.load(ordering: .relaxed) }

    func take(_ count: Int) -> Bool {
        let now = used.add(count, ordering: .relaxed).newValue
        guard now > limit else { return true }
        used.subtract(count, ordering: .relaxed)
        refusedQueries.add(1, ordering: .relaxed)
        return false
    }

    func give(_ count: Int) { used.subtract(count, ordering: .relaxed) }

    func noteRefused() { refusedQueries.add(1, ordering: .relaxed) }
}
