/// All slots of one directory in one array, and what an entry weighs.
struct SlotTable {
    private var slots: [Slot] = []
    private var firstFree = SlotID.none
    private(set) var count = 0
    let weighing: Weighing

    /// What the bounds and the queues of the policies count.
    enum Weighing: Equatable {
        case entries
        /// Key, value and this many bytes for what surrounds them.
        case bytes(overhead: Int)
    }

    /// - Parameter expected: entries to make room for. Memory that is not touched costs nothing but address space.
    init(weighing: Weighing, expected: Int = 0) {
        self.weighing = weighing
        slots.reserveCapacity(expected)
    }

    subscript(_ id: SlotID) -> Slot {
        _read { yield slots[Int(id)] }
        _modify { yield &slots[Int(id)] }
    }

    func weight(_ id: SlotID) -> Int {
        switch weighing {
        case .entries: 1
        case .bytes(let overhead): Int(slots[Int(id)].keyBytes) + Int(slots[Int(id)].valueBytes) + overhead
        }
    }

    func weight(keyBytes: Int, valueBytes: Int) -> Int {
        switch weighing {
        case .entries: 1
        case .bytes(let overhead): keyBytes + valueBytes + overhead
        }
    }

    mutating func insert(_ slot: Slot) -> SlotID {
        count += 1
        guard firstFree != .none else {
            slots.append(slot)
            return SlotID(slots.count - 1)
        }
        let id = firstFree
        firstFree = slots[Int(id)].chain
        slots[Int(id)] = slot
        return id
    }

    mutating func free(_ id: SlotID) {
        count -= 1
        slots[Int(id)] = Slot()
        slots[Int(id)].chain = firstFree
        firstFree = id
    }

    /// Slots ever used: every id is below.
    var used: Int { slots.count }

    /// Bytes that the slots in use and the free ones among them take.
    var residentBytes: Int { slots.count * MemoryLayout<Slot>.stride }
}

extension SlotTable: ChainedEntries {
    func hash(of id: SlotID) -> UInt32 { slots[Int(id)].hash }
    func chain(of id: SlotID) -> SlotID { slots[Int(id)].chain }
    mutating func setChain(of id: SlotID, to next: SlotID) { slots[Int(id)].chain = next }
}
