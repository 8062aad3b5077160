import Network
import Runtime

/// Where a proxy lets clients in.
public struct Entrances: Sendable {
    /// Nil for none by TCP.
    public let address: ListenAddress?
    /// Nil to serve TCP in plain.
    public let tls: TLSServer?
    /// Nil for none.
    public let unixSocket: UnixSocket?
    /// How many clients there may be at once, of all entrances together; nil for as many as there are descriptors.
    public let limit: ClientLimit?

    public struct UnixSocket: Sendable, Equatable {
        public let path: String
        public let mode: FileMode

        public init(path: String, mode: FileMode) { (self.path, self.mode) = (path, mode) }
    }

    public init(
        address: ListenAddress?, tls: TLSServer? = nil, unixSocket: UnixSocket? = nil, limit: ClientLimit? = nil
    ) {
        (self.address, self.tls, self.unixSocket, self.limit) = (address, tls, unixSocket, limit)
    }
}

/// The sockets of a proxy that listen.
public final class EntranceListeners: Sendable {
    private let tcp: StreamListener?
    private let unix: UnixListener?
    private let tls: TLSServer?

    /// Throws when one of the addresses cannot be listened on.
    ///
    /// - Parameters:
    ///   - negotiatesTLS: the protocol begins in plain and asks for TLS itself, so that the listener must not.
    ///   - accepted: called on the loop's thread.
    public init(
        _ entrances: Entrances, negotiatesTLS: Bool = false, on loop: EventLoop,
        accepted: @escaping @Sendable (StreamConnection) -> Void
    ) throws {
        tls = entrances.tls
        let atOnce = negotiatesTLS ? nil : entrances.tls
        tcp = try entrances.address.map {
            try StreamListener($0, tls: atOnce, limit: entrances.limit, on: loop, accepted: accepted)
        }
        unix = try entrances.unixSocket.map {
            try UnixListener(
                path: $0.path, mode: $0.mode.bits, limit: entrances.limit, on: loop, accepted: accepted)
        }
    }

    /// Where clients connect, for people.
    public var addresses: [String] {
        (tcp.map { ["\($0.address)"] } ?? []) + (unix.map { [$0.path] } ?? [])
    }

    /// Reads the files of TLS again, for use once everything else is found to be in order. Nil without TLS.
    public func readCertificate() throws(TLSError) -> TLSServer.Fresh? { try tls?.read() }

    /// Accepts no more. Connections stay.
    public func stop() {
        tcp?.stop()
        unix?.stop()
    }
}
