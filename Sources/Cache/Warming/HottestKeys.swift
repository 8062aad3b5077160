/// The keys with the most hits among many, in bounded memory.
struct HottestKeys {
    private let limit: Int
    private var kept: [(hits: Int, cacheClass: CacheClass.ID, key: [UInt8])] = []
    /// Fewer hits than this are not among the hottest any more.
    private var fewest = 0

    init(limit: Int) { self.limit = max(0, limit) }

    mutating func add(hits: Int, _ cacheClass: CacheClass.ID, _ key: [UInt8]) {
        guard hits > fewest else { return }
        kept.append((hits, cacheClass, key))
        if kept.count > 2 * limit + 16 { trim() }
    }

    private mutating func trim() {
        kept.sort { $0.hits > $1.hits }
        kept.removeLast(max(0, kept.count - limit))
        if kept.count == limit { fewest = kept.last?.hits ?? 0 }
    }

    /// The hottest first.
    var sorted: [(cacheClass: CacheClass.ID, key: [UInt8])] {
        var copy = self
        copy.trim()
        return copy.kept.map { ($0.cacheClass, $0.key) }
    }
}
