import Runtime

/// Where the samples of a name, type and tags go, remembered by their bytes as they came: what makes a known line cheap.
///
/// A hash table with open addressing whose keys lie one behind another in one array. It forgets everything when it is
/// full; what it forgot is worked out again.
struct LineMemory {
    /// What becomes of a sample.
    struct Destination {
        enum Target: UInt8 {
            case operation, counter, gauge, set, histogram, summary, dropped
        }

        var target: Target
        /// Of the target's table; the reason when it is dropped.
        var index: Int32
        var crossed: CrossedLimits = []
        /// What values are multiplied by.
        var scale = 1.0
    }

    private struct Slot {
        var hash: UInt64 = 0
        var offset: UInt32 = 0
        /// Zero marks a free slot: no name is empty.
        var nameLength: UInt16 = 0
        var tagsLength: UInt16 = 0
        var kind: StatsDKind = .counter
        var destination = Destination(target: .dropped, index: 0)
    }

    private let entryLimit: Int
    private let byteLimit: Int
    private var slots: [Slot]
    private var keys: [UInt8] = []
    private(set) var count = 0
    private let seed = UInt64.random(in: 0...UInt64.max)

    /// - Parameters:
    ///   - entryLimit: lines it remembers.
    ///   - byteLimit: bytes of their names and tags, below 4 GiB.
    init(entryLimit: Int = 1 << 15, byteLimit: Int = 4 << 20) {
        self.entryLimit = entryLimit
        self.byteLimit = byteLimit
        slots = Array(repeating: Slot(), count: 256)
    }

    /// The seed keeps a sender from choosing names that collide.
    func hash(_ sample: StatsDSample, _ bytes: Span<UInt8>) -> UInt64 {
        bytes.hash(sample.tags, into: bytes.hash(sample.name, into: seed ^ UInt64(sample.kind.rawValue)))
    }

    func find(_ hash: UInt64, _ sample: StatsDSample, _ bytes: Span<UInt8>) -> Destination? {
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while slots[index].nameLength > 0 {
            if slots[index].hash == hash, holds(slots[index], sample, bytes) { return slots[index].destination }
            index = (index + 1) & mask
        }
        return nil
    }

    mutating func insert(_ hash: UInt64, _ sample: StatsDSample, _ bytes: Span<UInt8>, _ destination: Destination) {
        let length = sample.name.count + sample.tags.count
        if count >= entryLimit || keys.count + length > byteLimit { forget() }
        if (count + 1) * 2 > slots.count { grow() }
        var slot = Slot()
        slot.hash = hash
        slot.offset = UInt32(keys.count)
        slot.nameLength = UInt16(sample.name.count)
        slot.tagsLength = UInt16(sample.tags.count)
        slot.kind = sample.kind
        slot.destination = destination
        for index in sample.name { keys.append(bytes[index]) }
        for index in sample.tags { keys.append(bytes[index]) }
        place(slot)
        count += 1
    }

    mutating func forget() {
        for index in slots.indices { slots[index] = Slot() }
        keys.removeAll(keepingCapacity: true)
        count = 0
    }

    private func holds(_ slot: Slot, _ sample: StatsDSample, _ bytes: Span<UInt8>) -> Bool {
        guard slot.kind == sample.kind, Int(slot.nameLength) == sample.name.count,
            Int(slot.tagsLength) == sample.tags.count
        else { return false }
        let key = Int(slot.offset)
        return bytes.holds(sample.name, equalTo: keys, at: key)
            && bytes.holds(sample.tags, equalTo: keys, at: key + sample.name.count)
    }

    private mutating func place(_ slot: Slot) {
        let mask = slots.count - 1
        var index = Int(truncatingIfNeeded: slot.hash) & mask
        while slots[index].nameLength > 0 { index = (index + 1) & mask }
        slots[index] = slot
    }

    private mutating func grow() {
        let old = slots
        slots = Array(repeating: Slot(), count: old.count * 2)
        for slot in old where slot.nameLength > 0 { place(slot) }
    }
}
