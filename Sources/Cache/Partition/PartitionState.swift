import Runtime

/// All of one class: what the lock of a partition guards. It takes events and the time and says what came of them; it
/// knows no clock, no lock and no task.
struct PartitionState<Policy: EvictionPolicy> {
    let rules: CacheRules
    private(set) var bounds: Bounds
    private(set) var statistics = CacheStatistics()
    private(set) var directory: Directory<Policy>
    private var log: RecordLog
    private var tags = TagTable()
    private(set) var fills: FillTable
    private var secondSight: SecondSight?
    private var shadows: Shadows<Policy>?
    private var random: SplitMix64
    /// Invalidations so far: of keys, of tags, of everything.
    private(set) var sequence: UInt64 = 0
    /// When a tag, by some bits of its hash, was last invalidated: what a fetch in flight is held against.
    private var fences = [UInt64](repeating: 0, count: 256)

    private static var expiredPerStore: Int { 64 }

    init(_ rules: CacheRules, bounds: Bounds, seed: UInt64, nowMs: Int) {
        self.rules = rules
        self.bounds = bounds
        random = SplitMix64(seed: seed)
        fills = FillTable(limits: rules.fillLimits)
        secondSight = rules.admitsOnSecondSight ? SecondSight() : nil
        directory = Directory(
            weighing: rules.weighing, expected: PartitionState.expectedEntries(rules, bounds), nowMs: nowMs)
        log = RecordLog(bound: rules.weighing == .entries ? .max : bounds.weight)
        if rules.estimates { shadows = Shadows(weighing: rules.weighing, bounds: bounds, nowMs: nowMs) }
    }

    /// Slots to reserve address space for, so that the table is not copied while it grows; at most 1 GiB of it.
    private static func expectedEntries(_ rules: CacheRules, _ bounds: Bounds) -> Int {
        let mostReserved = (1 << 30) / MemoryLayout<Slot>.stride
        guard case .bytes(let overhead) = rules.weighing else { return min(bounds.entries, 1 << 16) }
        return min(bounds.entries, bounds.weight / max(1, overhead + 16), mostReserved)
    }

    // MARK: Looking

    enum Found {
        case miss
        case absent(Hit)
        /// The value was appended.
        case plain(Hit)
        /// The value was appended as it is stored: four bytes of length and what was compressed.
        case packed(Hit)
    }

    mutating func lookup(_ hash: UInt64, _ key: Span<UInt8>, nowMs: Int, into output: inout [UInt8]) -> Found {
        let id = living(hash, key, nowMs: nowMs)
        if shadows?.contains(hash) == true {
            shadows?.requested(hash, found: id.map { directory[$0] }, nowMs: nowMs)
        }
        guard let id else {
            statistics.misses += 1
            directory.missed(UInt32(truncatingIfNeeded: hash))
            return .miss
        }
        directory.touch(id)
        let hit = noteHit(id, nowMs: nowMs)
        let flags = directory[id].flags
        guard !flags.contains(.absent) else {
            statistics.absentHits += 1
            return .absent(hit)
        }
        var trailerBytes = 0
        if flags.contains(.tagged) {
            trailerBytes = TagBlock.length(Int(log.valueByte(of: directory[id], fromEnd: 1)))
        }
        log.appendValue(of: directory[id], withoutLast: trailerBytes, to: &output)
        return flags.contains(.compressed) ? .packed(hit) : .plain(hit)
    }

    func contains(_ hash: UInt64, _ key: Span<UInt8>, nowMs: Int) -> Bool {
        guard let id = find(hash, key) else { return false }
        return directory[id].remainingMs(at: nowMs) > 0 && !isStale(directory[id])
    }

    @inline(__always)
    private func find(_ hash: UInt64, _ key: Span<UInt8>) -> SlotID? {
        directory.find(UInt32(truncatingIfNeeded: hash)) { log.hasKey(key, $0) }
    }

    /// The entry of a key, unless it has expired or one of its tags was invalidated, in which case it is removed.
    @inline(__always)
    private mutating func living(_ hash: UInt64, _ key: Span<UInt8>, nowMs: Int) -> SlotID? {
        guard let id = find(hash, key) else { return nil }
        if directory[id].remainingMs(at: nowMs) <= 0 {
            statistics.expirations += 1
            drop(id)
            return nil
        }
        if directory[id].flags.contains(.tagged), isStale(directory[id]) {
            statistics.invalidations += 1
            shadows?.invalidated(hash)
            drop(id)
            return nil
        }
        return id
    }

    private func isStale(_ slot: Slot) -> Bool {
        guard slot.flags.contains(.tagged) else { return false }
        let block = TagBlock(of: slot, in: log)
        return block.ids.contains { tags.changed($0) > block.stored }
    }

    @inline(__always)
    private mutating func noteHit(_ id: SlotID, nowMs: Int) -> Hit {
        let remainingMs = directory[id].remainingMs(at: nowMs)
        let lifetimeMs = Int(directory[id].lifetimeMs)
        statistics.countHit(ageMs: lifetimeMs - remainingMs)
        let hits = directory[id].hits
        if hits < .max { directory[id].hits = hits + 1 }
        let isDue =
            rules.refreshShare > 0 && hits >= rules.refreshAfterHits
            && Double(remainingMs) < Double(lifetimeMs) * rules.refreshShare
            && !directory[id].flags.contains(.refreshing)
        if isDue {
            directory[id].flags.insert(.refreshing)
            statistics.refreshes += 1
        }
        return Hit(ageMs: lifetimeMs - remainingMs, remainingMs: remainingMs, isRefreshDue: isDue)
    }

    // MARK: Filling

    mutating func beginFill(
        _ hash: UInt64, _ key: Span<UInt8>, _ request: FillRequest, nowMs: Int
    ) -> FillTable.Start? {
        if !request.isRefresh, living(hash, key, nowMs: nowMs) != nil { return nil }
        let fences = fences
        let start = fills.start(
            hash, key, tags: request.tags, sequence: sequence, nowMs: nowMs, waitUntilMs: request.waitUntilMs
        ) { tags, sequence in tags.contains { fences[PartitionState.fence($0)] > sequence } }
        switch start {
        case .lead: break
        case .follow: statistics.waits += 1
        case .crowded: statistics.crowded += 1
        }
        return start
    }

    /// Ends a fetch and stores what it brought.
    mutating func fill(
        _ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry,
        token: (id: UInt64, sequence: UInt64),
        nowMs: Int
    ) -> (FillResult, waiters: [FillTable.WaiterID]) {
        guard fills.isCurrent(hash, id: token.id) else { return (refuse(.stale), []) }
        let waiters = fills.end(hash)
        guard !isFenced(entry.tags, since: token.sequence) else {
            clearRefreshing(hash, key)
            return (refuse(.stale), waiters)
        }
        return (admitOrDrop(hash, key, value, entry, nowMs: nowMs), waiters)
    }

    /// Stores a value that nobody asked for, which is newer than whatever is being fetched.
    mutating func put(
        _ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry, nowMs: Int
    ) -> (FillResult, waiters: [FillTable.WaiterID]) {
        let waiters = fills.end(hash)
        return (admitOrDrop(hash, key, value, entry, nowMs: nowMs), waiters)
    }

    private mutating func admitOrDrop(
        _ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry, nowMs: Int
    ) -> FillResult {
        let result = admit(hash, key, value, entry, nowMs: nowMs)
        // What is there is older than what was not stored.
        if case .refused = result, let id = find(hash, key) { drop(id) }
        return result
    }

    mutating func abandon(_ hash: UInt64, _ key: Span<UInt8>, id: UInt64) -> [FillTable.WaiterID] {
        guard fills.isCurrent(hash, id: id) else { return [] }
        clearRefreshing(hash, key)
        return fills.end(hash)
    }

    private mutating func clearRefreshing(_ hash: UInt64, _ key: Span<UInt8>) {
        if let id = find(hash, key) { directory[id].flags.remove(.refreshing) }
    }

    private mutating func refuse(_ reason: FillRefusal) -> FillResult {
        statistics.fillsRefused[reason.rawValue] += 1
        return .refused(reason)
    }

    private mutating func admit(
        _ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ entry: NewEntry, nowMs: Int
    ) -> FillResult {
        expire(nowMs: nowMs, budget: PartitionState.expiredPerStore)
        let lifetimeMs = rules.lifetimeMs(entry, random: &random)
        guard lifetimeMs > 0 else { return refuse(.notKept) }
        let trailerBytes = entry.tags.isEmpty ? 0 : TagBlock.length(entry.tags.count)
        let weight = directory.slots.weight(keyBytes: key.count, valueBytes: value.count + trailerBytes)
        guard key.count <= UInt16.max, value.count <= rules.mostValueBytes, entry.tags.count <= UInt8.max,
            weight <= bounds.weight, bounds.entries > 0
        else { return refuse(.tooLarge) }
        let present = find(hash, key)
        if present == nil, !entry.isKnownHot, secondSight?.admits(hash) == false { return refuse(.firstSight) }

        let deadlineMs = UInt32(truncatingIfNeeded: nowMs + lifetimeMs)
        let trailer = retain(entry.tags)
        let id: SlotID
        if let present {
            id = present
            replace(id, key, value, trailer, deadlineMs, UInt32(lifetimeMs))
        } else {
            id = insert(hash, key, value, trailer, weight, deadlineMs, UInt32(lifetimeMs))
        }
        directory[id].flags = entry.flags.union(trailer.isEmpty ? [] : .tagged)
        statistics.fills += 1
        if entry.savedBytes > 0 {
            statistics.compressedValues += 1
            statistics.savedBytes += entry.savedBytes
        }
        if shadows?.contains(hash) == true { shadows?.stored(hash, directory[id], nowMs: nowMs) }
        // A value that grew may have pushed the others, and in the end itself, over the bound.
        while directory.weight > bounds.weight, evictOne(.bytes) {}
        return .stored
    }

    private mutating func insert(
        _ hash: UInt64, _ key: Span<UInt8>, _ value: Span<UInt8>, _ trailer: [UInt8], _ weight: Int,
        _ deadlineMs: UInt32, _ lifetimeMs: UInt32
    ) -> SlotID {
        directory.announce(UInt32(truncatingIfNeeded: hash), weight: weight)
        while !bounds.haveRoom(for: weight, beside: directory.weight, directory.count) {
            guard evictOne(directory.count >= bounds.entries ? .entries : .bytes) else { break }
        }
        var slot = Slot()
        slot.hash = UInt32(truncatingIfNeeded: hash)
        slot.keyBytes = UInt16(key.count)
        slot.valueBytes = UInt32(value.count + trailer.count)
        slot.deadlineMs = deadlineMs
        slot.lifetimeMs = lifetimeMs
        let id = directory.insert(slot)
        let written = log.append(key, value, trailer: trailer, id, in: &directory.slots)
        log.clean(afterWriting: written, in: &directory.slots)
        return id
    }

    private mutating func replace(
        _ id: SlotID, _ key: Span<UInt8>, _ value: Span<UInt8>, _ trailer: [UInt8], _ deadlineMs: UInt32,
        _ lifetimeMs: UInt32
    ) {
        let old = directory[id]
        releaseTags(of: old)
        log.free(old)
        var written = 0
        directory.replace(id, deadlineMs: deadlineMs, lifetimeMs: lifetimeMs) { slots in
            written = log.append(key, value, trailer: trailer, id, in: &slots)
            slots[id].hits = old.hits / 2
        }
        log.clean(afterWriting: written, in: &directory.slots)
    }

    // MARK: Tags

    private static func fence(_ tag: UInt64) -> Int { Int(tag >> 56) }

    private func isFenced(_ tags: [UInt64], since sequence: UInt64) -> Bool {
        tags.contains { fences[PartitionState.fence($0)] > sequence }
    }

    private mutating func retain(_ hashes: [UInt64]) -> [UInt8] {
        guard !hashes.isEmpty else { return [] }
        var trailer: [UInt8] = []
        trailer.reserveCapacity(TagBlock.length(hashes.count))
        TagBlock(ids: hashes.map { tags.retain($0) }, stored: sequence).append(to: &trailer)
        return trailer
    }

    private mutating func releaseTags(of slot: Slot) {
        guard slot.flags.contains(.tagged) else { return }
        for tag in TagBlock(of: slot, in: log).ids { tags.release(tag) }
    }

    // MARK: Invalidating

    mutating func invalidate(_ hash: UInt64, _ key: Span<UInt8>) -> (wasThere: Bool, waiters: [FillTable.WaiterID]) {
        sequence += 1
        let waiters = fills.end(hash)
        guard let id = find(hash, key) else { return (false, waiters) }
        statistics.invalidations += 1
        shadows?.invalidated(hash)
        drop(id)
        return (true, waiters)
    }

    /// - Returns: how many entries carried the tag; they are removed when they are next met.
    mutating func invalidate(tag: UInt64) -> Int {
        sequence += 1
        fences[PartitionState.fence(tag)] = sequence
        return tags.invalidate(tag, at: sequence)
    }

    /// Everything that holds entries, for the caller to let go of outside the lock.
    struct Emptied {
        fileprivate let directory: Directory<Policy>
        fileprivate let log: RecordLog
        fileprivate let tags: TagTable
    }

    /// Starts empty, in O(1): what was there leaves in one piece.
    mutating func invalidateAll(nowMs: Int) -> (Emptied, waiters: [FillTable.WaiterID]) {
        sequence += 1
        statistics.invalidations += directory.count
        let emptied = Emptied(directory: directory, log: log, tags: tags)
        directory = Directory(
            weighing: rules.weighing, expected: PartitionState.expectedEntries(rules, bounds), nowMs: nowMs)
        log = RecordLog(bound: rules.weighing == .entries ? .max : bounds.weight)
        tags = TagTable()
        return (emptied, fills.endAll())
    }

    // MARK: Leaving

    private mutating func drop(_ id: SlotID) {
        releaseTags(of: directory[id])
        log.free(directory[id])
        directory.remove(id)
    }

    private mutating func evictOne(_ cause: EvictionCause) -> Bool {
        guard let id = directory.victim() else { return false }
        statistics.evictions[cause.rawValue] += 1
        if directory[id].hits == 0 { statistics.evictedUnused += 1 }
        drop(id)
        return true
    }

    /// Removes entries whose time has come.
    ///
    /// - Parameter budget: entries that may be looked at.
    /// - Returns: whether the budget was enough.
    @discardableResult
    mutating func expire(nowMs: Int, budget: Int) -> Bool {
        var budget = budget
        while let slot = directory.removeExpired(nowMs: nowMs, budget: &budget) {
            statistics.expirations += 1
            releaseTags(of: slot)
            log.free(slot)
        }
        return budget > 0
    }

    /// Evicts until no more than `weight` is held, and moves what is left together.
    ///
    /// - Parameter budget: entries, and then kilobytes, that may be worked on before others get their turn.
    /// - Returns: whether there is more to do.
    mutating func shrink(to weight: Int, _ cause: EvictionCause, budget: Int) -> Bool {
        var budget = budget
        while directory.weight > weight || directory.count > bounds.entries {
            guard budget > 0 else { return true }
            guard evictOne(cause) else { break }
            budget -= 1
        }
        return log.compact(budget: budget << 10, in: &directory.slots)
    }

    mutating func resize(_ bounds: Bounds) {
        self.bounds = bounds
        shadows?.resize(bounds)
    }

    // MARK: Telling

    mutating func overdueWaiters(nowMs: Int) -> [FillTable.WaiterID] { fills.overdue(nowMs: nowMs) }

    var usage: CacheUsage {
        CacheUsage(
            entries: directory.count, bytes: directory.weight, boundBytes: bounds.weight, boundEntries: bounds.entries,
            residentBytes: directory.residentBytes + log.residentBytes + tags.residentBytes
                + (shadows?.residentBytes ?? 0), fillsInFlight: fills.count, tags: tags.count,
            hitRatioAtHalf: shadows?.hitRatioAtHalf, hitRatioAtDouble: shadows?.hitRatioAtDouble)
    }

    /// The keys of living entries in a part of the table, with their hits.
    ///
    /// - Returns: where the next part begins, or nil at the end.
    func hotKeys(from start: Int, count: Int, nowMs: Int, _ take: (_ hits: Int, _ key: [UInt8]) -> Void) -> Int? {
        let end = min(start + count, directory.slots.used)
        for id in start..<max(start, end) {
            let slot = directory[SlotID(id)]
            // A free slot was never hit.
            guard slot.hits > 0, slot.remainingMs(at: nowMs) > 0, !slot.flags.contains(.absent) else { continue }
            var key: [UInt8] = []
            log.appendKey(of: slot, to: &key)
            take(Int(slot.hits), key)
        }
        return end < directory.slots.used ? end : nil
    }
}
