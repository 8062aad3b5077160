import CLinux
import Glibc
import Runtime
import Synchronization

/// Accepts connections through a Unix socket on an event loop.
public final class UnixListener: Sendable {
    public let path: String
    private let door: StreamDoor
    /// The file we made, so that a successor's is not removed; nil where the socket was passed to this process.
    private let file: FileIdentity?

    public enum Failure: Error, Equatable, CustomStringConvertible {
        case badPath(String)
        /// Somebody accepts connections there.
        case inUse(path: String)
        /// There is a file that is no socket.
        case occupied(path: String)
        case failed(operation: String, path: String, errno: Int32)

        public var description: String {
            switch self {
            case .badPath(let problem): problem
            case .inUse(let path): "listen on \(path): another process listens there"
            case .occupied(let path): "listen on \(path): there is a file that is no socket"
            case .failed(let operation, let path, let errno):
                "\(operation) \(path): \(String(cString: strerror(errno)))"
            }
        }
    }

    /// Begins to accept. A socket that a dead process left behind is replaced.
    ///
    /// - Parameters:
    ///   - mode: of the file: who may write to it may connect.
    ///   - limit: nil for no limit but that of descriptors.
    ///   - accepted: called on the loop's thread.
    public init(
        path: String, mode: mode_t = 0o700, limit: ClientLimit? = nil, on loop: EventLoop,
        accepted: @escaping @Sendable (StreamConnection) -> Void
    ) throws(Failure) {
        guard let place = SocketPath(path) else { throw .badPath(SocketPath.problem(of: path)) }
        let passed = PassedSockets.shared.take(unixPath: path)
        let descriptor = if let passed { passed } else { try Self.listen(place, mode) }
        self.path = path
        file = passed == nil ? FileIdentity(of: path) : nil
        door = StreamDoor(descriptor, path, nil, limit, on: loop, accepted)
    }

    /// Accepts no more, and removes the file. Connections stay.
    public func stop() {
        if let file, FileIdentity(of: path) == file { unlink(path) }
        door.close()
    }

    private static func listen(_ place: SocketPath, _ mode: mode_t) throws(Failure) -> Int32 {
        let path = place.text
        let made = outrigger_stream_socket(AF_UNIX)
        guard made >= 0 else { throw .failed(operation: "make a socket for", path: path, errno: errno) }
        do throws(Failure) {
            // Before it is bound, so that there is no moment in which others may connect; the umask still takes part, and
            // what it took is given back afterwards.
            fchmod(made, mode)
            if withSocketAddress(place.bytes, { bind(made, $0, $1) }) != 0 {
                guard errno == EADDRINUSE else { throw .failed(operation: "listen on", path: path, errno: errno) }
                try removeStale(place)
                guard withSocketAddress(place.bytes, { bind(made, $0, $1) }) == 0 else {
                    throw .failed(operation: "listen on", path: path, errno: errno)
                }
            }
            guard chmod(path, mode) == 0, Glibc.listen(made, 1024) == 0 else {
                throw .failed(operation: "listen on", path: path, errno: errno)
            }
            return made
        } catch {
            close(made)
            throw error
        }
    }

    private static func removeStale(_ place: SocketPath) throws(Failure) {
        let path = place.text
        var info = stat()
        guard lstat(path, &info) == 0, info.st_mode & S_IFMT == S_IFSOCK else { throw .occupied(path: path) }
        let probe = outrigger_stream_socket(AF_UNIX)
        defer { close(probe) }
        let result = withSocketAddress(place.bytes) { connect(probe, $0, $1) }
        // Only a refusal says that nobody listens: a full queue, or a lack of rights, does not.
        guard result != 0, errno == ECONNREFUSED else { throw .inUse(path: path) }
        guard unlink(path) == 0 else { throw .failed(operation: "remove the old socket", path: path, errno: errno) }
    }
}

/// Which file a path leads to.
private struct FileIdentity: Equatable, Sendable {
    let device: UInt
    let inode: UInt

    init?(of path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        (device, inode) = (UInt(info.st_dev), UInt(info.st_ino))
    }
}
