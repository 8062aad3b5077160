/// A doubly linked list of slots that knows its weight. The first came last.
struct SlotList {
    private(set) var first = SlotID.none
    private(set) var last = SlotID.none
    private(set) var weight = 0

    var isEmpty: Bool { first == .none }

    mutating func prepend(_ id: SlotID, in slots: inout SlotTable) {
        slots[id].previous = .none
        slots[id].next = first
        if first == .none { last = id } else { slots[first].previous = id }
        first = id
        weight += slots.weight(id)
    }

    mutating func remove(_ id: SlotID, in slots: inout SlotTable) {
        weight -= slots.weight(id)
        unlink(id, in: &slots)
    }

    mutating func moveToFront(_ id: SlotID, in slots: inout SlotTable) {
        guard first != id else { return }
        unlink(id, in: &slots)
        slots[id].previous = .none
        slots[id].next = first
        if first == .none { last = id } else { slots[first].previous = id }
        first = id
    }

    mutating func changeWeight(by delta: Int) { weight += delta }

    private mutating func unlink(_ id: SlotID, in slots: inout SlotTable) {
        let (previous, next) = (slots[id].previous, slots[id].next)
        if previous == .none { first = next } else { slots[previous].next = next }
        if next == .none { last = previous } else { slots[next].previous = previous }
    }
}
