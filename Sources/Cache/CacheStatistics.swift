/// Why an entry had to make room.
public enum EvictionCause: Int, CaseIterable, Sendable {
    /// The cache's own bounds.
    case bytes, entries
    /// The memory policy.
    case memory
    /// Somebody asked for memory to be freed.
    case requested
}

/// Why a value was not stored.
public enum FillRefusal: Int, CaseIterable, Sendable {
    /// The key, one of its tags, or everything was invalidated since the fetch began, or the fetch took too long.
    case stale
    /// The key or the value is longer than the class allows.
    case tooLarge
    /// The class admits a key when it comes a second time.
    case firstSight
    /// It would not live for a millisecond, or the class keeps nothing of this kind.
    case notKept

    /// As it stands in labels.
    var label: String {
        switch self {
        case .stale: "stale"
        case .tooLarge: "too_large"
        case .firstSight: "first_sight"
        case .notKept: "not_kept"
        }
    }
}

/// What happened in one class since it was made.
public struct CacheStatistics: Sendable, Equatable {
    public var hits = 0
    /// Of the hits, those that said "there is no such thing".
    public var absentHits = 0
    public var misses = 0
    public var fills = 0
    public var fillsRefused = [Int](repeating: 0, count: FillRefusal.allCases.count)
    /// Misses that waited for somebody else's fetch.
    public var waits = 0
    /// Misses that had to fetch for themselves because too many fetches were under way.
    public var crowded = 0
    public var refreshes = 0
    public var evictions = [Int](repeating: 0, count: EvictionCause.allCases.count)
    /// Evicted entries that nobody had asked for.
    public var evictedUnused = 0
    public var expirations = 0
    public var invalidations = 0
    /// How old entries were when they were hit, by `ageBoundsMs`.
    public var ages = [UInt64](repeating: 0, count: CacheStatistics.ageBoundsMs.count + 1)
    public var ageSumMs = 0
    public var compressedValues = 0
    public var savedBytes = 0

    public static let ageBoundsMs = [250, 1000, 4000, 16_000, 64_000, 256_000, 1_024_000, 4_096_000]

    /// Counts a hit on an entry of that age. The bounds grow by four, so the bucket follows from the leading bit.
    @inline(__always)
    mutating func countHit(ageMs: Int) {
        hits += 1
        ageSumMs += ageMs
        let quarters = max(0, ageMs - 1) / 250
        let bits = Int.bitWidth - quarters.leadingZeroBitCount
        ages[min((bits + 1) / 2, CacheStatistics.ageBoundsMs.count)] += 1
    }
}

/// What one class holds now.
public struct CacheUsage: Sendable, Equatable {
    public var entries = 0
    /// Keys, values and the assumed overhead: what the bound is compared with.
    public var bytes = 0
    public var boundBytes = 0
    public var boundEntries = 0
    /// Everything allocated for it: slots, index, log with what lies dead in it, the policy's memory, shadows.
    public var residentBytes = 0
    public var fillsInFlight = 0
    /// Tags that some entry carries.
    public var tags = 0
    /// Nil until enough was asked for.
    public var hitRatioAtHalf: Double?
    public var hitRatioAtDouble: Double?
}
