/// One numbered database of the in-memory Redis. A key whose time has come is gone from the first call that is told so.
struct MemoryDatabase: Sendable {
    private(set) var table = PlacedTable<MemoryEntry>()
    private(set) var volatileCount = 0
    private(set) var sizeBytes = 0
    /// The version of keys that are not there: the last removal's.
    private(set) var removalVersion: UInt64 = 0
    private(set) var queue = ExpiryQueue()

    /// The key's entry, if it has not expired; looking counts as use.
    mutating func entry(_ key: [UInt8], nowMs: Int) -> MemoryEntry? {
        guard let place = table.place(of: key) else { return nil }
        table.modify(at: place) { $0.usedAtMs = nowMs }
        return table.element(at: place)?.value
    }

    /// Puts a value in the place of whatever was there.
    mutating func set(_ key: [UInt8], _ value: MemoryValue, expiresAtMs: Int?, version: UInt64, nowMs: Int) {
        let entry = MemoryEntry(value: value, expiresAtMs: expiresAtMs, version: version, usedAtMs: nowMs)
        sizeBytes += key.count + value.sizeBytes + MemoryEntry.overheadBytes
        if let former = table.set(key, entry) {
            sizeBytes -= key.count + former.value.sizeBytes + MemoryEntry.overheadBytes
            if former.expiresAtMs != nil { volatileCount -= 1 }
            if former.expiresAtMs == expiresAtMs {
                if expiresAtMs != nil { volatileCount += 1 }
                return
            }
        }
        schedule(key, expiresAtMs)
    }

    /// Changes the value of a key that is there, where it is.
    mutating func modify<Result>(
        _ key: [UInt8], version: UInt64, _ change: (inout MemoryValue) -> Result
    ) -> Result? {
        guard let place = table.place(of: key) else { return nil }
        var grown = 0
        let result = table.modify(at: place) { entry in
            let former = entry.value.sizeBytes
            entry.version = version
            let result = change(&entry.value)
            grown = entry.value.sizeBytes - former
            return result
        }
        sizeBytes += grown
        return result
    }

    /// Gives a key that is there another end of its life.
    mutating func setExpiry(_ key: [UInt8], _ expiresAtMs: Int?, version: UInt64) {
        guard let place = table.place(of: key), let entry = table.element(at: place)?.value else { return }
        table.modify(at: place) {
            $0.expiresAtMs = expiresAtMs
            $0.version = version
        }
        if entry.expiresAtMs != nil { volatileCount -= 1 }
        schedule(key, expiresAtMs)
    }

    @discardableResult
    mutating func remove(_ key: [UInt8], version: UInt64) -> MemoryEntry? {
        guard let entry = table.remove(key) else { return nil }
        sizeBytes -= key.count + entry.value.sizeBytes + MemoryEntry.overheadBytes
        if entry.expiresAtMs != nil { volatileCount -= 1 }
        removalVersion = version
        return entry
    }

    mutating func removeAll(version: UInt64) {
        self = MemoryDatabase()
        removalVersion = version
    }

    /// Removes what has expired by now.
    ///
    /// - Returns: how many keys that were.
    mutating func expire(nowMs: Int, version: UInt64) -> Int {
        var expired = 0
        while let item = queue.first, item.dueMs <= nowMs {
            queue.removeFirst()
            guard table[item.key]?.expiresAtMs == item.dueMs else { continue }
            remove(item.key, version: version)
            expired += 1
        }
        return expired
    }

    /// For whoever found that it says nothing of the table any more.
    mutating func dropFirstOfQueue() { queue.removeFirst() }

    private mutating func schedule(_ key: [UInt8], _ expiresAtMs: Int?) {
        guard let expiresAtMs else { return }
        volatileCount += 1
        queue.insert(ExpiryQueue.Item(dueMs: expiresAtMs, key: key))
        guard queue.count > 2 * volatileCount + 64 else { return }
        var items: [ExpiryQueue.Item] = []
        items.reserveCapacity(volatileCount)
        table.forEach { element in
            if let due = element.value.expiresAtMs { items.append(ExpiryQueue.Item(dueMs: due, key: element.key)) }
        }
        queue = ExpiryQueue(items)
    }
}
