import Runtime

/// One entry of the log.
enum WriteRecord: Equatable, Sendable {
    /// Acknowledged together, so all of them are there or none.
    case writes([PendingWrite])
    /// Redis has these, and with each of them all older writes of its key.
    case flushed(SequenceRanges)
    /// These were refused to their clients although they may stand in the log.
    case withdrawn(SequenceRanges)

    /// The bytes of an entry, without its frame. Numbers have their low byte first.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        switch self {
        case .writes(let writes):
            bytes.append(1)
            bytes.append(number: UInt32(writes.count))
            for write in writes { bytes.append(write) }
        case .flushed(let sequences):
            bytes.append(2)
            bytes.append(sequences)
        case .withdrawn(let sequences):
            bytes.append(3)
            bytes.append(sequences)
        }
        return bytes
    }

    /// Nil for bytes that are no entry.
    init?(_ bytes: [UInt8]) {
        var rest = RecordBytes(bytes)
        switch rest.number(UInt8.self) {
        case 1:
            guard let count = rest.number(UInt32.self) else { return nil }
            var writes: [PendingWrite] = []
            for _ in 0..<count {
                guard let write = rest.write() else { return nil }
                writes.append(write)
            }
            self = .writes(writes)
        case 2:
            guard let sequences = rest.sequences() else { return nil }
            self = .flushed(sequences)
        case 3:
            guard let sequences = rest.sequences() else { return nil }
            self = .withdrawn(sequences)
        default: return nil
        }
        guard rest.isEmpty else { return nil }
    }
}

/// The frames in which entries stand in a segment: a marker, the length of the entry, the CRC-32 of both, the entry.
///
/// The marker is a random number, another one in each segment, and kept in its name. So after damage the next entry can be
/// found, and no client can write a value that would be taken for one.
enum WriteFrame {
    static let headBytes = 16

    static func append(_ record: WriteRecord, marker: UInt64, to bytes: inout [UInt8]) {
        let payload = record.bytes
        bytes.append(number: marker)
        bytes.append(number: UInt32(payload.count))
        bytes.append(number: checksum(payload))
        bytes.append(contentsOf: payload)
    }

    struct Contents: Equatable {
        var records: [WriteRecord] = []
        /// Where the last whole entry ends; what follows was never acknowledged, or is damaged.
        var endBytes = 0
        /// Places before `endBytes` where something is no entry.
        var damages = 0
    }

    static func contents(of bytes: Span<UInt8>, marker: UInt64) -> Contents {
        var contents = Contents()
        var (place, isDamaged) = (0, false)
        while place + headBytes <= bytes.count {
            guard let (record, end) = record(in: bytes, at: place, marker) else {
                isDamaged = true
                place = next(marker, in: bytes, from: place + 1)
                continue
            }
            if isDamaged { contents.damages += 1 }
            isDamaged = false
            contents.records.append(record)
            contents.endBytes = end
            place = end
        }
        return contents
    }

    private static func record(
        in bytes: Span<UInt8>, at place: Int, _ marker: UInt64
    ) -> (record: WriteRecord, end: Int)? {
        let length = Int(bytes.number(UInt32.self, at: place + 8))
        guard bytes.number(UInt64.self, at: place) == marker, length <= bytes.count - place - headBytes else {
            return nil
        }
        let end = place + headBytes + length
        var payload: [UInt8] = []
        payload.append(bytes: bytes.extracting(place + headBytes..<end))
        guard checksum(payload) == bytes.number(UInt32.self, at: place + 12), let record = WriteRecord(payload) else {
            return nil
        }
        return (record, end)
    }

    /// Zeros, which a file system may leave after a crash, are no entry: their checksum would have to be all ones.
    private static func checksum(_ payload: [UInt8]) -> UInt32 { ~Checksum.crc32(payload) }

    private static func next(_ marker: UInt64, in bytes: Span<UInt8>, from start: Int) -> Int {
        let first = UInt8(truncatingIfNeeded: marker)
        var place = start
        while place + headBytes <= bytes.count {
            place = bytes.firstPlace(of: first, in: place..<bytes.count)
            guard place + headBytes <= bytes.count else { break }
            if bytes.number(UInt64.self, at: place) == marker { return place }
            place += 1
        }
        return bytes.count
    }
}

/// Reads the parts of an entry one after the other; nil for what is not there.
private struct RecordBytes {
    private let bytes: [UInt8]
    private var place = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isEmpty: Bool { place == bytes.count }

    mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
        let width = Number.bitWidth / 8
        guard place + width <= bytes.count else { return nil }
        defer { place += width }
        return bytes.span.number(type, at: place)
    }

    mutating func write() -> PendingWrite? {
        guard let sequence = number(UInt64.self), let accepted = number(Int64.self),
            let database = number(UInt32.self), let expiry = expiry(), let key = text(), let value = text()
        else { return nil }
        return PendingWrite(
            sequence: sequence, plan: PlannedWrite(PendingKey(Int(database), key), value, expiry),
            acceptedWallMs: Int(accepted))
    }

    mutating func sequences() -> SequenceRanges? {
        guard let count = number(UInt32.self) else { return nil }
        var ranges: [ClosedRange<UInt64>] = []
        for _ in 0..<count {
            guard let lower = number(UInt64.self), let upper = number(UInt64.self), lower <= upper else { return nil }
            ranges.append(lower...upper)
        }
        return SequenceRanges(ranges)
    }

    private mutating func expiry() -> PlannedWrite.Expiry? {
        guard let kind = number(UInt8.self), let moment = number(Int64.self) else { return nil }
        switch kind {
        case 0: return .never
        case 1: return .lifetime(endsMs: Int(moment))
        case 2: return .moment(ms: Int(moment))
        default: return nil
        }
    }

    private mutating func text() -> [UInt8]? {
        guard let length = number(UInt32.self), Int(length) <= bytes.count - place else { return nil }
        defer { place += Int(length) }
        return Array(bytes[place..<place + Int(length)])
    }
}

extension Span where Element == UInt8 {
    fileprivate func number<Number: FixedWidthInteger>(_ type: Number.Type, at place: Int) -> Number {
        var number: Number = 0
        for index in 0..<Number.bitWidth / 8 {
            number |= Number(truncatingIfNeeded: self[place + index]) << Number(truncatingIfNeeded: 8 * index)
        }
        return number
    }
}

extension Array where Element == UInt8 {
    fileprivate mutating func append(number: some FixedWidthInteger) {
        for shift in stride(from: 0, to: number.bitWidth, by: 8) { append(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    fileprivate mutating func append(_ write: PendingWrite) {
        append(number: write.sequence)
        append(number: Int64(write.acceptedWallMs))
        append(number: UInt32(write.key.database))
        switch write.plan.expiry {
        case .never:
            append(0)
            append(number: Int64(0))
        case .lifetime(let end):
            append(1)
            append(number: Int64(end))
        case .moment(let moment):
            append(2)
            append(number: Int64(moment))
        }
        append(number: UInt32(write.key.bytes.count))
        append(contentsOf: write.key.bytes)
        append(number: UInt32(write.plan.value.count))
        append(contentsOf: write.plan.value)
    }

    fileprivate mutating func append(_ sequences: SequenceRanges) {
        append(number: UInt32(sequences.ranges.count))
        for range in sequences.ranges {
            append(number: range.lowerBound)
            append(number: range.upperBound)
        }
    }
}
