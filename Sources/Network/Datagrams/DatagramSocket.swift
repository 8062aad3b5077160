import CLinux
import Glibc
import Runtime
import Synchronization

/// A bound datagram socket, UDP or Unix, that only receives. It closes with this value; a Unix socket's file goes too.
public final class DatagramSocket: Sendable {
    public enum Kind: String, Sendable {
        case udp, unixgram
    }

    public enum Failure: Error, CustomStringConvertible {
        case cannotListen(address: String, reason: String)
        case inUse(path: String)
        case notASocket(path: String)
        case pathTooLong(path: String, limitBytes: Int)

        public var description: String {
            switch self {
            case .cannotListen(let address, let reason): "listen on \(address): \(reason)"
            case .inUse(let path): "listen on \(path): another process receives there"
            case .notASocket(let path): "listen on \(path): the file is no socket"
            case .pathTooLong(let path, let limit): "listen on \(path): longer than \(limit) bytes"
            }
        }
    }

    public let kind: Kind
    /// Where it listens; for UDP with the port that was really taken.
    public let address: String
    /// Zero for Unix sockets.
    public let port: UInt16
    /// What the kernel granted, in bytes of its own accounting: a small datagram costs about 800.
    public let receiveBufferBytes: Int
    let descriptor: Int32
    private let file: SocketFile?
    private let lastDrops = Mutex<(raw: UInt32, total: Int)>((0, 0))

    private init(
        _ descriptor: Int32, kind: Kind, address: String, port: UInt16, file: SocketFile? = nil, receiveBuffer: Int
    ) {
        self.descriptor = descriptor
        self.kind = kind
        self.address = address
        self.port = port
        self.file = file
        receiveBufferBytes = DatagramSocket.widen(descriptor, to: receiveBuffer)
    }

    deinit {
        close(descriptor)
        removeFile()
    }

    /// Nobody can send to a Unix socket any more; a successor's file of the same name stays.
    func removeFile() { file?.remove() }

    /// - Parameters:
    ///   - address: port 0 takes a free one.
    ///   - receiveBuffer: bytes wished for; without root the kernel grants `net.core.rmem_max` at most.
    public static func udp(_ address: ListenAddress, receiveBuffer: Int) throws(Failure) -> DatagramSocket {
        let descriptor: Int32
        do { descriptor = try address.bindDatagram() } catch {
            throw .cannotListen(address: "\(address)", reason: error.description)
        }
        let port = ListenAddress.port(of: descriptor)
        return DatagramSocket(
            descriptor, kind: .udp, address: "\(address.withPort(port))", port: port, receiveBuffer: receiveBuffer)
    }

    /// A socket file that a dead process left is removed first; one that is in use is an error.
    ///
    /// - Parameter mode: permissions of the file; senders need to write.
    public static func unix(_ path: String, mode: mode_t, receiveBuffer: Int) throws(Failure) -> DatagramSocket {
        try SocketFile.clear(path)
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC | O_NONBLOCK, 0)
        guard descriptor >= 0 else { throw .cannotListen(address: path, reason: String(cString: strerror(errno))) }
        let result = try withUnixAddress(path) { bind(descriptor, $0, $1) }
        guard result == 0, chmod(path, mode) == 0, let file = SocketFile(path) else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw .cannotListen(address: path, reason: reason)
        }
        return DatagramSocket(
            descriptor, kind: .unixgram, address: path, port: 0, file: file, receiveBuffer: receiveBuffer)
    }

    /// Datagrams that came while the receive buffer was full and are lost: the kernel's own count since the socket was
    /// opened. Unix sockets lose none: their senders wait or are refused.
    public var drops: Int {
        let raw = outrigger_socket_drops(descriptor)
        guard raw >= 0 else { return 0 }
        return lastDrops.withLock { last in
            let now = UInt32(truncatingIfNeeded: raw)
            last.total += Int(now &- last.raw)
            last.raw = now
            return last.total
        }
    }

    private static func widen(_ descriptor: Int32, to bytes: Int) -> Int {
        var wish = Int32(clamping: bytes)
        let size = socklen_t(MemoryLayout<Int32>.size)
        // The forced form ignores `rmem_max` and is root's alone.
        if setsockopt(descriptor, SOL_SOCKET, SO_RCVBUFFORCE, &wish, size) != 0 {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &wish, size)
        }
        var granted: Int32 = 0
        var length = size
        getsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &granted, &length)
        return Int(granted)
    }
}

/// The file of a Unix socket, known by its inode, so that a successor's file of the same name is left alone.
private struct SocketFile: Sendable {
    let path: String
    let inode: UInt64

    init?(_ path: String) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return nil }
        self.path = path
        inode = UInt64(info.st_ino)
    }

    func remove() {
        var info = stat()
        guard lstat(path, &info) == 0, UInt64(info.st_ino) == inode else { return }
        unlink(path)
    }

    /// Makes way for a new socket.
    static func clear(_ path: String) throws(DatagramSocket.Failure) {
        var info = stat()
        guard lstat(path, &info) == 0 else { return }
        guard info.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
        let probe = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        defer { close(probe) }
        let result = try withUnixAddress(path) { connect(probe, $0, $1) }
        guard result != 0, errno == ECONNREFUSED else { throw .inUse(path: path) }
        unlink(path)
    }
}

private func withUnixAddress(
    _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
) throws(DatagramSocket.Failure) -> Int32 {
    var address = sockaddr_un()
    let bytes = Array(path.utf8)
    let limit = MemoryLayout.size(ofValue: address.sun_path) - 1
    guard bytes.count <= limit else { throw .pathTooLong(path: path, limitBytes: limit) }
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
    return withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
}

extension ListenAddress {
    /// A non-blocking UDP socket bound to this address, which the caller owns.
    fileprivate func bindDatagram() throws(Failure) -> Int32 {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        hints.ai_socktype = Int32(SOCK_DGRAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host.isEmpty ? nil : host, String(port), &hints, &list)
        guard failure == 0, let list else { throw Failure(description: String(cString: gai_strerror(failure))) }
        defer { freeaddrinfo(list) }
        var last: Int32 = 0
        // IPv6 first for an empty host: that socket takes both families.
        for family in host.isEmpty ? [AF_INET6, AF_INET] : [AF_UNSPEC] {
            var next: UnsafeMutablePointer<addrinfo>? = list
            while let entry = next?.pointee {
                next = entry.ai_next
                guard family == AF_UNSPEC || entry.ai_family == family else { continue }
                let made = socket(entry.ai_family, entry.ai_socktype | O_CLOEXEC | O_NONBLOCK, entry.ai_protocol)
                guard made >= 0 else {
                    last = errno
                    continue
                }
                var no: Int32 = 0
                if entry.ai_family == AF_INET6 {
                    setsockopt(made, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &no, socklen_t(MemoryLayout<Int32>.size))
                }
                if bind(made, entry.ai_addr, entry.ai_addrlen) == 0 { return made }
                last = errno
                close(made)
            }
        }
        throw Failure(description: String(cString: strerror(last)))
    }
}
