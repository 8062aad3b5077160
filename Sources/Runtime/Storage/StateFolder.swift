import CLinux
import Glibc

/// The folder in which Outrigger keeps what must survive it, and the thread on which it waits for the disk.
///
/// One process at a time holds the folder: two would write over one another.
public actor StateFolder {
    public nonisolated let path: String
    private let thread = BlockingThread("state-folder")
    private let lock: Int32
    private var journals: [String: Journal] = [:]

    public nonisolated var unownedExecutor: UnownedSerialExecutor { thread.asUnownedSerialExecutor() }

    /// Creates the folder where it is missing. Fails with `EWOULDBLOCK` where another process holds it.
    public init(_ path: String) throws(FileError) {
        self.path = path
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .failed(operation: "create", path: path, errno: errno)
        }
        let name = path + "/lock"
        lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw .failed(operation: "open", path: name, errno: errno) }
        // `deinit` closes it, here too.
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { throw .failed(operation: "lock", path: name, errno: errno) }
    }

    deinit { close(lock) }

    /// What was written last under a name; nil for nothing, and for what is damaged.
    public func read(_ name: String) throws(FileError) -> [UInt8]? { try StateFile(path + "/" + name).read() }

    /// Puts the content in the place of the old, at once and for good.
    public func write(_ content: [UInt8], to name: String) throws(FileError) {
        try StateFile(path + "/" + name).write(content)
    }

    /// Opens a journal and reads its records. Call it before the first `append` to that name.
    public func openJournal(_ name: String) throws(FileError) -> [[UInt8]] {
        let (journal, records) = try Journal.open(path + "/" + name)
        journals[name] = journal
        return records
    }

    /// When this returns, the records are on the disk.
    ///
    /// - Returns: the length of the journal in bytes.
    public func append(_ records: [[UInt8]], to name: String) throws(FileError) -> Int {
        let journal = try journal(name)
        try journal.append(records)
        return journal.sizeBytes
    }

    /// Begins a journal anew with these records.
    public func replaceJournal(_ name: String, with records: [[UInt8]]) throws(FileError) {
        try journal(name).replace(with: records)
    }

    private func journal(_ name: String) throws(FileError) -> Journal {
        if let known = journals[name] { return known }
        let journal = try Journal.open(path + "/" + name).journal
        journals[name] = journal
        return journal
    }
}
