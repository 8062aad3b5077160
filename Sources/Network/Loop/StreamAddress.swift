import CLinux
import Glibc
import Runtime

/// Where to connect to. A name may stand for several addresses, which are tried in turn, and for others later: it is looked
/// up again when somebody connects, off the loop, so that a fail-over in DNS is followed.
public struct StreamAddress: Sendable, CustomStringConvertible {
    public let description: String
    private let place: Place

    private enum Place: Sendable {
        case fixed([Candidate])
        case named(NamedHost)
    }

    /// One address, as the kernel takes it.
    struct Candidate: Sendable, Equatable {
        let family: Int32
        let bytes: [UInt8]
    }

    public struct Unknown: Error, CustomStringConvertible {
        public let description: String
    }

    init(_ candidates: [Candidate], description: String) {
        place = .fixed(candidates)
        self.description = description
    }

    init(_ host: NamedHost) {
        place = .named(host)
        description = Self.text(host.host, host.port)
    }

    /// Looks a host up; blocks for as long as that takes, and throws where the name is not found.
    public init(host: String, port: UInt16) throws(Unknown) {
        let found = try Self.lookUp(host, port).get()
        if Self.isNumeric(host) {
            self.init(found, description: Self.text(host, port))
        } else {
            self.init(NamedHost(host, port: port, knowing: found))
        }
    }

    /// A host whose name need not be known yet: it begins to be looked up, and until it is found nobody can connect.
    public init(following host: String, port: UInt16) throws(Unknown) {
        if Self.isNumeric(host) {
            try self.init(host: host, port: port)
        } else {
            let named = NamedHost(host, port: port)
            named.askAgain()
            self.init(named)
        }
    }

    private static func text(_ host: String, _ port: UInt16) -> String {
        (host.contains(":") ? "[\(host)]" : host) + ":\(port)"
    }

    private static func isNumeric(_ host: String) -> Bool {
        var space = in6_addr()
        return inet_pton(AF_INET, host, &space) == 1 || inet_pton(AF_INET6, host, &space) == 1 || host.contains("%")
    }

    @Sendable static func lookUp(_ host: String, _ port: UInt16) -> Result<[Candidate], Unknown> {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let failure = getaddrinfo(host, String(port), &hints, &list)
        guard failure == 0 else {
            return .failure(Unknown(description: "\(host): \(String(cString: gai_strerror(failure)))"))
        }
        defer { freeaddrinfo(list) }
        var found: [Candidate] = []
        var next = list
        while let entry = next?.pointee {
            let bytes = Array(UnsafeRawBufferPointer(start: entry.ai_addr, count: Int(entry.ai_addrlen)))
            found.append(Candidate(family: entry.ai_family, bytes: bytes))
            next = entry.ai_next
        }
        return .success(found)
    }

    /// Where it leads as far as is known; nothing for a name that was not found yet.
    var candidates: [Candidate] {
        switch place {
        case .fixed(let candidates): candidates
        case .named(let host): host.candidates
        }
    }

    /// Counts how often the name has come to lead to addresses that have nothing in common with those before.
    public var moves: Int { if case .named(let host) = place { host.moves } else { 0 } }

    /// Looks a name up again, off the loop, where the last answer is so old.
    public func refresh(olderThan age: Duration) {
        if case .named(let host) = place { host.refresh(olderThan: age) }
    }

    /// Returns when a name was looked up, with whatever outcome, or the deadline has come.
    public func answered(by deadline: Deadline) async {
        guard case .named(let host) = place else { return }
        while !host.hasAnswer, !deadline.hasPassed {
            guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { return }
        }
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
        let known = candidates
        // What comes of it is for the next who connects.
        if case .named(let host) = place { host.askAgain() }
        var attempts = Attempts(left: known[...])
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
