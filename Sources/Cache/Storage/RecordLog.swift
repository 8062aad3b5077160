import Runtime

/// The bytes of all entries: written one after the other into segments, never changed, and moved together when too much
/// between them is dead.
///
/// An allocation for each entry would cost 48 bytes and leave holes that are never given back; here an entry costs the
/// 4 bytes of its head, and a segment without living records goes back whole. The segment with the fewest living bytes
/// is cleaned first, a few records at each insertion, so nobody waits for a sweep. Writing costs O(bytes), cleaning at
/// most `cleaningFactor` times that. Reference: S. Rumble, A. Kejriwal, J. Ousterhout, "Log-structured memory for
/// DRAM-based storage", FAST 2014.
///
/// A record is a head of 4 bytes, the key, and the value. The head holds the slot, or, once the record is dead, its
/// length with the highest bit set.
struct RecordLog {
    private struct Segment {
        var bytes: [UInt8] = []
        var live = 0
        var capacity = 0
    }

    private static let headBytes = 4
    private static let isDead: UInt32 = 1 << 31
    private static let cleaningFactor = 8
    private static let noSegment = UInt32.max

    private let segmentBytes: Int
    private var segments: [Segment] = []
    private var freeSegments: [UInt32] = []
    /// A buffer given up a moment ago, for the next segment.
    private var spare: [UInt8]?
    private var head = RecordLog.noSegment
    private var victim = RecordLog.noSegment
    private var cursor = 0
    private(set) var liveBytes = 0
    private(set) var allocatedBytes = 0

    /// - Parameter bound: bytes the log will hold at most, from which the size of a segment follows: 4 to 256 KiB.
    init(bound: Int) {
        var size = 4 << 10
        while size < 256 << 10, size < bound / 64 { size *= 2 }
        segmentBytes = size
    }

    /// Bytes that are neither a living record nor the room left in the segment that is written to.
    private var deadBytes: Int {
        allocatedBytes - liveBytes - (head == RecordLog.noSegment ? 0 : segmentBytes - segments[Int(head)].bytes.count)
    }

    /// How many bytes may lie dead before cleaning begins.
    private var deadLimit: Int { max(liveBytes / 8, 2 * segmentBytes) }

    // MARK: Reading

    @inline(__always)
    func hasKey(_ key: Span<UInt8>, _ slot: borrowing Slot) -> Bool {
        guard Int(slot.keyBytes) == key.count else { return false }
        let start = Int(slot.offset) + RecordLog.headBytes
        let bytes = segments[Int(slot.segment)].bytes
        return bytes.span.extracting(start..<start + key.count).hasSameBytes(as: key)
    }

    func appendKey(of slot: Slot, to output: inout [UInt8]) {
        let start = Int(slot.offset) + RecordLog.headBytes
        let bytes = segments[Int(slot.segment)].bytes
        output.append(bytes: bytes.span.extracting(start..<start + Int(slot.keyBytes)))
    }

    /// Appends the value without its last `withoutLast` bytes.
    @inline(__always)
    func appendValue(of slot: borrowing Slot, withoutLast: Int = 0, to output: inout [UInt8]) {
        let start = Int(slot.offset) + RecordLog.headBytes + Int(slot.keyBytes)
        let end = start + Int(slot.valueBytes) - withoutLast
        let bytes = segments[Int(slot.segment)].bytes
        output.append(bytes: bytes.span.extracting(start..<end))
    }

    /// A byte of the value, counted from its end: 1 is the last.
    func valueByte(of slot: borrowing Slot, fromEnd distance: Int) -> UInt8 {
        let end = Int(slot.offset) + RecordLog.headBytes + Int(slot.keyBytes) + Int(slot.valueBytes)
        return segments[Int(slot.segment)].bytes[end - distance]
    }

    // MARK: Writing

    /// Writes key and value for a slot, whose lengths and place are set. The trailer becomes the value's end.
    ///
    /// - Returns: bytes written.
    mutating func append(
        _ key: Span<UInt8>, _ value: Span<UInt8>, trailer: [UInt8], _ id: SlotID, in slots: inout SlotTable
    ) -> Int {
        let length = RecordLog.headBytes + key.count + value.count + trailer.count
        let segment = openSegment(for: length)
        slots[id].keyBytes = UInt16(key.count)
        slots[id].valueBytes = UInt32(value.count + trailer.count)
        slots[id].segment = segment
        slots[id].offset = UInt32(segments[Int(segment)].bytes.count)
        segments[Int(segment)].bytes.append(word: id)
        segments[Int(segment)].bytes.append(bytes: key)
        segments[Int(segment)].bytes.append(bytes: value)
        if !trailer.isEmpty { segments[Int(segment)].bytes.append(contentsOf: trailer) }
        segments[Int(segment)].live += length
        liveBytes += length
        return length
    }

    /// The record of a slot is dead.
    mutating func free(_ slot: Slot) {
        let length = RecordLog.headBytes + Int(slot.keyBytes) + Int(slot.valueBytes)
        let segment = Int(slot.segment)
        segments[segment].bytes.set(word: UInt32(length) | RecordLog.isDead, at: Int(slot.offset))
        segments[segment].live -= length
        liveBytes -= length
        if segments[segment].live == 0, slot.segment != head { release(slot.segment) }
    }

    /// Moves living records out of mostly dead segments while more than the allowed share is dead.
    ///
    /// - Parameter written: bytes just written, which bound the work.
    mutating func clean(afterWriting written: Int, in slots: inout SlotTable) {
        var budget = written * RecordLog.cleaningFactor + 512
        while budget > 0, deadBytes > deadLimit, cleanOne(&budget, in: &slots) {}
    }

    /// Moves records together until hardly anything dead is left, at most `budget` bytes of them.
    ///
    /// - Returns: whether there may be more to do.
    mutating func compact(budget: Int, in slots: inout SlotTable) -> Bool {
        spare = nil
        var budget = budget
        while deadBytes > 2 * segmentBytes {
            guard budget > 0 else { return true }
            guard cleanOne(&budget, in: &slots) else { return false }
        }
        return false
    }

    /// Moves, or steps over, one record of the victim.
    ///
    /// - Returns: false when there is no segment worth cleaning.
    private mutating func cleanOne(_ budget: inout Int, in slots: inout SlotTable) -> Bool {
        if victim == RecordLog.noSegment { chooseVictim() }
        guard victim != RecordLog.noSegment else { return false }
        let place = segments[Int(victim)].bytes.word(at: cursor)
        if place & RecordLog.isDead != 0 {
            cursor += Int(place & ~RecordLog.isDead)
            budget -= 16
        } else {
            let moved = move(place, in: &slots)
            cursor += moved
            budget -= moved
        }
        return true
    }

    /// Copies the record at the cursor to the head of the log. The last one to leave releases the victim.
    private mutating func move(_ id: SlotID, in slots: inout SlotTable) -> Int {
        let old = slots[id]
        let length = RecordLog.headBytes + Int(old.keyBytes) + Int(old.valueBytes)
        let segment = openSegment(for: length)
        slots[id].segment = segment
        slots[id].offset = UInt32(segments[Int(segment)].bytes.count)
        copy(Int(old.offset)..<Int(old.offset) + length, of: Int(old.segment), to: Int(segment))
        segments[Int(segment)].live += length
        liveBytes += length
        free(old)
        return length
    }

    /// Appends bytes of one segment to another. Nothing holds the source afterwards, or the next write to it would copy it
    /// whole.
    private mutating func copy(_ range: Range<Int>, of source: Int, to target: Int) {
        var (from, to): ([UInt8], [UInt8]) = ([], [])
        swap(&from, &segments[source].bytes)
        swap(&to, &segments[target].bytes)
        to.append(bytes: from.span.extracting(range))
        swap(&from, &segments[source].bytes)
        swap(&to, &segments[target].bytes)
    }

    /// The segment with the fewest living bytes, if at least a sixteenth of it is dead.
    private mutating func chooseVictim() {
        var fewest = segmentBytes - segmentBytes / 16
        for index in segments.indices where segments[index].capacity == segmentBytes && UInt32(index) != head {
            guard segments[index].live < fewest else { continue }
            fewest = segments[index].live
            victim = UInt32(index)
        }
        cursor = 0
    }

    // MARK: Segments

    /// A segment with room for a record. A record of more than a sixteenth of a segment gets one of its own, so that
    /// the end of a segment that no record fits into stays small.
    private mutating func openSegment(for length: Int) -> UInt32 {
        if length > segmentBytes / 16 { return newSegment(capacity: length) }
        if head != RecordLog.noSegment, segments[Int(head)].bytes.count + length <= segmentBytes { return head }
        let full = head
        head = newSegment(capacity: segmentBytes)
        if full != RecordLog.noSegment, segments[Int(full)].live == 0 { release(full) }
        return head
    }

    private mutating func newSegment(capacity: Int) -> UInt32 {
        allocatedBytes += capacity
        var segment = Segment(capacity: capacity)
        if capacity == segmentBytes, let kept = spare.take() {
            segment.bytes = kept
        } else {
            segment.bytes.reserveCapacity(capacity)
        }
        guard let id = freeSegments.popLast() else {
            segments.append(segment)
            return UInt32(segments.count - 1)
        }
        segments[Int(id)] = segment
        return id
    }

    private mutating func release(_ id: UInt32) {
        if id == victim { victim = RecordLog.noSegment }
        allocatedBytes -= segments[Int(id)].capacity
        var bytes: [UInt8] = []
        swap(&bytes, &segments[Int(id)].bytes)
        segments[Int(id)] = Segment()
        freeSegments.append(id)
        guard bytes.capacity >= segmentBytes, bytes.capacity < 2 * segmentBytes, spare == nil else { return }
        bytes.removeAll(keepingCapacity: true)
        spare = bytes
    }

    var residentBytes: Int {
        allocatedBytes + (spare == nil ? 0 : segmentBytes) + segments.count * MemoryLayout<Segment>.stride
    }
}

extension Array where Element == UInt8 {
    /// Four bytes, the lowest first.
    mutating func append(word: UInt32) {
        append(UInt8(truncatingIfNeeded: word))
        append(UInt8(truncatingIfNeeded: word >> 8))
        append(UInt8(truncatingIfNeeded: word >> 16))
        append(UInt8(truncatingIfNeeded: word >> 24))
    }

    mutating func set(word: UInt32, at place: Int) {
        for index in 0..<4 { self[place + index] = UInt8(truncatingIfNeeded: word >> UInt32(8 * index)) }
    }

    func word(at place: Int) -> UInt32 {
        var word: UInt32 = 0
        for index in 0..<4 { word |= UInt32(self[place + index]) << UInt32(8 * index) }
        return word
    }
}
