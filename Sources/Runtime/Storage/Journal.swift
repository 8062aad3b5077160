import CLinux
import Glibc

/// Records appended to a file, each of which has reached the disk when `append` returns.
///
/// A record is its length and the inverted CRC-32 of its bytes, 32 bits each, low byte first, and its bytes; so zeros,
/// which file systems may leave at the end after a crash, are no record. What a crash leaves
/// half-written at the end is cut off when the journal is opened; records before it stay. Calls block, so a journal
/// belongs to one actor with a thread of its own.
public final class Journal {
    /// Longest record in bytes.
    public static let recordLimit = 16 << 20

    public let path: String
    /// Length of the file in bytes; the owner replaces the journal by a shorter one when it has grown too long.
    public var sizeBytes: Int { file.sizeBytes }
    private var file: AppendFile
    private let sync: (Int32) -> Int32

    private init(path: String, sync: @escaping (Int32) -> Int32) throws(FileError) {
        self.path = path
        self.sync = sync
        file = try AppendFile(path, sync: sync)
    }

    /// Opens or creates the file and reads its records. A damaged end is logged and removed.
    public static func open(_ path: String) throws(FileError) -> (journal: Journal, records: [[UInt8]]) {
        try open(path, sync: fdatasync)
    }

    /// - Parameter sync: `fdatasync`, or what a test has instead.
    static func open(
        _ path: String, sync: @escaping (Int32) -> Int32
    ) throws(FileError) -> (journal: Journal, records: [[UInt8]]) {
        guard Files.exists(path) else { return (try Journal(path: path, sync: sync), []) }
        let bytes = try Files.read(path, limitBytes: 1 << 30, followsLinks: false)
        let (records, end) = decode(bytes)
        if end < bytes.count {
            Log.error(
                "journal has a damaged end, which was cut off",
                ["path": path, "kept_bytes": "\(end)", "cut_bytes": "\(bytes.count - end)"])
            try Files.truncate(path, toBytes: end)
        }
        return (try Journal(path: path, sync: sync), records)
    }

    /// All of the records or, after a crash, the first few of them. After an error none of them counts, and the next call
    /// goes on in another file, which takes along what counted before.
    public func append(_ records: [[UInt8]]) throws(FileError) {
        guard !records.isEmpty else { return }
        let bytes = try encode(records)
        if file.isDoubtful { try begin(with: try kept()) }
        try file.append(bytes)
    }

    /// Begins anew with these records, in the place of all others at once.
    public func replace(with records: [[UInt8]]) throws(FileError) { try begin(with: try encode(records)) }

    private func begin(with bytes: [UInt8]) throws(FileError) {
        try Files.replace(path, with: bytes)
        file = try AppendFile(path, sync: sync)
    }

    /// The bytes of a file that is not believed any more, without those whose write failed.
    private func kept() throws(FileError) -> [UInt8] {
        let bytes = try Files.read(path, limitBytes: 1 << 30, followsLinks: false)
        return Array(bytes.prefix(Self.decode(Array(bytes.prefix(file.sizeBytes))).end))
    }

    private func encode(_ records: [[UInt8]]) throws(FileError) -> [UInt8] {
        var bytes: [UInt8] = []
        for record in records {
            guard record.count <= Self.recordLimit else {
                throw .recordTooLong(path: path, bytes: record.count, limitBytes: Self.recordLimit)
            }
            bytes.append(word: UInt32(record.count))
            bytes.append(word: ~Checksum.crc32(record))
            bytes.append(contentsOf: record)
        }
        return bytes
    }

    /// The records up to the first that is not whole, and where they end.
    private static func decode(_ bytes: [UInt8]) -> (records: [[UInt8]], end: Int) {
        var records: [[UInt8]] = []
        var at = 0
        while at + 8 <= bytes.count {
            let length = Int(bytes.word(at: at))
            guard length <= recordLimit, at + 8 + length <= bytes.count else { break }
            let record = Array(bytes[(at + 8)..<(at + 8 + length)])
            guard ~Checksum.crc32(record) == bytes.word(at: at + 4) else { break }
            records.append(record)
            at += 8 + length
        }
        return (records, at)
    }
}

extension Array where Element == UInt8 {
    fileprivate mutating func append(word: UInt32) {
        for shift in [UInt32(0), 8, 16, 24] { append(UInt8(truncatingIfNeeded: word >> shift)) }
    }

    fileprivate func word(at index: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(self[index + $1]) << UInt32($1 * 8) }
    }
}
