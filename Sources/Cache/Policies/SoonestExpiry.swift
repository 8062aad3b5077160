/// Evicts what would expire first: the policy called `ttl`. A binary heap; O(log n).
struct SoonestExpiry: EvictionPolicy {
    /// Slots by deadline. A slot's `policyWord` is its place here.
    private var heap: [SlotID] = []

    init(weighing: SlotTable.Weighing) {}

    mutating func inserted(_ id: SlotID, in slots: inout SlotTable) {
        heap.append(id)
        rise(id, from: heap.count - 1, in: &slots)
    }

    mutating func touched(_ id: SlotID, in slots: inout SlotTable) {}

    mutating func changed(_ id: SlotID, by delta: Int, in slots: inout SlotTable) {
        settle(id, at: Int(slots[id].policyWord), in: &slots)
    }

    mutating func removed(_ id: SlotID, in slots: inout SlotTable) {
        let place = Int(slots[id].policyWord)
        let last = heap.removeLast()
        if last != id { settle(last, at: place, in: &slots) }
    }

    mutating func victim(in slots: inout SlotTable) -> SlotID? { heap.first }

    private func expires(_ left: SlotID, before right: SlotID, in slots: borrowing SlotTable) -> Bool {
        Int32(bitPattern: slots[left].deadlineMs &- slots[right].deadlineMs) < 0
    }

    private mutating func settle(_ id: SlotID, at place: Int, in slots: inout SlotTable) {
        let risen = rise(id, from: place, in: &slots)
        if risen == place { sink(id, from: place, in: &slots) }
    }

    @discardableResult
    private mutating func rise(_ id: SlotID, from start: Int, in slots: inout SlotTable) -> Int {
        var place = start
        while place > 0 {
            let above = (place - 1) / 2
            guard expires(id, before: heap[above], in: slots) else { break }
            put(heap[above], at: place, in: &slots)
            place = above
        }
        put(id, at: place, in: &slots)
        return place
    }

    private mutating func sink(_ id: SlotID, from start: Int, in slots: inout SlotTable) {
        var place = start
        while 2 * place + 1 < heap.count {
            var below = 2 * place + 1
            if below + 1 < heap.count, expires(heap[below + 1], before: heap[below], in: slots) { below += 1 }
            guard expires(heap[below], before: id, in: slots) else { break }
            put(heap[below], at: place, in: &slots)
            place = below
        }
        put(id, at: place, in: &slots)
    }

    private mutating func put(_ id: SlotID, at place: Int, in slots: inout SlotTable) {
        heap[place] = id
        slots[id].policyWord = UInt32(place)
    }

    var residentBytes: Int { heap.count * MemoryLayout<SlotID>.stride }
}
