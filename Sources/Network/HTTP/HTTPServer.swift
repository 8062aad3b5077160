import Glibc
import Runtime
import Synchronization

/// An HTTP/1.1 server on an event loop: one thread reads and writes, while the answers are made elsewhere. A client that reads
/// slowly costs a socket and its answer's bytes, nothing else.
///
/// Whether a request is served is decided from its header, before any of its body is read.
public final class HTTPServer: Sendable {
    public struct Limits: Sendable {
        /// When as many are open, a newcomer takes the place of the client that has let us wait longest; where all are being
        /// answered, it is turned away.
        public var connections = 512
        /// More, for clients of this machine, while all others are being answered.
        public var reserved = 16
        /// Of one address, or one IPv6 network. Nil for half of all.
        public var perAddress: Int?
        /// For a whole header, from its first byte; for the first, from the beginning of the connection.
        public var header: Duration = .seconds(10)
        /// For a whole body.
        public var body: Duration = .seconds(30)
        /// A connection on which nothing moves for so long is closed.
        public var idle: Duration = .seconds(60)
        public var bodyBytes = 8 << 20
        /// Of all requests.
        public var bodies = BodyBudget(limit: 32 << 20)
        /// Bytes of answers that wait to be read; beyond it, new requests get 503.
        public var pendingBytes = 256 << 20

        public init() {}
    }

    public typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

    /// Who a client has been found to be.
    public struct Visitor: Sendable {
        public var user: String?
        public var isTrusted: Bool

        public init(user: String? = nil, isTrusted: Bool) { (self.user, self.isTrusted) = (user, isTrusted) }
    }

    /// What is decided from a header.
    public enum Admission: Sendable {
        /// To be answered. Without a visitor, clients of this machine are trusted. A body that is not taken is not read.
        case admitted(Visitor?, takesBody: Bool)
        case refused(HTTPResponse)
    }

    /// Is shown a request without its body.
    public typealias Screen = @Sendable (HTTPRequest) async -> Admission

    public enum Failure: Error, CustomStringConvertible {
        case cannotListen(address: String, reason: String)

        public var description: String {
            switch self {
            case .cannotListen(let address, let reason): "listen on \(address): \(reason)"
            }
        }
    }

    /// `host:port` with the port that was really taken, should 0 have been asked for.
    public let address: ListenAddress
    private let listener: StreamListener
    private let hall: HTTPHall
    private let loop: EventLoop
    private let hasStopped = Atomic<Bool>(false)

    /// Listens at once; requests are answered from now on.
    ///
    /// - Parameter screen: admits everybody with everything unless it is given.
    public init(
        _ wanted: ListenAddress, limits: Limits = Limits(), tls: TLSServer? = nil,
        screen: @escaping Screen = { _ in .admitted(nil, takesBody: true) }, handler: @escaping Handler
    ) throws(Failure) {
        let loop = EventLoop("web")
        let hall = HTTPHall(limits, loop, screen, handler)
        do {
            listener = try StreamListener(wanted, tls: tls, on: loop) { hall.enter($0) }
        } catch {
            loop.end()
            throw .cannotListen(address: wanted.description, reason: "\(error)")
        }
        address = listener.address
        self.loop = loop
        self.hall = hall
        hall.begin()
    }

    /// What is counted.
    public var counts: HTTPCounts { hall.counts }

    /// Accepts nobody any more, waits until the requests under way are answered or `patience` is over, and ends. Whoever
    /// computes something long is told that nobody waits any more.
    public func stop(within patience: Duration) async {
        // The loop runs nothing any more after the first time.
        guard !hasStopped.exchange(true, ordering: .relaxed) else { return }
        listener.stop()
        let deadline = Deadline.after(patience)
        loop.post { [hall] in hall.close() }
        while !deadline.hasPassed, hall.counts.open.load(ordering: .acquiring) > 0 {
            guard (try? await Task.sleep(for: .milliseconds(5))) != nil else { break }
        }
        // Whoever waits for the end may count on the port being free.
        await withCheckedContinuation { continuation in
            loop.post { [hall] in
                hall.clear()
                continuation.resume()
            }
        }
        loop.end()
    }
}

/// What a server counts.
public final class HTTPCounts: Sendable {
    /// Connections that are open.
    public let open = Atomic<Int>(0)
    /// Connections that were closed before they had asked anything whole, to make room or because they took too long.
    public let evicted = Atomic<Int>(0)
    /// Connections that were turned away.
    public let turnedAway = Atomic<Int>(0)
    /// Requests that no two programs must take for different ones.
    public let malformed = Atomic<Int>(0)
}
