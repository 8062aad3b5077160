/// When each entry expires: a hierarchical timer wheel of six levels with 64 buckets each, 16 ms wide on the lowest.
///
/// A deadline stands in the level of the highest group of six bits in which its tick differs from the present one, so
/// it moves down at most five times before it is due. Nothing is ever scanned: a word a level tells which buckets are
/// occupied. Scheduling and cancelling cost O(1). Reference: G. Varghese and A. Lauck, "Hashed and hierarchical timing
/// wheels", SOSP 1987.
struct TimerWheel {
    static let tickMs = 16
    private static let tickShift = 4
    private static let levels = 6
    private static let bucketBits = 6
    private static let isBucket: UInt32 = 1 << 31

    private var tick: Int
    private var heads: [SlotID]
    private var occupied: [UInt64]
    /// Whether the bucket of the present tick may still hold slots.
    private var isDraining = false

    init(nowMs: Int) {
        tick = nowMs >> TimerWheel.tickShift
        heads = Array(repeating: .none, count: TimerWheel.levels << TimerWheel.bucketBits)
        occupied = Array(repeating: 0, count: TimerWheel.levels)
    }

    /// The slot's `deadlineMs` is set and the slot is not scheduled.
    mutating func schedule(_ id: SlotID, in slots: inout SlotTable) { place(id, in: &slots) }

    mutating func cancel(_ id: SlotID, in slots: inout SlotTable) {
        let (earlier, later) = (slots[id].earlier, slots[id].later)
        if later != .none { slots[later].earlier = earlier }
        guard earlier & TimerWheel.isBucket != 0 else {
            slots[earlier].later = later
            return
        }
        let bucket = Int(earlier & ~TimerWheel.isBucket)
        heads[bucket] = later
        if later == .none { occupied[bucket >> TimerWheel.bucketBits] &= ~(1 << UInt64(bucket & 63)) }
    }

    /// Takes one slot whose deadline has passed out of the wheel.
    ///
    /// - Parameter budget: slots that may be looked at, so that a crowd expiring at once is met in pieces.
    mutating func nextDue(nowMs: Int, budget: inout Int, in slots: inout SlotTable) -> SlotID? {
        let nowTick = nowMs >> TimerWheel.tickShift
        guard nowTick > tick || isDraining else { return nil }
        isDraining = true
        while let (level, bucket, start) = nextBucket(), start <= nowTick {
            // What was put beside the clock's back, with a deadline before the present tick, is due as well.
            tick = max(tick, start)
            while heads[bucket] != .none {
                guard budget > 0 else { return nil }
                budget -= 1
                let id = heads[bucket]
                cancel(id, in: &slots)
                if level == 0 || dueTick(slots[id]) <= tick { return id }
                place(id, in: &slots)
            }
        }
        tick = max(tick, nowTick)
        isDraining = false
        return nil
    }

    /// The first tick of a slot's last moment: then the deadline has passed.
    private func dueTick(_ slot: Slot) -> Int {
        let nowMs = tick << TimerWheel.tickShift
        return (nowMs + slot.remainingMs(at: nowMs) + TimerWheel.tickMs - 1) >> TimerWheel.tickShift
    }

    private mutating func place(_ id: SlotID, in slots: inout SlotTable) {
        let due = max(dueTick(slots[id]), tick + 1)
        let difference = UInt64(due ^ tick)
        let level = min((63 - difference.leadingZeroBitCount) / TimerWheel.bucketBits, TimerWheel.levels - 1)
        let position = due >> (level * TimerWheel.bucketBits) & 63
        let bucket = level << TimerWheel.bucketBits | position
        let later = heads[bucket]
        slots[id].later = later
        slots[id].earlier = TimerWheel.isBucket | UInt32(bucket)
        if later != .none { slots[later].earlier = id }
        heads[bucket] = id
        occupied[level] |= 1 << UInt64(position)
    }

    /// The occupied bucket that begins first; of two that begin together the higher, which moves down first.
    private func nextBucket() -> (level: Int, bucket: Int, start: Int)? {
        var best: (level: Int, bucket: Int, start: Int)?
        for level in 0..<TimerWheel.levels where occupied[level] != 0 {
            let shift = level * TimerWheel.bucketBits
            let position = occupied[level].trailingZeroBitCount
            let turn = tick >> (shift + TimerWheel.bucketBits)
            let start = (turn << TimerWheel.bucketBits | position) << shift
            if start <= best?.start ?? .max { best = (level, level << TimerWheel.bucketBits | position, start) }
        }
        return best
    }
}
