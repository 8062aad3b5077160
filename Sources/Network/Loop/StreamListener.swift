import CLinux
import Glibc
import Runtime

/// Accepts TCP connections on an event loop.
public final class StreamListener: Sendable {
    public let address: ListenAddress
    private let door: StreamDoor

    /// Begins to accept. Throws when the address cannot be listened on.
    ///
    /// - Parameters:
    ///   - tls: with it, connections carry nothing before the handshake is done.
    ///   - accepted: called on the loop's thread.
    public init(
        _ address: ListenAddress, tls: TLSServer? = nil, on loop: EventLoop,
        accepted: @escaping @Sendable (StreamConnection) -> Void
    ) throws {
        let descriptor = try address.listen()
        self.address = address.withPort(ListenAddress.port(of: descriptor))
        door = StreamDoor(descriptor, "\(self.address)", tls, on: loop, accepted)
    }

    /// Accepts no more. Connections stay.
    public func stop() { door.close() }
}

/// A socket that listens, of whatever kind, and lets connections in.
final class StreamDoor: LoopHandler, @unchecked Sendable {
    private let descriptor: Int32
    private let name: String
    private let tls: TLSServer?
    private let loop: EventLoop
    private let accepted: @Sendable (StreamConnection) -> Void

    init(
        _ descriptor: Int32, _ name: String, _ tls: TLSServer?, on loop: EventLoop,
        _ accepted: @escaping @Sendable (StreamConnection) -> Void
    ) {
        self.descriptor = descriptor
        self.name = name
        self.tls = tls
        self.loop = loop
        self.accepted = accepted
        loop.post { [self] in loop.add(descriptor, self) }
    }

    func ready(_ readiness: Readiness) {
        // A few at a time, so that a crowd at the door does not keep those inside waiting.
        for _ in 0..<64 {
            let made = outrigger_accept(descriptor)
            guard made >= 0 else {
                if errno == EMFILE || errno == ENFILE {
                    Log.error("cannot accept: no more descriptors", ["address": name])
                }
                return
            }
            accepted(StreamConnection(made, on: loop, with: StreamPeer(of: made), tls: tls?.session()))
        }
    }

    func close() {
        loop.post { [self] in
            loop.remove(descriptor)
            Glibc.close(descriptor)
        }
    }
}
