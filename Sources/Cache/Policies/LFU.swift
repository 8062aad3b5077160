/// Evicts what was used least often since it came; of equals, what has not been used for longest. O(1).
///
/// Entries of one count share a list, and the lists stand in the order of their counts, so a use moves an entry to the
/// next list or to a fresh one between the two. Reference: K. Shah, A. Mitra, D. Matani, "An O(1) algorithm for
/// implementing the LFU cache eviction scheme", 2010.
struct LFU: EvictionPolicy {
    private typealias RungID = UInt32

    /// The entries that were used equally often.
    private struct Rung {
        var uses: UInt64
        var entries = SlotList()
        var lower = RungID.none
        var higher = RungID.none
    }

    private var rungs: [Rung] = []
    private var freeRungs: [RungID] = []
    private var lowest = RungID.none

    init(weighing: SlotTable.Weighing) {}

    mutating func inserted(_ id: SlotID, in slots: inout SlotTable) {
        if lowest == .none || rungs[Int(lowest)].uses != 1 { addRung(uses: 1, above: .none) }
        put(id, on: lowest, in: &slots)
    }

    mutating func touched(_ id: SlotID, in slots: inout SlotTable) {
        let rung = slots[id].policyWord
        let uses = rungs[Int(rung)].uses + 1
        var higher = rungs[Int(rung)].higher
        if higher == .none || rungs[Int(higher)].uses != uses { higher = addRung(uses: uses, above: rung) }
        take(id, from: rung, in: &slots)
        put(id, on: higher, in: &slots)
    }

    mutating func changed(_ id: SlotID, by delta: Int, in slots: inout SlotTable) {
        rungs[Int(slots[id].policyWord)].entries.changeWeight(by: delta)
    }

    mutating func removed(_ id: SlotID, in slots: inout SlotTable) {
        take(id, from: slots[id].policyWord, in: &slots)
    }

    mutating func victim(in slots: inout SlotTable) -> SlotID? {
        lowest == .none ? nil : rungs[Int(lowest)].entries.last
    }

    private mutating func put(_ id: SlotID, on rung: RungID, in slots: inout SlotTable) {
        slots[id].policyWord = rung
        rungs[Int(rung)].entries.prepend(id, in: &slots)
    }

    private mutating func take(_ id: SlotID, from rung: RungID, in slots: inout SlotTable) {
        rungs[Int(rung)].entries.remove(id, in: &slots)
        guard rungs[Int(rung)].entries.isEmpty else { return }
        let (lower, higher) = (rungs[Int(rung)].lower, rungs[Int(rung)].higher)
        if lower == .none { lowest = higher } else { rungs[Int(lower)].higher = higher }
        if higher != .none { rungs[Int(higher)].lower = lower }
        freeRungs.append(rung)
    }

    @discardableResult
    private mutating func addRung(uses: UInt64, above lower: RungID) -> RungID {
        let higher = lower == .none ? lowest : rungs[Int(lower)].higher
        let rung = Rung(uses: uses, lower: lower, higher: higher)
        let id: RungID
        if let free = freeRungs.popLast() {
            id = free
            rungs[Int(id)] = rung
        } else {
            id = RungID(rungs.count)
            rungs.append(rung)
        }
        if lower == .none { lowest = id } else { rungs[Int(lower)].higher = id }
        if higher != .none { rungs[Int(higher)].lower = id }
        return id
    }

    var residentBytes: Int { rungs.count * MemoryLayout<Rung>.stride }
}
