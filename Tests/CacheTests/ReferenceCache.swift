/// A cache as plain as its definition, to hold the real one against: keys with sizes and deadlines, in queues.
struct ReferenceCache {
    /// A deadline from here on does not come.
    static let never = 1 << 40

    enum Policy { case fifo, lru, s3fifo, wtinylfu }

    let policy: Policy
    let capacity: Int
    private var sizes: [Int: Int] = [:]
    private var deadlines: [Int: Int] = [:]
    private var uses: [Int: Int] = [:]
    private var expiries: ArraySlice<(key: Int, deadline: Int)> = []
    // FIFO and LRU use the first; S3-FIFO has small, main, ghosts; W-TinyLFU window, probation, protected.
    private var first = Queue()
    private var second = Queue()
    private var third = Queue()
    private var counts: [Int: Int] = [:]
    private var additions = 0

    init(_ policy: Policy, capacity: Int) {
        self.policy = policy
        self.capacity = capacity
    }

    private var weight: Int { first.weight + second.weight + (policy == .s3fifo ? 0 : third.weight) }

    mutating func lookup(_ key: Int, now: Int) -> Bool {
        if policy == .wtinylfu { count(key) }
        guard let deadline = deadlines[key] else { return false }
        guard now < deadline else {
            remove(key)
            return false
        }
        uses[key, default: 0] += 1
        switch policy {
        case .fifo, .s3fifo: break
        case .lru: first.moveToFront(key)
        case .wtinylfu: promote(key)
        }
        return true
    }

    mutating func insert(_ key: Int, size: Int, deadline: Int, now: Int) {
        // All live equally long, so they expire in the order in which they came.
        while let next = expiries.first, next.deadline <= now {
            expiries.removeFirst()
            if deadlines[next.key] == next.deadline { remove(next.key) }
        }
        if deadline < ReferenceCache.never { expiries.append((key, deadline)) }
        guard size <= capacity else { return }
        let isReturning = policy == .s3fifo && third.contains(key)
        if isReturning { third.remove(key) }
        if policy != .wtinylfu {
            while weight + size > capacity { evict() }
        }
        sizes[key] = size
        deadlines[key] = deadline
        uses[key] = 0
        if isReturning { second.prepend(key, size) } else { first.prepend(key, size) }
        guard policy == .wtinylfu else { return }
        while first.weight > windowBound { leaveWindow() }
    }

    private mutating func remove(_ key: Int) {
        first.remove(key)
        second.remove(key)
        if policy != .s3fifo { third.remove(key) }
        sizes[key] = nil
        deadlines[key] = nil
    }

    private mutating func evict() {
        switch policy {
        case .fifo, .lru: remove(first.last!)
        case .s3fifo: evictS3()
        case .wtinylfu: break
        }
    }

    private mutating func evictS3() {
        if second.weight <= weight - weight / 10 {
            let ghostBound = weight * 9 / 10
            while let key = first.last {
                let size = sizes[key]!
                guard uses[key]! >= 2 else {
                    while third.weight + size > ghostBound, let oldest = third.last { third.remove(oldest) }
                    third.prepend(key, size)
                    return remove(key)
                }
                first.remove(key)
                second.prepend(key, size)
                uses[key] = 0
            }
        }
        while true {
            let key = second.last!
            guard uses[key]! > 0 else { return remove(key) }
            uses[key] = min(uses[key]!, 3) - 1
            second.moveToFront(key)
        }
    }

    // W-TinyLFU with exact counts and a window that stays a hundredth.

    private var windowBound: Int { max(1, capacity / 100) }
    private var mainBound: Int { capacity - windowBound }

    private mutating func count(_ key: Int) {
        counts[key, default: 0] += 1
        additions += 1
        guard additions >= 10 * max(16, deadlines.count) else { return }
        counts = counts.mapValues { $0 / 2 }.filter { $0.value > 0 }
        additions /= 2
    }

    /// The last of the window stays if there is room for it, or if it was asked for more often than who would go.
    private mutating func leaveWindow() {
        let candidate = first.last!
        let size = sizes[candidate]!
        guard size <= mainBound else { return remove(candidate) }
        while second.weight + third.weight + size > mainBound {
            let resident = second.last ?? third.last!
            guard counts[candidate] ?? 0 > counts[resident] ?? 0 else { return remove(candidate) }
            remove(resident)
        }
        first.remove(candidate)
        second.prepend(candidate, size)
    }

    private mutating func promote(_ key: Int) {
        if first.contains(key) { return first.moveToFront(key) }
        if third.contains(key) { return third.moveToFront(key) }
        second.remove(key)
        third.prepend(key, sizes[key]!)
        while third.weight > mainBound * 4 / 5, let last = third.last, last != key {
            third.remove(last)
            second.prepend(last, sizes[last]!)
        }
    }
}

/// Keys in order, the first the newest: a linked list through a dictionary.
struct Queue {
    private var links: [Int: (newer: Int?, older: Int?, size: Int)] = [:]
    private(set) var first: Int?
    private(set) var last: Int?
    private(set) var weight = 0

    func contains(_ key: Int) -> Bool { links[key] != nil }

    mutating func prepend(_ key: Int, _ size: Int) {
        links[key] = (nil, first, size)
        if let first { links[first]!.newer = key } else { last = key }
        first = key
        weight += size
    }

    mutating func remove(_ key: Int) {
        guard let link = links.removeValue(forKey: key) else { return }
        if let newer = link.newer { links[newer]!.older = link.older } else { first = link.older }
        if let older = link.older { links[older]!.newer = link.newer } else { last = link.newer }
        weight -= link.size
    }

    mutating func moveToFront(_ key: Int) {
        let size = links[key]!.size
        remove(key)
        prepend(key, size)
    }
}
