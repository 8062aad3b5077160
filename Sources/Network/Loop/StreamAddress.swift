import CLinux
import Glibc
import Runtime

/// Where to connect to, looked up once. A name may stand for several addresses, which are tried in turn.
public struct StreamAddress: Sendable, CustomStringConvertible {
    public let description: String
    let candidates: [Candidate]

    /// One address, as the kernel takes it.
    struct Candidate: Sendable {
        let family: Int32
        let bytes: [UInt8]
    }

    public struct Unknown: Error, CustomStringConvertible {
        public let description: String
    }

    init(_ candidates: [Candidate], description: String) {
        self.candidates = candidates
        self.description = description
    }

    /// Looks a host up; blocks for as long as that takes.
    public init(host: String, port: UInt16) throws(Unknown) {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host, String(port), &hints, &list)
        guard failure == 0 else { throw Unknown(description: "\(host): \(String(cString: gai_strerror(failure)))") }
        defer { freeaddrinfo(list) }
        var found: [Candidate] = []
        var next = list
        while let entry = next?.pointee {
            let bytes = Array(UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen)))
            found.append(Candidate(family: entry.ai_family, bytes: bytes))
            next = entry.ai_next
        }
        self.init(found, description: (host.contains(":") ? "[\(host)]" : host) + ":\(port)")
    }

    /// A Unix socket; its path has at most 107 bytes.
    public init(path: String) throws(Unknown) {
        guard let path = SocketPath(path) else { throw Unknown(description: SocketPath.problem(of: path)) }
        self.init([Candidate(family: AF_UNIX, bytes: path.bytes)], description: path.text)
    }

    /// Begins to connect; output waits until that, and the handshake of TLS, has succeeded. A failure closes the
    /// connection once no address of the name is left. Only on the loop's thread.
    ///
    /// - Returns: nil when it failed at once.
    public func connect(on loop: EventLoop, tls: TLSClient? = nil) -> StreamConnection? {
        var attempts = Attempts(left: candidates[...])
        guard case .begun(let descriptor) = attempts.next() else { return nil }
        return StreamConnection(
            descriptor, on: loop, with: .server(description), trying: attempts, tls: tls?.session())
    }

    /// Addresses that were not tried yet.
    struct Attempts {
        fileprivate var left: ArraySlice<Candidate>

        enum Outcome {
            /// A socket that is connected, or about to be.
            case begun(Int32)
            /// With the last failure, 0 for none.
            case nothingLeft(errno: Int32)
        }

        /// Begins with the next that does not fail at once.
        mutating func next() -> Outcome {
            var last: Int32 = 0
            while let candidate = left.popFirst() {
                let made = outrigger_stream_socket(candidate.family)
                guard made >= 0 else {
                    last = errno
                    continue
                }
                let result = withSocketAddress(candidate.bytes) { Glibc.connect(made, $0, $1) }
                if result == 0 || errno == EINPROGRESS { return .begun(made) }
                last = errno
                close(made)
            }
            return .nothingLeft(errno: last)
        }
    }
}
