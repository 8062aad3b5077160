import Runtime

/// What is written to the log with one sync.
struct LogBatch: Equatable, Sendable {
    /// What was accepted together stands together.
    var writes: [[PendingWrite]] = []
    var flushed = SequenceRanges()
    var withdrawn = SequenceRanges()
    /// Writes that stand in the log already and are taken along into a new segment, so that all others can go.
    var carried: [PendingWrite]?

    var isEmpty: Bool { writes.isEmpty && flushed.isEmpty && withdrawn.isEmpty && carried == nil }

    fileprivate var records: [WriteRecord] {
        // Carried writes are older than all others of the batch.
        var records = (carried ?? []).map { WriteRecord.writes([$0]) }
        if !flushed.isEmpty { records.append(.flushed(flushed)) }
        if !withdrawn.isEmpty { records.append(.withdrawn(withdrawn)) }
        return records + writes.map { .writes($0) }
    }
}

/// The acknowledged writes on disk: a folder of segments, written one after the other and deleted from the oldest on.
///
/// Segments go in order because what is said later corrects what was said before: a newer write of a key, or that Redis
/// has it. Calls block. Only one process may use the folder.
struct WriteLog: ~Copyable {
    /// What the log held when it was opened.
    struct Replay: Equatable {
        /// Acknowledged, and as far as the log knows not at Redis; in order, one for each key.
        var writes: [PendingWrite] = []
        /// Nothing in the log has a higher number.
        var lastSequence: UInt64 = 0
        /// Places where the disk has damaged it. Writes may be missing there.
        var damages = 0
    }

    private struct Segment {
        let path: String
        let marker: UInt64
        var sizeBytes: Int
        /// The highest sequence of a write in it.
        var lastSequence: UInt64
    }

    /// A segment that has reached this size is followed by another; it can be longer by what is written with one sync.
    let segmentBytes: Int
    private let folder: String
    private var segments: [Segment] = []
    /// How many of them, from the oldest on, were carried over into a later one.
    private var superseded = 0
    private var lastNumber = 0
    /// The last of the segments; nil when the next batch begins a new one.
    private var file: AppendFile?

    var sizeBytes: Int { segments.reduce(0) { $0 + $1.sizeBytes } }
    var segmentCount: Int { segments.count }

    /// Opens or creates the folder, whose parent must be there, cuts off what a crash has left half-written, and reads
    /// everything. A segment that cannot be read ends the start: it may hold what was acknowledged.
    init(_ folder: String, segmentBytes: Int, replay: inout Replay) throws(FileError) {
        self.folder = folder
        self.segmentBytes = segmentBytes
        try Files.createFolder(folder)
        var records: [WriteRecord] = []
        for name in try Files.list(folder) {
            guard let (number, marker) = Self.parse(name) else { continue }
            let path = folder + "/" + name
            let contents = try Self.read(path, marker: marker)
            lastNumber = max(lastNumber, number)
            replay.damages += contents.damages
            records += contents.records
            segments.append(
                Segment(
                    path: path, marker: marker, sizeBytes: contents.endBytes,
                    lastSequence: contents.records.map(\.lastWrite).max() ?? 0))
        }
        replay.take(records)
    }

    /// All of the batch, or, after an error, nothing that a replay would believe once `batch.withdrawn` has told of it.
    mutating func append(_ batch: LogBatch) throws(FileError) {
        if batch.carried != nil { file = nil }
        if let last = segments.last, last.sizeBytes >= segmentBytes { file = nil }
        let records = batch.records
        do throws(FileError) {
            let file = try openSegment()
            var bytes: [UInt8] = []
            let marker = segments[segments.count - 1].marker
            for record in records { WriteFrame.append(record, marker: marker, to: &bytes) }
            try file.append(bytes)
            segments[segments.count - 1].sizeBytes = file.sizeBytes
        } catch {
            abandonSegment()
            throw error
        }
        let last = records.map(\.lastWrite).max() ?? 0
        segments[segments.count - 1].lastSequence = max(segments[segments.count - 1].lastSequence, last)
        if batch.carried != nil { superseded = segments.count - 1 }
    }

    /// Deletes segments that nobody needs: from the oldest on, as long as all they hold is older than the oldest write
    /// that Redis has not got. The last stays.
    mutating func trim(below floor: UInt64) throws(FileError) {
        let past = segments.prefix { $0.lastSequence < floor }.count
        try removeSegments(min(max(superseded, past), segments.count - (file == nil ? 0 : 1)))
    }

    /// Deletes everything.
    mutating func empty() throws(FileError) {
        file = nil
        try removeSegments(segments.count)
    }

    private mutating func removeSegments(_ count: Int) throws(FileError) {
        // One after the other, each for good: were a newer one gone and an older one still there, the older would be
        // believed.
        for _ in 0..<count {
            try Files.removeForGood(segments[0].path)
            segments.removeFirst()
            superseded = max(0, superseded - 1)
        }
    }

    private mutating func openSegment() throws(FileError) -> AppendFile {
        if let file { return file }
        let marker = UInt64.random(in: .min ... .max)
        lastNumber += 1
        let path = folder + "/" + Self.name(lastNumber, marker)
        let fresh = try AppendFile(path)
        segments.append(Segment(path: path, marker: marker, sizeBytes: 0, lastSequence: 0))
        file = fresh
        return fresh
    }

    /// What could not be written to is not written to again: see `AppendFile`. Of a disk that stays full no traces pile up.
    private mutating func abandonSegment() {
        guard file != nil, let last = segments.last else { return }
        file = nil
        guard last.sizeBytes == 0 else { return }
        do throws(FileError) {
            try Files.removeForGood(last.path)
            segments.removeLast()
        } catch {
            Log.warn("write-behind log has an empty segment, which stays until it is trimmed", ["error": "\(error)"])
        }
    }

    private static func read(_ path: String, marker: UInt64) throws(FileError) -> WriteFrame.Contents {
        let bytes = try Files.read(path, limitBytes: 1 << 32, followsLinks: false)
        let contents = WriteFrame.contents(of: bytes.span, marker: marker)
        if contents.damages > 0 {
            Log.error(
                "write-behind log is damaged: acknowledged writes may be missing",
                ["path": path, "places": "\(contents.damages)"])
        }
        if contents.endBytes < bytes.count {
            Log.warn(
                "write-behind log has an end that was not acknowledged, which was cut off",
                ["path": path, "kept_bytes": "\(contents.endBytes)", "cut_bytes": "\(bytes.count - contents.endBytes)"])
            try Files.truncate(path, toBytes: contents.endBytes)
        }
        return contents
    }

    /// `0000000001-00f1e2d3c4b5a697.log`, so that names sort by age.
    private static func name(_ number: Int, _ marker: UInt64) -> String {
        let (digits, hex) = ("\(number)", String(marker, radix: 16))
        return String(repeating: "0", count: 10 - min(10, digits.count)) + digits + "-"
            + String(repeating: "0", count: 16 - hex.count) + hex + ".log"
    }

    private static func parse(_ name: String) -> (number: Int, marker: UInt64)? {
        guard name.hasSuffix(".log") else { return nil }
        let parts = name.dropLast(4).split(separator: "-")
        guard parts.count == 2, let number = Int(parts[0]), (1..<1 << 53).contains(number),
            let marker = UInt64(parts[1], radix: 16)
        else { return nil }
        return (number, marker)
    }
}

extension WriteRecord {
    /// The highest sequence of a write in it.
    fileprivate var lastWrite: UInt64 {
        guard case .writes(let writes) = self else { return 0 }
        return writes.map(\.sequence).max() ?? 0
    }

    fileprivate var last: UInt64 {
        switch self {
        case .writes: lastWrite
        case .flushed(let sequences), .withdrawn(let sequences): sequences.ranges.last?.upperBound ?? 0
        }
    }
}

extension WriteLog.Replay {
    /// The newest write of each key counts, unless Redis has it.
    fileprivate mutating func take(_ records: [WriteRecord]) {
        var (flushed, withdrawn) = (SequenceRanges(), SequenceRanges())
        for record in records {
            lastSequence = max(lastSequence, record.last)
            switch record {
            case .writes: break
            case .flushed(let sequences): flushed.formUnion(sequences)
            case .withdrawn(let sequences): withdrawn.formUnion(sequences)
            }
        }
        var newest: [PendingKey: PendingWrite] = [:]
        for case .writes(let group) in records {
            for write in group where !withdrawn.contains(write.sequence) {
                if let known = newest[write.key], known.sequence >= write.sequence { continue }
                newest[write.key] = write
            }
        }
        writes = newest.values.filter { !flushed.contains($0.sequence) }.sorted { $0.sequence < $1.sequence }
    }
}
