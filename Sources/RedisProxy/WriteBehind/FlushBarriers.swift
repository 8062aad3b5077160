/// Who waits until what was pending under some keys is at Redis. Decides only; the calls are `WriteBehind`'s.
struct FlushBarriers: Sendable {
    typealias ID = UInt64

    private var lastID: ID = 0
    /// How many keys each still waits for.
    private var missing: [ID: Int] = [:]
    private var byKey: [PendingKey: [(id: ID, through: UInt64)]] = [:]
    /// Those who wait for everything, in the order in which they came.
    private var forAll: [(id: ID, through: UInt64)] = []

    func isAwaited(_ key: PendingKey) -> Bool { byKey[key] != nil }

    /// - Parameter sequence: writes up to this one are waited for.
    mutating func add(_ keys: Set<PendingKey>, through sequence: UInt64) -> ID {
        lastID += 1
        missing[lastID] = keys.count
        for key in keys { byKey[key, default: []].append((lastID, sequence)) }
        return lastID
    }

    mutating func addForAll(through sequence: UInt64) -> ID {
        lastID += 1
        forAll.append((lastID, sequence))
        return lastID
    }

    /// - Parameter oldest: the oldest write of the key that is not at Redis.
    /// - Returns: those who have nothing to wait for any more.
    mutating func advance(_ key: PendingKey, oldest: UInt64) -> [ID] {
        guard let waiting = byKey[key] else { return [] }
        let rest = waiting.filter { $0.through >= oldest }
        byKey[key] = rest.isEmpty ? nil : rest
        var done: [ID] = []
        for (id, through) in waiting where through < oldest {
            let count = missing[id, default: 1] - 1
            missing[id] = count == 0 ? nil : count
            if count == 0 { done.append(id) }
        }
        return done
    }

    /// - Parameter oldest: the oldest write of all that is not at Redis.
    mutating func advanceAll(oldest: UInt64) -> [ID] {
        let done = forAll.prefix { $0.through < oldest }.map(\.id)
        forAll.removeFirst(done.count)
        return done
    }

    /// Those who wait for one of these keys, or for all, wait no more.
    mutating func remove(awaiting keys: [PendingKey]) -> [ID] {
        var gone: Set<ID> = []
        for key in keys { gone.formUnion((byKey[key] ?? []).map(\.id)) }
        for id in gone { missing[id] = nil }
        if !gone.isEmpty {
            byKey = byKey.mapValues { $0.filter { !gone.contains($0.id) } }.filter { !$0.value.isEmpty }
        }
        defer { forAll = [] }
        return gone.sorted() + forAll.map(\.id)
    }

    /// Nobody waits any more.
    mutating func removeAll() -> [ID] {
        let all = missing.keys.sorted() + forAll.map(\.id)
        (missing, byKey, forAll) = ([:], [:], [])
        return all
    }
}
