import Synchronization

/// How many clients may be connected at once, of all listeners that share it. Any thread may use it.
public final class ClientLimit: Sendable {
    public let most: Int
    /// What one too many is told, in the protocol's own words.
    let refusal: [UInt8]
    private let present = Atomic<Int>(0)
    private let turnedAway = Atomic<Int>(0)

    public init(_ most: Int, refusal: [UInt8]) { (self.most, self.refusal) = (most, refusal) }

    /// Clients that were sent away, ever: because of this limit, or because no descriptor was left.
    public var refusedCount: Int { turnedAway.load(ordering: .relaxed) }

    /// The place of one client, which is free again when this goes.
    final class Place {
        private let limit: ClientLimit
        fileprivate init(_ limit: ClientLimit) { self.limit = limit }
        deinit { limit.present.subtract(1, ordering: .relaxed) }
    }

    /// Nil where there is no place left.
    func enter() -> Place? {
        guard present.add(1, ordering: .relaxed).newValue <= most else {
            present.subtract(1, ordering: .relaxed)
            return nil
        }
        return Place(self)
    }

    func refused() { turnedAway.add(1, ordering: .relaxed) }
}
