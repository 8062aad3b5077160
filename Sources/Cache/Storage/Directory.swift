/// Which entries there are, when each expires and which has to go next: everything but their bytes.
///
/// The partition keeps its entries in one, and each shadow is one without a log behind it.
struct Directory<Policy: EvictionPolicy> {
    /// Others may change where an entry's bytes lie, nothing else.
    var slots: SlotTable
    private var index: KeyIndex
    private var wheel: TimerWheel
    private var policy: Policy
    private(set) var weight = 0

    init(weighing: SlotTable.Weighing, expected: Int, nowMs: Int) {
        slots = SlotTable(weighing: weighing, expected: expected)
        index = KeyIndex(expected: expected)
        wheel = TimerWheel(nowMs: nowMs)
        policy = Policy(weighing: weighing)
    }

    var count: Int { slots.count }

    subscript(_ id: SlotID) -> Slot {
        _read { yield slots[id] }
        _modify { yield &slots[id] }
    }

    @inline(__always)
    func find(_ hash: UInt32, where isWanted: (borrowing Slot) -> Bool) -> SlotID? {
        index.find(hash, in: slots) { isWanted(slots[$0]) }
    }

    mutating func missed(_ hash: UInt32) { policy.missed(hash) }

    /// An entry with this hash is about to be inserted, after as many evictions as it needs.
    mutating func announce(_ hash: UInt32, weight: Int) { policy.announced(hash, weight: weight) }

    mutating func touch(_ id: SlotID) { policy.touched(id, in: &slots) }

    /// Enters a slot whose hash, sizes and deadline are set.
    mutating func insert(_ slot: Slot) -> SlotID {
        let id = slots.insert(slot)
        index.insert(id, in: &slots)
        wheel.schedule(id, in: &slots)
        policy.expect(entries: slots.count)
        policy.inserted(id, in: &slots)
        weight += slots.weight(id)
        return id
    }

    /// Gives an entry another value and deadline. `change` sets sizes and place.
    mutating func replace(_ id: SlotID, deadlineMs: UInt32, lifetimeMs: UInt32, _ change: (inout SlotTable) -> Void) {
        let before = slots.weight(id)
        wheel.cancel(id, in: &slots)
        change(&slots)
        slots[id].deadlineMs = deadlineMs
        slots[id].lifetimeMs = lifetimeMs
        wheel.schedule(id, in: &slots)
        let delta = slots.weight(id) - before
        policy.changed(id, by: delta, in: &slots)
        weight += delta
    }

    /// - Returns: the slot as it was.
    @discardableResult
    mutating func remove(_ id: SlotID) -> Slot {
        policy.removed(id, in: &slots)
        wheel.cancel(id, in: &slots)
        return forget(id)
    }

    mutating func victim() -> SlotID? { policy.victim(in: &slots) }

    /// Removes one entry that has expired.
    ///
    /// - Parameter budget: entries that may be looked at.
    mutating func removeExpired(nowMs: Int, budget: inout Int) -> Slot? {
        guard let id = wheel.nextDue(nowMs: nowMs, budget: &budget, in: &slots) else { return nil }
        policy.removed(id, in: &slots)
        return forget(id)
    }

    private mutating func forget(_ id: SlotID) -> Slot {
        index.remove(id, in: &slots)
        weight -= slots.weight(id)
        let slot = slots[id]
        slots.free(id)
        return slot
    }

    var residentBytes: Int { slots.residentBytes + index.residentBytes + policy.residentBytes }
}
