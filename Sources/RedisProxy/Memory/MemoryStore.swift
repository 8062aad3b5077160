import Runtime

/// The data of the in-memory Redis, and what its commands do to it: a value that is told the time.
///
/// It takes at most `limits.bytes` by its own account of keys, values and what surrounds them; before a command that may
/// grow it, room is made by the eviction policy or the command is refused as Redis refuses it.
struct MemoryStore: Sendable {
    let limits: MemoryRedis.Limits
    var databases: [MemoryDatabase]
    var statistics = MemoryRedis.Statistics()
    let startedMs: Int
    private var lastVersion: UInt64 = 0
    /// Of what clients have waiting; it counts as if it were stored.
    private(set) var heldBytes = 0
    /// So much of it counts for nothing, so that a full store can still be read, and emptied, in transactions.
    private static let freeHeldBytes = 1 << 20
    var random: SystemRandomNumberGenerator = .init()

    init(limits: MemoryRedis.Limits, nowMs: Int) {
        self.limits = limits
        startedMs = nowMs
        databases = Array(repeating: MemoryDatabase(), count: limits.databases)
    }

    var sizeBytes: Int { databases.reduce(0) { $0 + $1.sizeBytes } }

    /// Runs a command, whatever it is, and appends its reply to the call.
    mutating func run(_ call: inout MemoryCall) {
        statistics.commands += 1
        expire(call.nowMs)
        do throws(MemoryFault) {
            let (command, handler) = try MemoryCommands.handler(for: call)
            if command.has(.grows) { try makeRoom(for: call) }
            let start = call.reply.count
            do throws(MemoryFault) {
                try handler(&self, &call)
            } catch {
                call.reply.removeSubrange(start...)
                throw error
            }
        } catch {
            statistics.errors += 1
            call.answer(error)
        }
    }

    mutating func expire(_ nowMs: Int) {
        for index in databases.indices {
            guard let due = databases[index].queue.first?.dueMs, due <= nowMs else { continue }
            statistics.expired += databases[index].expire(nowMs: nowMs, version: nextVersion())
        }
    }

    mutating func nextVersion() -> UInt64 {
        lastVersion += 1
        return lastVersion
    }

    /// Of a key that is there, the version of its last change; of another, that of the database's last removal.
    func version(of key: [UInt8], in database: Int) -> UInt64 {
        databases[database].table[key]?.version ?? databases[database].removalVersion
    }

    // MARK: Room

    private mutating func makeRoom(for call: MemoryCall) throws(MemoryFault) {
        try makeRoom(for: call.words.reduce(0) { $0 + $1.count } + MemoryEntry.overheadBytes)
    }

    mutating func hold(_ bytes: Int) -> Bool {
        if heldBytes + bytes > Self.freeHeldBytes {
            do throws(MemoryFault) { try makeRoom(for: bytes) } catch { return false }
        }
        heldBytes += bytes
        return true
    }

    mutating func release(_ bytes: Int) { heldBytes = max(0, heldBytes - bytes) }

    private mutating func makeRoom(for wanted: Int) throws(MemoryFault) {
        guard limits.bytes < .max else { return }
        while sizeBytes + max(0, heldBytes - Self.freeHeldBytes) + wanted > limits.bytes {
            guard let (database, key) = victim() else { throw .outOfMemory }
            databases[database].remove(key, version: nextVersion())
            statistics.evicted += 1
        }
    }

    /// As in Redis the best of a few taken at random, from the database that takes most.
    private mutating func victim() -> (Int, [UInt8])? {
        let candidates = databases.indices.filter {
            limits.eviction.takesAnyKey ? !databases[$0].table.isEmpty : databases[$0].volatileCount > 0
        }
        guard limits.eviction != .none,
            let index = candidates.max(by: { databases[$0].sizeBytes < databases[$1].sizeBytes })
        else { return nil }
        let database = databases[index]
        switch limits.eviction {
        case .none: return nil
        case .anyRandom: return database.table.random(using: &random).map { (index, $0.key) }
        case .anyLeastRecentlyUsed:
            let sample = (0..<5).compactMap { _ in database.table.random(using: &random) }
            return sample.min { $0.value.usedAtMs < $1.value.usedAtMs }.map { (index, $0.key) }
        case .volatileLeastRecentlyUsed:
            let sample = (0..<16).compactMap { _ -> PlacedTable<MemoryEntry>.Element? in
                let item = database.queue.item(at: Int.random(in: 0..<database.queue.count, using: &random))
                guard let place = database.table.place(of: item.key), let element = database.table.element(at: place),
                    element.value.expiresAtMs == item.dueMs
                else { return nil }
                return element
            }
            if let oldest = sample.min(by: { $0.value.usedAtMs < $1.value.usedAtMs }) { return (index, oldest.key) }
            return soonestToExpire(in: index)
        case .volatileSoonest: return soonestToExpire(in: index)
        }
    }

    private mutating func soonestToExpire(in index: Int) -> (Int, [UInt8])? {
        while let item = databases[index].queue.first {
            if databases[index].table[item.key]?.expiresAtMs == item.dueMs { return (index, item.key) }
            databases[index].dropFirstOfQueue()
        }
        return nil
    }

    // MARK: What handlers share

    /// The string under a key; nil where there is none.
    mutating func string(_ key: [UInt8], _ call: MemoryCall) throws(MemoryFault) -> [UInt8]? {
        switch databases[call.database].entry(key, nowMs: call.nowMs)?.value {
        case .none: return nil
        case .string(let bytes): return bytes
        case .hash: throw .wrongType
        }
    }

    /// The hash under a key; nil where there is none.
    mutating func hash(_ key: [UInt8], _ call: MemoryCall) throws(MemoryFault) -> MemoryHash? {
        switch databases[call.database].entry(key, nowMs: call.nowMs)?.value {
        case .none: return nil
        case .hash(let hash): return hash
        case .string: throw .wrongType
        }
    }

    mutating func exists(_ key: [UInt8], _ call: MemoryCall) -> Bool {
        databases[call.database].entry(key, nowMs: call.nowMs) != nil
    }

    mutating func count(hit: Bool) {
        if hit { statistics.hits += 1 } else { statistics.misses += 1 }
    }

    /// Puts a value under a key, whose lifetime ends with it unless it is told otherwise.
    mutating func set(_ key: [UInt8], _ value: MemoryValue, _ call: MemoryCall, expiresAtMs: Int? = nil) {
        databases[call.database].set(
            key, value, expiresAtMs: expiresAtMs, version: nextVersion(), nowMs: call.nowMs)
    }

    /// Puts a string under a key whose lifetime stays as it is.
    mutating func replace(_ key: [UInt8], _ bytes: [UInt8], _ call: MemoryCall) {
        let expiry = databases[call.database].table[key]?.expiresAtMs
        set(key, .string(bytes), call, expiresAtMs: expiry)
    }

    /// Changes the fields of a key, which is made where it is missing and removed where nothing is left.
    @discardableResult
    mutating func changeHash<Result>(
        _ key: [UInt8], _ call: MemoryCall, _ change: (inout MemoryHash) -> Result
    ) throws(MemoryFault) -> Result {
        if try hash(key, call) == nil { set(key, .hash(MemoryHash()), call) }
        var isEmpty = false
        let result = databases[call.database].modify(key, version: nextVersion()) { value -> Result? in
            guard case .hash(var hash) = value else { return nil }
            // The fields are taken out, so that changing them copies nothing.
            value = .string([])
            let result = change(&hash)
            isEmpty = hash.fields.isEmpty
            value = .hash(hash)
            return result
        }
        if isEmpty { remove(key, call) }
        guard let result, let result else { throw .wrongType }
        return result
    }

    @discardableResult
    mutating func remove(_ key: [UInt8], _ call: MemoryCall) -> Bool {
        databases[call.database].remove(key, version: nextVersion()) != nil
    }
}
