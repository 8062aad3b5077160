import Cache

/// The writes that were taken from clients and have not reached Redis: what is to be logged, sent, sent again, forgotten.
/// Decides only; `WriteBehind` does what it says.
///
/// A write is *accepted* while it is on its way to the log; *waiting* when it is on disk, and so acknowledged; *leaving*
/// when it was sent to Redis; *landed* when Redis has it; and gone when the log says that it has. Until then its key is
/// pending, because after a crash the write would be sent again: whoever had changed the key at Redis meanwhile would lose
/// the change. Of a key one write waits and one leaves at most: a newer one takes the place of the one that waits, and
/// waits until the one before is gone. A write costs a few look-ups in tables, whatever else is pending.
///
/// Order is kept for each key, not between keys: an overwritten key keeps its place, so its newest value may arrive before
/// older values of others.
struct PendingWrites: Sendable {
    struct Rules: Sendable {
        var flushIntervalMs = 1000
        /// So many keys are not left waiting.
        var batch = 50
        /// Keys whose writes are never left waiting.
        var milestones: [KeyPattern] = []
        /// Commands sent without waiting for replies, and about how long they may be together.
        var flightWrites = 512
        var flightBytes = 1 << 20
        /// Writes held at most, and what they may cost.
        var mostWrites = 100_000
        var mostBytes = 64 << 20
        /// What may be accepted at once.
        var mostBytesAtOnce = 1 << 20
        /// How long Redis is left alone after a failure: twice as long after each.
        var backoffMs = 100...1000
    }

    /// Why a write is not taken.
    enum Refusal: String, Error, CaseIterable, Sendable {
        case full, large
        /// Redis takes none at present: it is full itself.
        case noRoom
    }

    enum Step: Equatable, Sendable {
        /// Writes up to this one, as far as nothing was said of them yet, are on disk.
        case acknowledge(through: UInt64)
        /// Likewise, but they are not, and never will be.
        case refuse(through: UInt64)
        /// What they waited for is at Redis.
        case release([FlushBarriers.ID])
        /// It cannot be brought there now. The reason is an error reply.
        case fail([FlushBarriers.ID], reason: String)
    }

    /// What becomes of somebody who wants to wait.
    enum Wait: Equatable, Sendable {
        case nothing
        case until(FlushBarriers.ID)
        /// Redis has failed a moment ago. The reason is an error reply.
        case impossible(reason: String)
    }

    /// A write that Redis does not take and never will, with its words.
    struct Rejection: Equatable, Sendable {
        let write: PendingWrite
        let reason: String
    }

    struct Counts: Equatable, Sendable {
        var accepted = 0
        var flushed = 0
        var coalesced = 0
        var rejected = 0
        /// Sent, and to be sent again.
        var returned = 0

        static func - (left: Counts, right: Counts) -> Counts {
            Counts(
                accepted: left.accepted - right.accepted, flushed: left.flushed - right.flushed,
                coalesced: left.coalesced - right.coalesced, rejected: left.rejected - right.rejected,
                returned: left.returned - right.returned)
        }
    }

    /// All that is pending under a key.
    private struct Slot {
        struct Part {
            var write: PendingWrite
            /// The oldest write that this one stands for, and since when it waits.
            var first: UInt64
            var sinceMs: Int
        }

        var waiting: Part?
        var leaving: Part?
        /// How many writes are on their way to the log.
        var accepted = 0

        var newest: PendingWrite? { (waiting ?? leaving)?.write }
        var oldest: Part? { leaving ?? waiting }
        var isEmpty: Bool { waiting == nil && leaving == nil && accepted == 0 }
    }

    private struct Place {
        let key: PendingKey
        let first: UInt64
    }

    private struct Backoff {
        let delayMs: Int
        var untilMs: Int
        let reason: String
    }

    let rules: Rules
    private(set) var counts = Counts()
    /// Writes held, and what they cost.
    private(set) var count = 0
    private(set) var sizeBytes = 0
    private var slots: [PendingKey: Slot] = [:]
    private var lastSequence: UInt64
    /// Up to here it is decided whether writes are on disk.
    private var decided: UInt64

    private var accepted: [[PendingWrite]] = []
    private var logging: LogBatch?
    /// Landed; and of those, the ones that the log is just being told.
    private var landed: [PendingKey] = []
    private var landing: [PendingKey] = []
    private var withdrawn = SequenceRanges()
    private var rejections: [Rejection] = []

    /// Waiting and leaving parts by age, from `served` on. What is neither any more is skipped.
    private var line: [Place] = []
    private var served = 0
    /// Keys of which a write waits and none leaves.
    private var ready = 0
    private var urgent: [PendingKey] = []
    /// Writes up to here are not left waiting.
    private var urgentThrough: UInt64 = 0
    private var flight: [PendingKey] = []
    /// When it was sent.
    private var departure = (nowMs: 0, wallMs: 0)
    private var backoff: Backoff?
    /// Redis answers, and refuses what makes its data larger (`OOM`). Removals it takes.
    private(set) var hasNoRoom = false
    private var barriers = FlushBarriers()

    /// - Parameters:
    ///   - replay: what a former life has left; it is waiting at once.
    ///   - nowMs: on a clock that never jumps, here and everywhere below.
    ///   - wallMs: milliseconds since 1970, here and everywhere below.
    init(_ rules: Rules, replay: WriteLog.Replay = WriteLog.Replay(), nowMs: Int = 0, wallMs: Int = 0) {
        self.rules = rules
        lastSequence = replay.lastSequence
        decided = replay.lastSequence
        for write in replay.writes {
            count += 1
            sizeBytes += write.plan.sizeBytes
            enqueue(write, sinceMs: nowMs - max(0, wallMs - write.acceptedWallMs))
        }
    }

    var isEmpty: Bool { slots.isEmpty }

    /// For how long Redis has been behind.
    func ageMs(nowMs: Int) -> Int {
        guard let oldest = line[served...].first(where: { isCurrent($0) }) else { return 0 }
        return max(0, nowMs - (slots[oldest.key]?.oldest?.sinceMs ?? nowMs))
    }

    // MARK: Clients

    /// Takes writes, all or none; a later step acknowledges or refuses them.
    ///
    /// - Returns: the sequence of the last.
    mutating func accept(_ plans: [PlannedWrite], wallMs: Int) throws(Refusal) -> UInt64 {
        let bytes = plans.reduce(0) { $0 + $1.sizeBytes }
        // Removals are taken of what is pending only, and make room.
        if !plans.allSatisfy(\.isRemoval) {
            guard !hasNoRoom else { throw .noRoom }
            guard bytes <= rules.mostBytesAtOnce else { throw .large }
            guard count + plans.count <= rules.mostWrites, sizeBytes + bytes <= rules.mostBytes else { throw .full }
        }
        count += plans.count
        sizeBytes += bytes
        counts.accepted += plans.count
        var group: [PendingWrite] = []
        for plan in plans {
            lastSequence += 1
            group.append(PendingWrite(sequence: lastSequence, plan: plan, acceptedWallMs: wallMs))
            slots[plan.key, default: Slot()].accepted += 1
        }
        accepted.append(group)
        return lastSequence
    }

    /// What a read has to answer: the newest acknowledged write. Nil where Redis knows best.
    func newest(_ key: PendingKey) -> PlannedWrite? { slots[key]?.newest?.plan }

    /// Has what was accepted under these keys leave at once, and waits for it.
    mutating func wait(for keys: [PendingKey], nowMs: Int) -> Wait {
        let pending = Set(keys.filter { slots[$0] != nil })
        guard !pending.isEmpty else { return .nothing }
        if let backoff, nowMs < backoff.untilMs, !hasNoRoom || !pending.allSatisfy({ isRemoved($0) }) {
            return .impossible(reason: backoff.reason)
        }
        let id = barriers.add(pending, through: lastSequence)
        for key in pending { pressOn(key) }
        return .until(id)
    }

    mutating func waitForAll(nowMs: Int) -> Wait {
        guard !slots.isEmpty else { return .nothing }
        if let backoff, nowMs < backoff.untilMs { return .impossible(reason: backoff.reason) }
        hurryAll()
        return .until(barriers.addForAll(through: lastSequence))
    }

    /// Keys under which something is pending.
    ///
    /// - Parameter database: nil for all.
    func keys(in database: Int?) -> [PendingKey] {
        slots.keys.filter { (database == nil || $0.database == database) && slots[$0]?.newest != nil }
    }

    /// Whether what is pending under a key is its removal, which a Redis without room takes.
    private func isRemoved(_ key: PendingKey) -> Bool { slots[key]?.newest?.plan.isRemoval == true }

    /// Leaves nothing waiting that has been accepted so far.
    mutating func hurryAll() { urgentThrough = lastSequence }

    /// A milestone, and a key that somebody waits for, goes with the next flight, if it can.
    private mutating func pressOn(_ key: PendingKey) {
        guard isReady(key) else { return }
        guard barriers.isAwaited(key) || rules.milestones.contains(where: { $0.matches(key.bytes.span) }) else {
            return
        }
        urgent.append(key)
    }

    private func isReady(_ key: PendingKey) -> Bool {
        guard let slot = slots[key] else { return false }
        return slot.waiting != nil && slot.leaving == nil
    }

    // MARK: The log

    var isLogging: Bool { logging != nil }
    var hasLogWork: Bool { !accepted.isEmpty || !landed.isEmpty || !withdrawn.isEmpty }

    /// What is to be written next; `logged` or `logFailed` tells how that ended.
    ///
    /// - Parameter carriesAll: whether all that counts in the log is taken along, so that older segments can go.
    mutating func nextBatch(carriesAll: Bool = false) -> LogBatch {
        precondition(logging == nil)
        var batch = LogBatch(writes: accepted, withdrawn: withdrawn)
        (accepted, landing, landed) = ([], landed, [])
        for key in landing { if let part = slots[key]?.leaving { batch.flushed.insert(part.write.sequence) } }
        if carriesAll { batch.carried = slots.values.compactMap(\.newest).sorted { $0.sequence < $1.sequence } }
        logging = batch
        return batch
    }

    /// The batch is on disk.
    mutating func logged(nowMs: Int) -> [Step] {
        guard let batch = logging else { preconditionFailure("nothing was being logged") }
        logging = nil
        withdrawn = SequenceRanges()
        for write in batch.writes.joined() {
            slots[write.key]?.accepted -= 1
            decided = write.sequence
            enqueue(write, sinceMs: nowMs)
        }
        defer { landing = [] }
        return (batch.writes.isEmpty ? [] : [.acknowledge(through: decided)]) + settle(landing)
    }

    /// Nothing of the batch can be relied upon. What was accepted is refused; the rest is written again another time.
    mutating func logFailed() -> [Step] {
        guard let batch = logging else { preconditionFailure("nothing was being logged") }
        logging = nil
        (landed, landing) = (landing + landed, [])
        guard !batch.writes.isEmpty else { return [] }
        for write in batch.writes.joined() {
            slots[write.key]?.accepted -= 1
            decided = write.sequence
            withdrawn.insert(write.sequence)
            drop(write)
        }
        return [.refuse(through: decided)] + release(Set(batch.writes.joined().map(\.key)))
    }

    /// Whether the log holds nothing that Redis has not got, so that deleting it says the same as writing to it.
    var canEmptyLog: Bool { flight.isEmpty && !hasRejections && !slots.values.contains { $0.waiting != nil } }

    /// The log was deleted.
    mutating func logEmptied() -> [Step] {
        precondition(canEmptyLog)
        defer { landed = [] }
        withdrawn = SequenceRanges()
        return settle(landed)
    }

    /// Older writes are of no use in the log.
    var floor: UInt64 { line[served...].first { isCurrent($0) }?.first ?? decided + 1 }

    var hasRejections: Bool { !rejections.isEmpty }

    /// What is to be kept for people; `kept` or `notKept` tells how that ended.
    mutating func takeRejections() -> [Rejection] {
        defer { rejections = [] }
        return rejections
    }

    mutating func kept(_ rejections: [Rejection]) {
        counts.rejected += rejections.count
        landed += rejections.map(\.write.key)
    }

    mutating func notKept(_ rejections: [Rejection]) { self.rejections = rejections + self.rejections }

    // MARK: Redis

    /// When `nextFlight` has something, if nothing else happens. Nil for never.
    var dueMs: Int? {
        guard flight.isEmpty, ready > 0, let oldest = oldestReady else { return nil }
        if hasNoRoom, urgent.contains(where: { isReady($0) && isRemoved($0) }) { return .min }
        let isPressing = !urgent.isEmpty || ready >= rules.batch || oldest.first <= urgentThrough
        let due = isPressing ? Int.min : oldest.sinceMs + rules.flushIntervalMs
        return backoff.map { max($0.untilMs, due) } ?? due
    }

    /// What is to be sent now; `answered` tells how that ended. Nil when nothing is due, or something is under way.
    mutating func nextFlight(nowMs: Int, wallMs: Int) -> [FlushCommand]? {
        guard let due = dueMs, due <= nowMs, let oldest = oldestReady else { return nil }
        let isAllDue =
            ready >= rules.batch || oldest.first <= urgentThrough || oldest.sinceMs + rules.flushIntervalMs <= nowMs
        var room = rules.flightBytes
        // While Redis is left alone because it has no room, removals go.
        let goesAlone = hasNoRoom && backoff.map { nowMs < $0.untilMs } == true
        for key in urgent where !goesAlone || isRemoved(key) { depart(key, &room) }
        if isAllDue, !goesAlone {
            for place in line[served...] where slots[place.key]?.waiting?.first == place.first {
                guard room > 0, flight.count < rules.flightWrites else { break }
                depart(place.key, &room)
            }
        }
        // What had no room goes next time. What waits behind a write that leaves is pressed on again after it.
        urgent = urgent.filter { isReady($0) }
        guard !flight.isEmpty else { return nil }
        departure = (nowMs, wallMs)
        flight.sort { $0.database < $1.database }
        return flight.map { key in
            guard let part = slots[key]?.leaving else { preconditionFailure("nothing leaves") }
            return FlushCommand(database: key.database, bytes: part.write.command(wallMs: wallMs))
        }
    }

    /// - Parameter replies: fewer than commands when the connection was lost, or there was none.
    mutating func answered(_ replies: [FlushReply], nowMs: Int) -> [Step] {
        precondition(replies.count <= flight.count)
        var failure: String?
        var (noRoom, unsent, hasWritten): (String?, [PendingKey], Bool) = (nil, [], false)
        for (index, key) in flight.enumerated() {
            guard let part = slots[key]?.leaving else { preconditionFailure("nothing leaves") }
            switch index < replies.count ? replies[index] : nil {
            case .done where isLate(part.write, nowMs: nowMs): comeBack(key, part)
            case .done:
                counts.flushed += 1
                landed.append(key)
                if !part.write.plan.isRemoval { hasWritten = true }
            case .error(let text) where text.hasPrefix("OOM "):
                noRoom = noRoom ?? text
                comeBack(key, part)
                // Its removal has come meanwhile, and goes next.
                if !isRemoved(key) { unsent.append(key) }
            case .error(let text) where replies[index].isPassing:
                failure = failure ?? text
                comeBack(key, part)
            case .error(let text): rejections.append(Rejection(write: part.write, reason: text))
            case nil:
                failure = failure ?? RelayText.unreachable
                comeBack(key, part)
            }
        }
        flight = []
        guard let reason = failure ?? noRoom else {
            if hasWritten || !hasNoRoom { (backoff, hasNoRoom) = (nil, false) }
            return []
        }
        // Of a Redis that is gone nobody knows.
        hasNoRoom = failure == nil
        let delay = min(backoff.map { $0.delayMs * 2 } ?? rules.backoffMs.lowerBound, rules.backoffMs.upperBound)
        backoff = Backoff(delayMs: delay, untilMs: nowMs + delay, reason: reason)
        let waiting = hasNoRoom ? barriers.remove(awaiting: unsent) : barriers.removeAll()
        return waiting.isEmpty ? [] : [.fail(waiting, reason: reason)]
    }

    /// Redis counts what is left of a lifetime from when it gets to the command. Where that may have been noticeably later
    /// than it was sent, the write is sent again: with what is left now, or as a removal. Not for long, as it gets less.
    private func isLate(_ write: PendingWrite, nowMs: Int) -> Bool {
        guard case .lifetime(let end) = write.plan.expiry, end > departure.wallMs else { return false }
        return nowMs - departure.nowMs > Self.latenessMs + (end - departure.wallMs) / 100
    }

    private static let latenessMs = 2

    /// Somebody has reached Redis: no need to leave it alone any longer.
    mutating func redisIsBack(nowMs: Int) { backoff?.untilMs = nowMs }

    // MARK: Stations

    private mutating func enqueue(_ write: PendingWrite, sinceMs: Int) {
        var slot = slots[write.key, default: Slot()]
        if let former = slot.waiting {
            counts.coalesced += 1
            drop(former.write)
            slot.waiting?.write = write
        } else {
            slot.waiting = Slot.Part(write: write, first: write.sequence, sinceMs: sinceMs)
            line.append(Place(key: write.key, first: write.sequence))
            if slot.leaving == nil { ready += 1 }
        }
        slots[write.key] = slot
        pressOn(write.key)
    }

    /// Has a key's write leave, if it can.
    private mutating func depart(_ key: PendingKey, _ room: inout Int) {
        guard room > 0, flight.count < rules.flightWrites, isReady(key), let part = slots[key]?.waiting else { return }
        slots[key]?.leaving = part
        slots[key]?.waiting = nil
        ready -= 1
        room -= part.write.plan.sizeBytes
        flight.append(key)
    }

    /// What left waits again, in its old place; or what is newer does.
    private mutating func comeBack(_ key: PendingKey, _ part: Slot.Part) {
        counts.returned += 1
        var back = part
        if let newer = slots[key]?.waiting {
            counts.coalesced += 1
            drop(part.write)
            back.write = newer.write
        }
        slots[key]?.waiting = back
        slots[key]?.leaving = nil
        ready += 1
        pressOn(key)
        // The place of what was newer is of no use now.
        if line.count - served > 4 * slots.count + 1024 {
            line = line.filter { isCurrent($0) }
            served = 0
        }
    }

    /// Redis has what left, and the log says so.
    private mutating func settle(_ keys: [PendingKey]) -> [Step] {
        for key in keys {
            guard let part = slots[key]?.leaving else { preconditionFailure("nothing leaves") }
            slots[key]?.leaving = nil
            drop(part.write)
            if slots[key]?.waiting != nil { ready += 1 }
            pressOn(key)
        }
        if count == 0 { hasNoRoom = false }
        while served < line.count, !isCurrent(line[served]) { served += 1 }
        if served > 512, served * 2 > line.count {
            line.removeFirst(served)
            served = 0
        }
        return release(keys)
    }

    private mutating func drop(_ write: PendingWrite) {
        count -= 1
        sizeBytes -= write.plan.sizeBytes
    }

    /// Keys have come further: who waits no longer?
    private mutating func release(_ keys: some Sequence<PendingKey>) -> [Step] {
        var done: [FlushBarriers.ID] = []
        for key in keys {
            if slots[key]?.isEmpty == true { slots[key] = nil }
            let oldest = slots[key].map { $0.oldest?.first ?? decided + 1 }
            done += barriers.advance(key, oldest: oldest ?? .max)
        }
        done += barriers.advanceAll(oldest: floor)
        return done.isEmpty ? [] : [.release(done)]
    }

    private func isCurrent(_ place: Place) -> Bool {
        guard let slot = slots[place.key] else { return false }
        return slot.leaving?.first == place.first || slot.waiting?.first == place.first
    }

    private var oldestReady: Slot.Part? {
        for place in line[served...] {
            guard let slot = slots[place.key], slot.leaving == nil, slot.waiting?.first == place.first else { continue }
            return slot.waiting
        }
        return nil
    }
}
