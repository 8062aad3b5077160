/// How one class treats its entries: the checked form of a `CacheClass`, with the times in milliseconds.
struct CacheRules: Sendable {
    var weighing: SlotTable.Weighing
    var ttlMs: Int
    var maxAgeMs: Int
    var negativeTTLMs = 0
    /// Up to this share is taken off each lifetime at random, so that what was stored together does not expire
    /// together.
    var jitter = 0.0
    var admitsOnSecondSight = false
    /// An entry with less than this share of its life left is fetched anew when it is hit; 0 for never.
    var refreshShare = 0.0
    var refreshAfterHits: UInt8 = 2
    /// Values of this length and more are compressed; nil for none.
    var compressFromBytes: Int?
    var mostValueBytes = Int.max
    /// Whether the hit ratio with half and with twice the memory is estimated.
    var estimates = true
    var fillLimits = FillTable.Limits()

    /// Longer lifetimes could not be told from past ones.
    static let longestMs = 20 * 86_400_000

    func lifetimeMs(_ entry: NewEntry, random: inout SplitMix64) -> Int {
        let fallbackMs = entry.flags.contains(.absent) ? negativeTTLMs : ttlMs
        let wantedMs = min(entry.ttlMs ?? fallbackMs, maxAgeMs, CacheRules.longestMs)
        if entry.flags.contains(.absent), negativeTTLMs == 0 { return 0 }
        guard jitter > 0, wantedMs > 1 else { return wantedMs }
        return max(1, wantedMs - Int(Double(wantedMs) * jitter * random.nextShare()))
    }
}

/// What a caller wants to store, but for its bytes.
struct NewEntry {
    var ttlMs: Int?
    var tags: [UInt64] = []
    var flags: Slot.Flags = []
    /// Stored at first sight too.
    var isKnownHot = false
    /// What compression saved.
    var savedBytes = 0
}

/// What a caller says when it begins to fetch.
struct FillRequest {
    var tags: [UInt64] = []
    /// The entry is there, but is to be replaced.
    var isRefresh = false
    var waitUntilMs = Int.max
}

/// An entry that was found.
public struct Hit: Sendable, Equatable {
    /// Since it was stored.
    public let ageMs: Int
    public let remainingMs: Int
    /// The caller, and nobody else, is asked to fetch it anew: `beginFill` with `isRefresh`.
    public let isRefreshDue: Bool
}
