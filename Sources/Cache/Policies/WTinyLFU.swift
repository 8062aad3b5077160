/// Newcomers wait in a window; who leaves it stays only by having been asked for more often than whoever would go for
/// it. The rest is a segmented LRU, four fifths of it for what was used while in it. O(1).
///
/// The window starts at a twenty-fifth of the weight, which did best on the traces, and climbs the hill: as long as widening (or narrowing) it raises the
/// hit ratio it goes on, else it turns. Recency-loving loads end with a wide window, scans with a narrow one.
/// References: G. Einziger, R. Friedman, B. Manes, "TinyLFU", ACM ToS 2017; G. Einziger, O. Eytan, R. Friedman,
/// B. Manes, "Adaptive software cache management", Middleware 2018.
struct WTinyLFU: EvictionPolicy {
    private enum Queue { static let window: UInt32 = 0, probation: UInt32 = 1, protected: UInt32 = 2 }

    private var window = SlotList()
    private var probation = SlotList()
    private var protected = SlotList()
    private var sketch = FrequencySketch()
    private var climber = WindowClimber()
    /// What the entry that is about to come weighs.
    private var incoming = 0
    /// Whether somebody had to go for it.
    private var isFull = false

    init(weighing: SlotTable.Weighing) {}

    private var weight: Int { window.weight + probation.weight + protected.weight }
    private var windowBound: Int { max(1, Int(Double(weight) * climber.share)) }
    private var protectedBound: Int { (weight - windowBound) * 4 / 5 }

    mutating func missed(_ hash: UInt32) { sketch.add(hash, period: period) }

    /// Additions between two halvings: ten for each entry that was here when it was full.
    private var entries = 16
    private var period: Int { 10 * entries }

    mutating func announced(_ hash: UInt32, weight: Int) { (incoming, isFull) = (weight, false) }

    mutating func inserted(_ id: SlotID, in slots: inout SlotTable) {
        climber.missed(after: period)
        entries = max(entries, slots.count)
        slots[id].policyWord = Queue.window
        window.prepend(id, in: &slots)
        // While there is room for all, nobody has to prove anything.
        while !isFull, window.weight > windowBound, window.last != id {
            move(window.last, from: &window, to: &probation, Queue.probation, in: &slots)
        }
    }

    mutating func touched(_ id: SlotID, in slots: inout SlotTable) {
        sketch.add(slots[id].hash, period: period)
        climber.hit(after: period)
        switch slots[id].policyWord {
        case Queue.window: window.moveToFront(id, in: &slots)
        case Queue.protected: protected.moveToFront(id, in: &slots)
        default:
            move(id, from: &probation, to: &protected, Queue.protected, in: &slots)
            while protected.weight > protectedBound, protected.last != id {
                move(protected.last, from: &protected, to: &probation, Queue.probation, in: &slots)
            }
        }
    }

    mutating func changed(_ id: SlotID, by delta: Int, in slots: inout SlotTable) {
        switch slots[id].policyWord {
        case Queue.window: window.changeWeight(by: delta)
        case Queue.protected: protected.changeWeight(by: delta)
        default: probation.changeWeight(by: delta)
        }
    }

    mutating func removed(_ id: SlotID, in slots: inout SlotTable) {
        switch slots[id].policyWord {
        case Queue.window: window.remove(id, in: &slots)
        case Queue.protected: protected.remove(id, in: &slots)
        default: probation.remove(id, in: &slots)
        }
    }

    mutating func victim(in slots: inout SlotTable) -> SlotID? {
        isFull = true
        let resident = probation.isEmpty ? protected.last : probation.last
        guard !window.isEmpty, window.weight + incoming > windowBound || resident == .none else {
            return resident == .none ? nil : resident
        }
        let candidate = window.last
        guard resident != .none, sketch.estimate(slots[candidate].hash) > sketch.estimate(slots[resident].hash) else {
            return candidate
        }
        move(candidate, from: &window, to: &probation, Queue.probation, in: &slots)
        return resident
    }

    mutating func expect(entries: Int) { sketch.reserve(entries) }

    private func move(
        _ id: SlotID, from source: inout SlotList, to target: inout SlotList, _ queue: UInt32,
        in slots: inout SlotTable
    ) {
        source.remove(id, in: &slots)
        slots[id].policyWord = queue
        target.prepend(id, in: &slots)
    }

    var residentBytes: Int { sketch.residentBytes }
}

/// Looks for the share of the window with which most requests hit, one step a sample.
struct WindowClimber {
    private static let initialStep = 0.0625
    /// A change of the hit ratio that large means another load: the steps start over at full length.
    private static let restart = 0.05

    private(set) var share = 0.04
    private var step = WindowClimber.initialStep
    private var hits = 0
    private var requests = 0
    private var lastRatio: Double?

    mutating func hit(after sample: Int) {
        hits += 1
        requests += 1
        if requests >= sample { climb() }
    }

    mutating func missed(after sample: Int) {
        requests += 1
        if requests >= sample { climb() }
    }

    private mutating func climb() {
        let ratio = Double(hits) / Double(requests)
        (hits, requests) = (0, 0)
        defer { lastRatio = ratio }
        guard let lastRatio else { return }
        let change = ratio - lastRatio
        if change < 0 { step = -step }
        share = min(max(share + step, 0.01), 0.8)
        step = abs(change) >= WindowClimber.restart ? (step < 0 ? -1 : 1) * WindowClimber.initialStep : step * 0.98
    }
}
