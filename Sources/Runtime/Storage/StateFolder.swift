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

    /// Creates the folder where it is missing, for its user alone. Refuses one that others may change, and one that another
    /// process holds, which is named.
    public init(_ path: String) throws(FileError) {
        self.path = path
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .failed(operation: "create", path: path, errno: errno)
        }
        try Self.check(path)
        let name = path + "/lock"
        lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard lock >= 0 else { throw .failed(operation: "open", path: name, errno: errno) }
        // `deinit` closes it, here too.
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            guard errno == EWOULDBLOCK else { throw .failed(operation: "lock", path: name, errno: errno) }
            throw .unsafe(path: path, reason: "\(Self.holder(name)) uses it; two processes would overwrite one another")
        }
        let line = Array("\(getpid())\n".utf8)
        ftruncate(lock, 0)
        try Files.writeAll(line, to: lock, path: name)
    }

    /// Whether nobody but us and root can change what is in the folder, or put another in its place.
    private static func check(_ path: String) throws(FileError) {
        var info = stat()
        var bare = path[...]
        while bare.count > 1, bare.hasSuffix("/") { bare.removeLast() }
        guard lstat(String(bare), &info) == 0 else { throw .failed(operation: "look at", path: path, errno: errno) }
        let me = geteuid()
        if info.st_mode & S_IFMT == S_IFLNK {
            // A service manager's own link to a service's folder is root's, and the service is not.
            guard info.st_uid == 0, me != 0 else { throw .unsafe(path: path, reason: "is a symbolic link") }
            guard stat(path, &info) == 0 else { throw .failed(operation: "look at", path: path, errno: errno) }
        }
        guard info.st_mode & S_IFMT == S_IFDIR else { throw .unsafe(path: path, reason: "is no folder") }
        guard info.st_uid == me else {
            throw .unsafe(path: path, reason: "belongs to user \(info.st_uid), and not to \(me), who runs this")
        }
        guard info.st_mode & 0o022 == 0 else {
            let mode = String(info.st_mode & 0o777, radix: 8)
            throw .unsafe(
                path: path, reason: "others may write to it (mode 0\(mode)); name a folder inside it, or chmod 700")
        }
    }

    /// Who wrote the lock, for a message.
    private static func holder(_ lock: String) -> String {
        let text = (try? Files.read(lock, limitBytes: 64, followsLinks: false)).map {
            String(decoding: $0, as: UTF8.self)
        }
        guard let number = text?.split(separator: "\n").first.flatMap({ Int32($0) }) else { return "another process" }
        return "process \(number)"
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
