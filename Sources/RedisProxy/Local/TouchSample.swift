import Runtime

/// A sample of the keys that were answered from the local level, of whose use Redis is to be told.
///
/// Redis does not see what is answered here: its LRU and LFU would take the hottest keys for the coldest, and evict them
/// first. So one answer in `every`, at random, leaves its key here, hot keys more often than others. Bounded: what does
/// not fit until it is taken is left out, and comes up again if it is hot.
struct TouchSample {
    private let every: Int
    /// Answers until the next that counts; never reaches 0 where none does.
    private var left: Int
    private(set) var keys: [Identity: Set<[UInt8]>] = [:]
    private var count = 0

    static let mostKeys = 128

    /// - Parameter every: 0 for no sample.
    init(every: Int) {
        self.every = every
        left = every == 0 ? .max : 1
    }

    /// A key was used.
    ///
    /// - Returns: whether `add` is to be called with it.
    @inline(__always)
    mutating func isDue() -> Bool {
        left &-= 1
        guard left == 0 else { return false }
        // On average `every`, and in step with nothing that a client does.
        left = Int.random(in: 1..<2 * every)
        return count < Self.mostKeys
    }

    mutating func add(_ key: Span<UInt8>, for identity: Identity) {
        if keys[identity, default: []].insert(key.copy(0..<key.count)).inserted { count += 1 }
    }

    /// Hands out what was left here since the last time.
    mutating func take() -> [Identity: Set<[UInt8]>] {
        guard count > 0 else { return [:] }
        defer { (keys, count) = ([:], 0) }
        return keys
    }
}
