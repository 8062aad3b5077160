import Network
import Runtime

/// Where the Redis proxy lets clients in, and whom.
public struct ProxyEntrances: Sendable {
    let address: ListenAddress?
    /// Nil to serve TCP in plain.
    let tls: TLSServer?
    let unixSocket: AccessSettings.UnixSocket?
    let access: ProxyAccess
}

/// The sockets of the Redis proxy that listen.
final class ProxyListeners: Sendable {
    private let tcp: StreamListener?
    private let unix: UnixListener?
    private let tls: TLSServer?

    /// Throws when one of the addresses cannot be listened on.
    init(
        _ entrances: ProxyEntrances, on loop: EventLoop, accepted: @escaping @Sendable (StreamConnection) -> Void
    ) throws {
        tls = entrances.tls
        tcp = try entrances.address.map { try StreamListener($0, tls: entrances.tls, on: loop, accepted: accepted) }
        unix = try entrances.unixSocket.map {
            try UnixListener(path: $0.path, mode: $0.mode.bits, on: loop, accepted: accepted)
        }
    }

    var addresses: [String] {
        (tcp.map { ["\($0.address)"] } ?? []) + (unix.map { [$0.path] } ?? [])
    }

    func reloadCertificate() throws(TLSError) { try tls?.reload() }

    func stop() {
        tcp?.stop()
        unix?.stop()
    }
}
