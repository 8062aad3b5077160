/// How often requests would hit with half and with twice the memory: the same policy over a sample of the keys, in two
/// caches without values, scaled down as the sample is.
///
/// A key is in the sample when some bits of its hash are zero; when the larger shadow outgrows its bound, one more bit
/// has to be. References: C. Waldspurger et al., "Efficient MRC construction with SHARDS", FAST 2015; the same,
/// "Cache modeling and optimization using miniature simulations", ATC 2017.
///
/// Entries that are dropped by a tag after they left the real cache stay in the larger shadow, so its estimate is high
/// where tags are often invalidated.
struct Shadows<Policy: EvictionPolicy> {
    private var half: Shadow<Policy>
    private var double: Shadow<Policy>
    private var sampleMask: UInt32 = 0
    private var bounds: Bounds
    /// Of the shadows, as the sample is now.
    private var (halfBounds, doubleBounds): (Bounds, Bounds)
    /// In the larger shadow: a fiftieth of the memory, at most 1024 entries.
    private let mostEntries: Int

    init(weighing: SlotTable.Weighing, bounds: Bounds, nowMs: Int) {
        mostEntries = weighing == .entries ? 1024 : min(max(bounds.weight / 4096, 64), 1024)
        half = Shadow(weighing: weighing, nowMs: nowMs)
        double = Shadow(weighing: weighing, nowMs: nowMs)
        self.bounds = bounds
        (halfBounds, doubleBounds) = (bounds.scaled(by: 0.5, 0), bounds.scaled(by: 2, 0))
    }

    mutating func resize(_ bounds: Bounds) {
        self.bounds = bounds
        scale()
    }

    private mutating func scale() {
        (halfBounds, doubleBounds) = (bounds.scaled(by: 0.5, sampleMask), bounds.scaled(by: 2, sampleMask))
    }

    @inline(__always)
    func contains(_ hash: UInt64) -> Bool { UInt32(truncatingIfNeeded: hash >> 32) & sampleMask == 0 }

    /// A key of the sample was asked for. `entry` is what the cache itself found.
    mutating func requested(_ hash: UInt64, found entry: Slot?, nowMs: Int) {
        half.requested(hash, found: entry, within: halfBounds, nowMs)
        double.requested(hash, found: entry, within: doubleBounds, nowMs)
    }

    mutating func stored(_ hash: UInt64, _ entry: Slot, nowMs: Int) {
        half.store(hash, entry, within: halfBounds, nowMs)
        double.store(hash, entry, within: doubleBounds, nowMs)
        while double.count > mostEntries { thin() }
    }

    mutating func invalidated(_ hash: UInt64) {
        half.remove(hash)
        double.remove(hash)
    }

    private mutating func thin() {
        sampleMask = sampleMask << 1 | 1
        scale()
        half.keep(sampleMask)
        double.keep(sampleMask)
    }

    /// Nil until enough was asked for.
    var hitRatioAtHalf: Double? { half.hitRatio }
    var hitRatioAtDouble: Double? { double.hitRatio }
    var residentBytes: Int { half.residentBytes + double.residentBytes }
}

private struct Shadow<Policy: EvictionPolicy> {
    /// Sampled requests after which older ones count half.
    private static var window: Int { 32_768 }
    private static var fewest: Int { 100 }

    private var directory: Directory<Policy>
    private var requests = 0
    private var hits = 0

    init(weighing: SlotTable.Weighing, nowMs: Int) {
        directory = Directory(weighing: weighing, expected: 0, nowMs: nowMs)
    }

    var count: Int { directory.count }
    var hitRatio: Double? { requests < Shadow.fewest ? nil : Double(hits) / Double(requests) }
    var residentBytes: Int { directory.residentBytes }

    mutating func requested(_ hash: UInt64, found entry: Slot?, within bounds: Bounds, _ nowMs: Int) {
        expire(nowMs)
        requests += 1
        if let id = find(hash), directory[id].remainingMs(at: nowMs) > 0 {
            hits += 1
            directory.touch(id)
        } else {
            directory.missed(UInt32(truncatingIfNeeded: hash))
            if let entry { store(hash, entry, within: bounds, nowMs) }
        }
        guard requests >= Shadow.window else { return }
        requests /= 2
        hits /= 2
    }

    mutating func store(_ hash: UInt64, _ entry: Slot, within bounds: Bounds, _ nowMs: Int) {
        expire(nowMs)
        remove(hash)
        let weight = directory.slots.weight(keyBytes: Int(entry.keyBytes), valueBytes: Int(entry.valueBytes))
        guard weight <= bounds.weight, bounds.entries > 0 else { return }
        directory.announce(UInt32(truncatingIfNeeded: hash), weight: weight)
        while !bounds.haveRoom(for: weight, beside: directory.weight, directory.count) {
            guard let victim = directory.victim() else { return }
            directory.remove(victim)
        }
        var slot = Slot()
        slot.hash = UInt32(truncatingIfNeeded: hash)
        slot.offset = UInt32(truncatingIfNeeded: hash >> 32)
        slot.keyBytes = entry.keyBytes
        slot.valueBytes = entry.valueBytes
        slot.deadlineMs = entry.deadlineMs
        _ = directory.insert(slot)
    }

    mutating func remove(_ hash: UInt64) {
        if let id = find(hash) { directory.remove(id) }
    }

    /// Drops what is no longer in the sample.
    mutating func keep(_ sampleMask: UInt32) {
        for id in 0..<SlotID(directory.slots.used) {
            let slot = directory[id]
            let isUsed = find(UInt64(slot.offset) << 32 | UInt64(slot.hash)) == id
            if isUsed, slot.offset & sampleMask != 0 { directory.remove(id) }
        }
    }

    private func find(_ hash: UInt64) -> SlotID? {
        let upper = UInt32(truncatingIfNeeded: hash >> 32)
        return directory.find(UInt32(truncatingIfNeeded: hash)) { $0.offset == upper }
    }

    private mutating func expire(_ nowMs: Int) {
        var budget = 8
        while directory.removeExpired(nowMs: nowMs, budget: &budget) != nil {}
    }
}
