/// Which tags the entries carry and when each was last invalidated, so that dropping everything with a tag is one
/// write, however many entries there are: an entry is stale when one of its tags changed after it was stored.
///
/// A tag is known as long as an entry carries it: 32 bytes. O(1) everywhere.
struct TagTable {
    private struct Tag {
        var hash: UInt64
        /// The invalidation that struck it last, counted over the whole partition.
        var changed: UInt64 = 0
        var references: UInt32 = 0
        var chain = SlotID.none
    }

    private struct Tags: ChainedEntries {
        var tags: [Tag] = []
        var firstFree = SlotID.none
        var count = 0

        func hash(of id: SlotID) -> UInt32 { UInt32(truncatingIfNeeded: tags[Int(id)].hash) }
        func chain(of id: SlotID) -> SlotID { tags[Int(id)].chain }
        mutating func setChain(of id: SlotID, to next: SlotID) { tags[Int(id)].chain = next }
    }

    private var table = Tags()
    private var index = KeyIndex()

    var count: Int { table.count }

    /// The number of a tag, which one more entry carries now.
    mutating func retain(_ hash: UInt64) -> SlotID {
        let id = find(hash) ?? insert(hash)
        table.tags[Int(id)].references += 1
        return id
    }

    mutating func release(_ id: SlotID) {
        table.tags[Int(id)].references -= 1
        guard table.tags[Int(id)].references == 0 else { return }
        index.remove(id, in: &table)
        table.tags[Int(id)].chain = table.firstFree
        table.firstFree = id
        table.count -= 1
    }

    func changed(_ id: SlotID) -> UInt64 { table.tags[Int(id)].changed }

    /// - Returns: how many entries carried the tag.
    mutating func invalidate(_ hash: UInt64, at sequence: UInt64) -> Int {
        guard let id = find(hash) else { return 0 }
        table.tags[Int(id)].changed = sequence
        return Int(table.tags[Int(id)].references)
    }

    private func find(_ hash: UInt64) -> SlotID? {
        index.find(UInt32(truncatingIfNeeded: hash), in: table) { table.tags[Int($0)].hash == hash }
    }

    private mutating func insert(_ hash: UInt64) -> SlotID {
        table.count += 1
        let id: SlotID
        if table.firstFree == .none {
            id = SlotID(table.tags.count)
            table.tags.append(Tag(hash: hash))
        } else {
            id = table.firstFree
            table.firstFree = table.tags[Int(id)].chain
            table.tags[Int(id)] = Tag(hash: hash)
        }
        index.insert(id, in: &table)
        return id
    }

    var residentBytes: Int { table.tags.count * MemoryLayout<Tag>.stride + index.residentBytes }
}

/// The tags at the end of a record: their numbers, the moment of storing, and how many they are.
struct TagBlock {
    let ids: [SlotID]
    let stored: UInt64

    static func length(_ count: Int) -> Int { 4 * count + 9 }

    func append(to value: inout [UInt8]) {
        for id in ids { value.append(word: id) }
        value.append(word: UInt32(truncatingIfNeeded: stored))
        value.append(word: UInt32(truncatingIfNeeded: stored >> 32))
        value.append(UInt8(ids.count))
    }

    init(ids: [SlotID], stored: UInt64) {
        self.ids = ids
        self.stored = stored
    }

    /// Reads the block of a slot that is tagged.
    init(of slot: Slot, in log: borrowing RecordLog) {
        let count = Int(log.valueByte(of: slot, fromEnd: 1))
        var ids: [SlotID] = []
        ids.reserveCapacity(count)
        for index in 0..<count {
            ids.append(TagBlock.word(of: slot, in: log, fromEnd: TagBlock.length(count) - 4 * index))
        }
        self.ids = ids
        stored =
            UInt64(TagBlock.word(of: slot, in: log, fromEnd: 9))
            | UInt64(TagBlock.word(of: slot, in: log, fromEnd: 5)) << 32
    }

    private static func word(of slot: Slot, in log: borrowing RecordLog, fromEnd distance: Int) -> UInt32 {
        var word: UInt32 = 0
        for index in 0..<4 { word |= UInt32(log.valueByte(of: slot, fromEnd: distance - index)) << UInt32(8 * index) }
        return word
    }
}
