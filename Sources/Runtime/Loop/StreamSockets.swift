import CLinux
import Glibc

/// Accepts connections on an event loop.
public final class StreamListener: LoopHandler, @unchecked Sendable {
    public let address: ListenAddress
    private let descriptor: Int32
    private let loop: EventLoop
    /// Called on the loop's thread.
    private let accepted: @Sendable (StreamConnection) -> Void

    /// Begins to accept. Throws when the address cannot be listened on.
    public init(
        _ address: ListenAddress, on loop: EventLoop, accepted: @escaping @Sendable (StreamConnection) -> Void
    ) throws {
        descriptor = try address.listen()
        self.address = address.withPort(ListenAddress.port(of: descriptor))
        self.loop = loop
        self.accepted = accepted
        loop.post { [self] in loop.add(descriptor, self) }
    }

    public func ready(_ readiness: Readiness) {
        // A few at a time, so that a crowd at the door does not keep those inside waiting.
        for _ in 0..<64 {
            let made = outrigger_accept(descriptor)
            guard made >= 0 else {
                if errno == EMFILE || errno == ENFILE {
                    Log.error("cannot accept: no more descriptors", ["address": "\(address)"])
                }
                return
            }
            accepted(StreamConnection(made, on: loop))
        }
    }

    /// Accepts no more. Connections stay.
    public func stop() {
        loop.post { [self] in
            loop.remove(descriptor)
            close(descriptor)
        }
    }
}

/// Where to connect to, looked up once.
public struct StreamAddress: Sendable, CustomStringConvertible {
    public let description: String
    private let family: Int32
    private let bytes: [UInt8]

    public struct Unknown: Error, CustomStringConvertible {
        public let description: String
    }

    /// Looks a host up; blocks for as long as that takes.
    public init(host: String, port: UInt16) throws(Unknown) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host, String(port), &hints, &list)
        guard failure == 0, let entry = list else {
            throw Unknown(description: "\(host): \(String(cString: gai_strerror(failure)))")
        }
        defer { freeaddrinfo(list) }
        description = "\(host):\(port)"
        family = entry.pointee.ai_family
        bytes = Array(UnsafeRawBufferPointer(start: entry.pointee.ai_addr, count: Int(entry.pointee.ai_addrlen)))
    }

    /// A Unix socket; its path has at most 107 bytes.
    public init(path: String) {
        precondition(path.utf8.count <= 107)
        description = path
        family = AF_UNIX
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        bytes = withUnsafeMutableBytes(of: &address) { raw in
            let start = MemoryLayout<sockaddr_un>.offset(of: \.sun_path) ?? 2
            raw[start..<start + path.utf8.count].copyBytes(from: path.utf8)
            return Array(raw)
        }
    }

    /// Begins to connect; output waits until that has succeeded, and a failure closes the connection. Only on the loop's
    /// thread.
    ///
    /// - Returns: nil when it failed at once.
    public func connect(on loop: EventLoop) -> StreamConnection? {
        let made = outrigger_stream_socket(family)
        guard made >= 0 else { return nil }
        let result = bytes.withUnsafeBytes { raw in
            raw.baseAddress.map { Glibc.connect(made, $0.assumingMemoryBound(to: sockaddr.self), socklen_t(raw.count)) }
                ?? -1
        }
        guard result == 0 || errno == EINPROGRESS else {
            close(made)
            return nil
        }
        return StreamConnection(made, on: loop)
    }
}
