/// What a `KeyIndex` leads to: numbered entries that each hold their hash and the next one in their bucket.
protocol ChainedEntries {
    var count: Int { get }
    func hash(of id: SlotID) -> UInt32
    func chain(of id: SlotID) -> SlotID
    mutating func setChain(of id: SlotID, to next: SlotID)
}

/// Finds entries by hash: linear hashing, with the chains running through the entries.
///
/// One bucket is split for each entry that comes, so no insertion pays for a rehash of the whole table, and the index
/// costs 4 bytes a bucket and 4 an entry at one entry a bucket. Reference: W. Litwin, "Linear Hashing: a new tool for
/// file and table addressing", VLDB 1980. Finding, adding and removing cost O(1) on average.
struct KeyIndex {
    private var heads: [SlotID]
    /// Buckets at the start of this round of splitting, less one; a power of two less one.
    private var mask: UInt32
    /// The next bucket to split.
    private var split: UInt32 = 0

    private static let initialBuckets = 64

    init(expected: Int = 0) {
        heads = []
        heads.reserveCapacity(max(expected, KeyIndex.initialBuckets))
        heads.append(contentsOf: repeatElement(.none, count: KeyIndex.initialBuckets))
        mask = UInt32(KeyIndex.initialBuckets - 1)
    }

    private func bucket(of hash: UInt32) -> Int {
        let bucket = hash & mask
        return Int(bucket < split ? hash & (mask << 1 | 1) : bucket)
    }

    /// The first entry with this hash for which `isWanted` holds.
    @inline(__always)
    func find<Entries: ChainedEntries>(
        _ hash: UInt32, in entries: borrowing Entries, where isWanted: (SlotID) -> Bool
    ) -> SlotID? {
        var id = heads[bucket(of: hash)]
        while id != .none {
            if entries.hash(of: id) == hash, isWanted(id) { return id }
            id = entries.chain(of: id)
        }
        return nil
    }

    mutating func insert<Entries: ChainedEntries>(_ id: SlotID, in entries: inout Entries) {
        if entries.count > heads.count { splitOne(in: &entries) }
        let place = bucket(of: entries.hash(of: id))
        entries.setChain(of: id, to: heads[place])
        heads[place] = id
    }

    mutating func remove<Entries: ChainedEntries>(_ id: SlotID, in entries: inout Entries) {
        let place = bucket(of: entries.hash(of: id))
        let after = entries.chain(of: id)
        if heads[place] == id {
            heads[place] = after
            return
        }
        var before = heads[place]
        while entries.chain(of: before) != id { before = entries.chain(of: before) }
        entries.setChain(of: before, to: after)
    }

    /// Moves the half of one bucket whose hash has the next bit set into a bucket of its own.
    private mutating func splitOne<Entries: ChainedEntries>(in entries: inout Entries) {
        var id = heads[Int(split)]
        var staying = SlotID.none
        var moving = SlotID.none
        while id != .none {
            let after = entries.chain(of: id)
            if entries.hash(of: id) & (mask + 1) == 0 {
                entries.setChain(of: id, to: staying)
                staying = id
            } else {
                entries.setChain(of: id, to: moving)
                moving = id
            }
            id = after
        }
        heads[Int(split)] = staying
        heads.append(moving)
        split += 1
        if split > mask {
            mask = mask << 1 | 1
            split = 0
        }
    }

    var residentBytes: Int { heads.count * MemoryLayout<SlotID>.stride }
}
