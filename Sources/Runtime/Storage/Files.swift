import CLinux
import Glibc

/// What reading or writing a file can end in.
public enum FileError: Error, Equatable, CustomStringConvertible {
    case failed(operation: String, path: String, errno: Int32)
    case tooLong(path: String, limitBytes: Int)
    /// Longer than one record may be.
    case recordTooLong(path: String, bytes: Int, limitBytes: Int)
    /// A write or a sync failed before, so that nobody knows what the disk has.
    case doubtful(path: String)
    /// A folder that somebody else may change, or that another process uses.
    case unsafe(path: String, reason: String)

    public var description: String {
        switch self {
        case .failed(let operation, let path, let errno): "\(operation) \(path): \(String(cString: strerror(errno)))"
        case .tooLong(let path, let limit): "read \(path): longer than \(limit) bytes"
        case .recordTooLong(let path, let bytes, let limit):
            "append to \(path): a record of \(bytes) bytes, more than \(limit)"
        case .doubtful(let path): "append to \(path): an earlier write failed"
        case .unsafe(let path, let reason): "use \(path): \(reason)"
        }
    }
}

public enum Files {
    /// The bytes of a file. Blocks; files of `/proc` and `/sys` and small configuration only.
    ///
    /// - Parameter followsLinks: whether the last part of the path may be a symbolic link.
    public static func read(
        _ path: String, limitBytes: Int = 64 << 20, followsLinks: Bool = true
    ) throws(FileError) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC | (followsLinks ? 0 : O_NOFOLLOW))
        guard file >= 0 else { throw .failed(operation: "open", path: path, errno: errno) }
        defer { close(file) }
        var bytes: [UInt8] = []
        while true {
            let chunk = 16 * 1024
            var got = 0
            let start = bytes.count
            bytes.append(contentsOf: repeatElement(0, count: chunk))
            got = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + start, chunk) }
            bytes.removeLast(chunk - max(0, got))
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw .failed(operation: "read", path: path, errno: errno) }
            guard bytes.count <= limitBytes else { throw .tooLong(path: path, limitBytes: limitBytes) }
            if got == 0 { return bytes }
        }
    }

    public static func readText(_ path: String, limitBytes: Int = 64 << 20) throws(FileError) -> String {
        String(decoding: try read(path, limitBytes: limitBytes), as: UTF8.self)
    }

    /// Creates or overwrites a file. Neither atomic nor synced: for throw-away files.
    public static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(FileError) {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard file >= 0 else { throw .failed(operation: "open", path: path, errno: errno) }
        defer { close(file) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let put = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if put < 0 && errno == EINTR { continue }
            guard put >= 0 else { throw .failed(operation: "write", path: path, errno: errno) }
            rest = rest.dropFirst(put)
        }
    }

    public static func write(_ text: String, to path: String, mode: mode_t = 0o644) throws(FileError) {
        try write(Array(text.utf8), to: path, mode: mode)
    }

    /// What a symbolic link points to, as it is written in it; the links of `/proc` point to no path.
    public static func linkTarget(_ path: String) throws(FileError) -> String {
        var target = [UInt8](repeating: 0, count: 4096)
        let length = target.withUnsafeMutableBytes { readlink(path, $0.baseAddress!, $0.count) }
        guard length >= 0 else { throw .failed(operation: "read link", path: path, errno: errno) }
        return String(decoding: target[..<length], as: UTF8.self)
    }

    public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    /// Names in a folder, without `.` and `..`, sorted.
    public static func list(_ path: String) throws(FileError) -> [String] {
        guard let folder = opendir(path) else { throw .failed(operation: "list", path: path, errno: errno) }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    /// Removes a file, or a folder with everything in it. Links are removed, not followed.
    public static func remove(_ path: String) throws(FileError) {
        var info = stat()
        guard lstat(path, &info) == 0 else {
            if errno == ENOENT { return }
            throw .failed(operation: "remove", path: path, errno: errno)
        }
        if info.st_mode & S_IFMT == S_IFDIR {
            for name in try list(path) { try remove(path + "/" + name) }
            guard rmdir(path) == 0 || errno == ENOENT else {
                throw .failed(operation: "remove", path: path, errno: errno)
            }
        } else {
            guard unlink(path) == 0 || errno == ENOENT else {
                throw .failed(operation: "remove", path: path, errno: errno)
            }
        }
    }
}

/// A folder under `$TMPDIR` that is removed, with what is in it, when this value goes.
public final class TemporaryFolder: Sendable {
    public let path: String

    /// - Parameter owner: user who gets the folder; only root may give it away.
    public init(_ prefix: String = "outrigger", owner: String? = nil) throws(FileError) {
        let parent = Environment.current["TMPDIR"].flatMap { $0.isEmpty ? nil : $0 } ?? "/tmp"
        let template = parent + "/" + prefix + ".XXXXXX"
        let made = strdup(template)
        defer { free(made) }
        guard let made, mkdtemp(made) != nil else { throw .failed(operation: "create", path: template, errno: errno) }
        path = String(cString: made)
        if let owner, let user = getpwnam(owner) {
            guard chown(path, user.pointee.pw_uid, user.pointee.pw_gid) == 0 else {
                throw .failed(operation: "give away", path: path, errno: errno)
            }
        }
    }

    deinit {
        do { try Files.remove(path) } catch { Log.warn("temporary folder stays", ["path": path, "error": "\(error)"]) }
    }
}
