import CLinux
import CZlib
import Glibc

/// A small piece of state on disk that is always whole: the old one or the new one, never half of either.
///
/// A write goes to a file beside it, which is synced and renamed over the old one; then the folder is synced. A line in
/// front tells the length and the CRC-32 of what follows, so that a file which was torn or damaged all the same is
/// noticed. Calls block for as long as the disk takes.
public struct StateFile: Sendable {
    public let path: String
    /// Longest content in bytes.
    public static let limit = 64 << 20

    private static let title = "outrigger-state 1"

    public init(_ path: String) { self.path = path }

    /// The content that was written last; nil where there is none yet, or none that can be believed, which is logged.
    public func read() throws(FileError) -> [UInt8]? {
        guard Files.exists(path) else { return nil }
        let bytes = try Files.read(path, limitBytes: Self.limit + 128, followsLinks: false)
        guard let content = Self.content(of: bytes) else {
            Log.error("state file is damaged and was ignored", ["path": path, "bytes": "\(bytes.count)"])
            return nil
        }
        return content
    }

    /// When this returns, the content survives a crash of the process and of the machine.
    public func write(_ content: [UInt8]) throws(FileError) {
        let header = "\(Self.title) \(content.count) \(Checksum.crc32(content))\n"
        try Files.replace(path, with: Array(header.utf8) + content)
    }

    private static func content(of bytes: [UInt8]) -> [UInt8]? {
        guard let end = bytes.firstIndex(of: 0x0a) else { return nil }
        let header = String(decoding: bytes[..<end], as: UTF8.self)
        let content = Array(bytes[(end + 1)...])
        guard header == "\(title) \(content.count) \(Checksum.crc32(content))" else { return nil }
        return content
    }
}

public enum Checksum {
    /// CRC-32 as zlib computes it.
    public static func crc32(_ bytes: some Collection<UInt8>) -> UInt32 {
        let bytes = Array(bytes)
        return UInt32(truncatingIfNeeded: CZlib.crc32(0, bytes, UInt32(bytes.count)))
    }
}

extension Files {
    /// Puts a file in the place of another at once, and returns when both the bytes and the name are on the disk.
    public static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o600) throws(FileError) {
        let fresh = path + ".new"
        let file = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard file >= 0 else { throw .failed(operation: "open", path: fresh, errno: errno) }
        do throws(FileError) {
            try writeAll(bytes, to: file, path: fresh)
            guard fsync(file) == 0 else { throw .failed(operation: "sync", path: fresh, errno: errno) }
        } catch {
            close(file)
            unlink(fresh)
            throw error
        }
        close(file)
        guard rename(fresh, path) == 0 else { throw .failed(operation: "rename", path: fresh, errno: errno) }
        try syncFolder(of: path)
    }

    static func writeAll(_ bytes: [UInt8], to file: Int32, path: String) throws(FileError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let put = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if put < 0 && errno == EINTR { continue }
            guard put >= 0 else { throw .failed(operation: "write", path: path, errno: errno) }
            rest = rest.dropFirst(put)
        }
    }

    /// Makes names that were created or changed in a file's folder last.
    static func syncFolder(of path: String) throws(FileError) {
        let folder = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let handle = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw .failed(operation: "open", path: folder, errno: errno) }
        defer { close(handle) }
        guard fsync(handle) == 0 else { throw .failed(operation: "sync", path: folder, errno: errno) }
    }
}
