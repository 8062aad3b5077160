import CLinux
import Glibc

/// A file that only grows, whose bytes are on the disk when `append` returns. Calls block, so it belongs to a thread that
/// may wait.
///
/// After a write or a sync that failed the file is not believed again: a later sync may succeed without the bytes (Rebello
/// et al., "Can applications recover from fsync failures?", 2020). It takes no more; its owner goes on with another.
public final class AppendFile {
    public let path: String
    /// Up to here everything is on the disk.
    public private(set) var sizeBytes: Int
    /// Whether a write or a sync has failed.
    public private(set) var isDoubtful = false
    private let file: Int32
    private let sync: (Int32) -> Int32

    /// Opens the file, or creates it with a name that is on the disk as well.
    public convenience init(_ path: String, mode: mode_t = 0o600) throws(FileError) {
        try self.init(path, mode: mode, sync: fdatasync)
    }

    /// - Parameter sync: `fdatasync`, or what a test has instead.
    init(_ path: String, mode: mode_t = 0o600, sync: @escaping (Int32) -> Int32) throws(FileError) {
        self.path = path
        self.sync = sync
        let isNew = !Files.exists(path)
        file = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, mode)
        guard file >= 0 else { throw .failed(operation: "open", path: path, errno: errno) }
        var info = stat()
        guard fstat(file, &info) == 0 else {
            let reason = errno
            close(file)
            throw .failed(operation: "look at", path: path, errno: reason)
        }
        sizeBytes = Int(info.st_size)
        guard isNew else { return }
        do throws(FileError) {
            try Files.syncFolder(of: path)
        } catch {
            unlink(path)
            throw error
        }
    }

    deinit { close(file) }

    /// All of the bytes, or an error. After an error what had been written is cut off again as far as that is possible.
    public func append(_ bytes: [UInt8]) throws(FileError) {
        guard !isDoubtful else { throw .doubtful(path: path) }
        do throws(FileError) {
            try Files.writeAll(bytes, to: file, path: path)
            guard sync(file) == 0 else { throw .failed(operation: "sync", path: path, errno: errno) }
        } catch {
            isDoubtful = true
            ftruncate(file, sizeBytes)
            _ = sync(file)
            throw error
        }
        sizeBytes += bytes.count
    }
}

extension Files {
    /// Creates a folder where it is missing; its parent must be there.
    public static func createFolder(_ path: String, mode: mode_t = 0o700) throws(FileError) {
        if mkdir(path, mode) == 0 { return try syncFolder(of: path) }
        guard errno == EEXIST else { throw .failed(operation: "create", path: path, errno: errno) }
    }

    /// Cuts a file off, for good.
    public static func truncate(_ path: String, toBytes length: Int) throws(FileError) {
        let file = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { throw .failed(operation: "open", path: path, errno: errno) }
        defer { close(file) }
        guard ftruncate(file, length) == 0, fsync(file) == 0 else {
            throw .failed(operation: "truncate", path: path, errno: errno)
        }
    }

    /// Removes a file, for good.
    public static func removeForGood(_ path: String) throws(FileError) {
        try remove(path)
        try syncFolder(of: path)
    }
}
