/// Remembers the hashes of what was evicted lately, as much of it as a given weight, the oldest giving way.
///
/// 24 bytes for each remembered hash; appending and removing cost O(1).
struct GhostQueue {
    private struct Ghost {
        var hash: UInt32
        var weight: UInt32
        var older = SlotID.none
        var newer = SlotID.none
        var chain = SlotID.none
    }

    /// The ghosts by number, and which numbers are free.
    private struct Ghosts: ChainedEntries {
        var ghosts: [Ghost] = []
        var firstFree = SlotID.none
        var count = 0

        func hash(of id: SlotID) -> UInt32 { ghosts[Int(id)].hash }
        func chain(of id: SlotID) -> SlotID { ghosts[Int(id)].chain }
        mutating func setChain(of id: SlotID, to next: SlotID) { ghosts[Int(id)].chain = next }
    }

    private var table = Ghosts()
    private var index = KeyIndex()
    private var oldest = SlotID.none
    private var newest = SlotID.none
    private var weight = 0

    /// - Parameter bound: weight that may be remembered with this one.
    mutating func append(_ hash: UInt32, weight added: Int, bound: Int) {
        while weight + added > bound, oldest != .none { remove(oldest) }
        guard weight + added <= bound else { return }
        let id = insert(Ghost(hash: hash, weight: UInt32(clamping: added), older: newest))
        if newest == .none { oldest = id } else { table.ghosts[Int(newest)].newer = id }
        newest = id
        weight += Int(table.ghosts[Int(id)].weight)
    }

    /// Forgets a hash.
    ///
    /// - Returns: whether it was remembered.
    mutating func forget(_ hash: UInt32) -> Bool {
        guard let id = index.find(hash, in: table, where: { _ in true }) else { return false }
        remove(id)
        return true
    }

    private mutating func insert(_ ghost: Ghost) -> SlotID {
        table.count += 1
        let id: SlotID
        if table.firstFree == .none {
            id = SlotID(table.ghosts.count)
            table.ghosts.append(ghost)
        } else {
            id = table.firstFree
            table.firstFree = table.ghosts[Int(id)].chain
            table.ghosts[Int(id)] = ghost
        }
        index.insert(id, in: &table)
        return id
    }

    private mutating func remove(_ id: SlotID) {
        index.remove(id, in: &table)
        let ghost = table.ghosts[Int(id)]
        if ghost.older == .none { oldest = ghost.newer } else { table.ghosts[Int(ghost.older)].newer = ghost.newer }
        if ghost.newer == .none { newest = ghost.older } else { table.ghosts[Int(ghost.newer)].older = ghost.older }
        weight -= Int(ghost.weight)
        table.count -= 1
        table.ghosts[Int(id)].chain = table.firstFree
        table.firstFree = id
    }

    var residentBytes: Int { table.ghosts.count * MemoryLayout<Ghost>.stride + index.residentBytes }
}
