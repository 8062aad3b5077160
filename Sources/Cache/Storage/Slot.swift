/// Where an entry's slot lies in its table.
typealias SlotID = UInt32

extension SlotID {
    /// The end of every list.
    static let none = SlotID.max
}

/// Everything that is known of one entry but its bytes: 52 of them.
///
/// Links between slots are numbers, not references, so that a touch counts nothing and frees nothing.
struct Slot {
    /// The lower half of the key's hash.
    var hash: UInt32 = 0
    /// The record in the log: segment and place in it. Shadow entries have none.
    var segment: UInt32 = 0
    var offset: UInt32 = 0
    /// As stored: compressed, with the tags behind it.
    var valueBytes: UInt32 = 0
    /// The policy's list.
    var previous = SlotID.none
    var next = SlotID.none
    /// The next slot with the same place in the index, or the next free slot.
    var chain = SlotID.none
    /// The timer's list. The first of a list holds the number of its bucket in `earlier`.
    var earlier = SlotID.none
    var later = SlotID.none
    /// Milliseconds on the cache's clock, the lower 32 bits: lifetimes are far shorter than one turn.
    var deadlineMs: UInt32 = 0
    var lifetimeMs: UInt32 = 0
    /// Belongs to the policy: a queue, a count, a place in a heap.
    var policyWord: UInt32 = 0
    var keyBytes: UInt16 = 0
    var flags: Flags = []
    /// Hits since the entry was made, as far as a byte counts.
    var hits: UInt8 = 0

    struct Flags: OptionSet {
        let rawValue: UInt8
        static let compressed = Flags(rawValue: 1)
        /// Stands for "there is no such thing".
        static let absent = Flags(rawValue: 2)
        /// Somebody was asked to fetch it anew before it expires.
        static let refreshing = Flags(rawValue: 4)
        static let tagged = Flags(rawValue: 8)
    }

    /// Milliseconds left to live; negative once it has expired.
    func remainingMs(at nowMs: Int) -> Int {
        Int(Int32(bitPattern: deadlineMs &- UInt32(truncatingIfNeeded: nowMs)))
    }
}
