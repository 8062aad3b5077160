/// Three queues that only move when something is evicted: a small one for newcomers, a main one for what was used
/// again, and a ghost queue of hashes that lets a returning key straight into the main one. O(1) on average.
///
/// Most keys are asked for once and leave from the small queue, a tenth of the weight, without pushing out anything
/// that is used; a hit only counts to three. Reference: J. Yang, Y. Zhang, Z. Qiu, Y. Yue, R. Vinayak, "FIFO queues are
/// all you need for cache eviction", SOSP 2023.
struct S3FIFO: EvictionPolicy {
    private static let usesToStay: UInt32 = 2
    private static let mostUses: UInt32 = 3
    /// In `policyWord`, beside the count of uses.
    private static let isMain: UInt32 = 1 << 8

    private var small = SlotList()
    private var main = SlotList()
    private var ghosts = GhostQueue()
    /// Whether the entry that comes next was here a while ago.
    private var isReturning = false

    init(weighing: SlotTable.Weighing) {}

    private var weight: Int { small.weight + main.weight }

    mutating func announced(_ hash: UInt32, weight: Int) { isReturning = ghosts.forget(hash) }

    mutating func inserted(_ id: SlotID, in slots: inout SlotTable) {
        if isReturning {
            slots[id].policyWord = S3FIFO.isMain
            main.prepend(id, in: &slots)
        } else {
            slots[id].policyWord = 0
            small.prepend(id, in: &slots)
        }
    }

    mutating func touched(_ id: SlotID, in slots: inout SlotTable) {
        let word = slots[id].policyWord
        if word & S3FIFO.mostUses < S3FIFO.mostUses { slots[id].policyWord = word + 1 }
    }

    mutating func changed(_ id: SlotID, by delta: Int, in slots: inout SlotTable) {
        if slots[id].policyWord & S3FIFO.isMain != 0 {
            main.changeWeight(by: delta)
        } else {
            small.changeWeight(by: delta)
        }
    }

    mutating func removed(_ id: SlotID, in slots: inout SlotTable) {
        if slots[id].policyWord & S3FIFO.isMain != 0 {
            main.remove(id, in: &slots)
        } else {
            small.remove(id, in: &slots)
        }
    }

    mutating func victim(in slots: inout SlotTable) -> SlotID? {
        let ghostBound = weight * 9 / 10
        if main.weight <= weight - weight / 10 {
            while !small.isEmpty {
                if let victim = victimOfSmall(in: &slots, ghostBound) { return victim }
            }
        }
        while !main.isEmpty {
            if let victim = victimOfMain(in: &slots) { return victim }
        }
        return small.isEmpty ? nil : small.last
    }

    /// The last of the small queue goes, or moves on when it was used often enough.
    private mutating func victimOfSmall(in slots: inout SlotTable, _ ghostBound: Int) -> SlotID? {
        let id = small.last
        guard slots[id].policyWord & S3FIFO.mostUses >= S3FIFO.usesToStay else {
            ghosts.append(slots[id].hash, weight: slots.weight(id), bound: ghostBound)
            return id
        }
        small.remove(id, in: &slots)
        slots[id].policyWord = S3FIFO.isMain
        main.prepend(id, in: &slots)
        return nil
    }

    /// The last of the main queue goes, or starts over with one use less.
    private mutating func victimOfMain(in slots: inout SlotTable) -> SlotID? {
        let id = main.last
        guard slots[id].policyWord & S3FIFO.mostUses > 0 else { return id }
        slots[id].policyWord -= 1
        main.moveToFront(id, in: &slots)
        return nil
    }

    var residentBytes: Int { ghosts.residentBytes }
}
