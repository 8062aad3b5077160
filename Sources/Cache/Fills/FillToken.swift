/// The right to store what is being fetched, given to one caller at a time for a key. It is worth nothing once the
/// key, a tag of it or everything was invalidated, or another fetch took over.
public struct FillToken: Sendable, Equatable {
    public let cacheClass: CacheClass.ID
    let id: UInt64
    /// Invalidations of the partition before the fetch began.
    let sequence: UInt64
}

/// Somebody else's fetch that one may wait for.
public struct FillWait: Sendable, Equatable {
    public let cacheClass: CacheClass.ID
    let waiter: UInt64
}

/// What to do about a miss.
public enum FillStart: Sendable, Equatable {
    /// Fetch it, then call `fill` or `abandon`.
    case lead(FillToken)
    /// Somebody is fetching it: wait, then look again.
    case follow(FillWait)
    /// It came in the meantime: look again.
    case present
    /// Fetch it, but do not store it: too many fetches are under way.
    case crowded
}

/// How a fetch ended that somebody waited for.
public enum FillEnd: Sendable, Equatable {
    /// The value is there.
    case filled
    /// There is none: the leader failed, or what it brought was stale or not to be kept. Look again and lead.
    case unfilled
    case timedOut
    case cancelled
}

public enum FillResult: Sendable, Equatable {
    case stored
    case refused(FillRefusal)
}
