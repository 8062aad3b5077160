/// Evicts what has not been used for longest. O(1).
struct LRU: EvictionPolicy {
    private var queue = SlotList()

    init(weighing: SlotTable.Weighing) {}

    mutating func inserted(_ id: SlotID, in slots: inout SlotTable) { queue.prepend(id, in: &slots) }
    mutating func touched(_ id: SlotID, in slots: inout SlotTable) { queue.moveToFront(id, in: &slots) }
    mutating func changed(_ id: SlotID, by delta: Int, in slots: inout SlotTable) { queue.changeWeight(by: delta) }
    mutating func removed(_ id: SlotID, in slots: inout SlotTable) { queue.remove(id, in: &slots) }
    mutating func victim(in slots: inout SlotTable) -> SlotID? { queue.isEmpty ? nil : queue.last }
}
