/// Evicts what came first, used or not. O(1).
struct FIFO: EvictionPolicy {
    private var queue = SlotList()

    init(weighing: SlotTable.Weighing) {}

    mutating func inserted(_ id: SlotID, in slots: inout SlotTable) { queue.prepend(id, in: &slots) }
    mutating func touched(_ id: SlotID, in slots: inout SlotTable) {}
    mutating func changed(_ id: SlotID, by delta: Int, in slots: inout SlotTable) { queue.changeWeight(by: delta) }
    mutating func removed(_ id: SlotID, in slots: inout SlotTable) { queue.remove(id, in: &slots) }
    mutating func victim(in slots: inout SlotTable) -> SlotID? { queue.isEmpty ? nil : queue.last }
}
