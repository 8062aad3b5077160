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
    public private(set) var sizeBytes = 0
    private var file: Int32

    private init(path: String, file: Int32, sizeBytes: Int) {
        self.path = path
        self.file = file
        self.sizeBytes = sizeBytes
    }

    deinit { close(file) }

    /// Opens or creates the file and reads its records. A damaged end is logged and removed.
    public static func open(_ path: String) throws(FileError) -> (journal: Journal, records: [[UInt8]]) {
        let isNew = !Files.exists(path)
        let file = Glibc.open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw .failed(operation: "open", path: path, errno: errno) }
        let journal = Journal(path: path, file: file, sizeBytes: 0)
        if isNew {
            try Files.syncFolder(of: path)
            return (journal, [])
        }
        let bytes = try Files.read(path, limitBytes: 1 << 30)
        let (records, end) = decode(bytes)
        if end < bytes.count {
            Log.error(
                "journal has a damaged end, which was cut off",
                ["path": path, "kept_bytes": "\(end)", "cut_bytes": "\(bytes.count - end)"])
            guard ftruncate(file, end) == 0, fsync(file) == 0 else {
                throw .failed(operation: "truncate", path: path, errno: errno)
            }
        }
        journal.sizeBytes = end
        return (journal, records)
    }

    /// All of the records or, after a crash, the first few of them.
    public func append(_ records: [[UInt8]]) throws(FileError) {
        guard !records.isEmpty else { return }
        let bytes = Self.encode(records)
        do throws(FileError) {
            try Files.writeAll(bytes, to: file, path: path)
        } catch {
            // Half a record in the middle would hide all that follow it.
            ftruncate(file, sizeBytes)
            throw error
        }
        sizeBytes += bytes.count
        guard fdatasync(file) == 0 else { throw .failed(operation: "sync", path: path, errno: errno) }
    }

    /// Begins anew with these records, in the place of all others at once.
    public func replace(with records: [[UInt8]]) throws(FileError) {
        let bytes = Self.encode(records)
        try Files.replace(path, with: bytes)
        let fresh = Glibc.open(path, O_RDWR | O_APPEND | O_CLOEXEC)
        guard fresh >= 0 else { throw .failed(operation: "open", path: path, errno: errno) }
        close(file)
        file = fresh
        sizeBytes = bytes.count
    }

    private static func encode(_ records: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for record in records {
            precondition(record.count <= recordLimit)
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
