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
    ///   - limit: nil for no limit but that of descriptors.
    ///   - accepted: called on the loop's thread.
    public init(
        _ address: ListenAddress, tls: TLSServer? = nil, limit: ClientLimit? = nil, on loop: EventLoop,
        accepted: @escaping @Sendable (StreamConnection) -> Void
    ) throws {
        let descriptor = try address.listen()
        self.address = address.withPort(ListenAddress.port(of: descriptor))
        door = StreamDoor(descriptor, "\(self.address)", tls, limit, on: loop, accepted)
    }

    /// Accepts no more. Connections stay.
    public func stop() { door.close() }
}

/// A socket that listens, of whatever kind, and lets connections in.
///
/// Who comes when there are too many, or no descriptor is left, is told so and sent away. For the latter one descriptor is
/// kept; without it the socket is left alone for a moment, since it would be ready again at once.
final class StreamDoor: LoopHandler, @unchecked Sendable {
    private var descriptor: Int32
    private let name: String
    private let tls: TLSServer?
    private let limit: ClientLimit?
    private let loop: EventLoop
    private let accepted: @Sendable (StreamConnection) -> Void
    /// Given up for as long as it takes to send somebody away.
    private var spare: Int32

    private static let pauseMs = 100

    init(
        _ descriptor: Int32, _ name: String, _ tls: TLSServer?, _ limit: ClientLimit?, on loop: EventLoop,
        _ accepted: @escaping @Sendable (StreamConnection) -> Void
    ) {
        (self.descriptor, self.name, self.tls, self.limit) = (descriptor, name, tls, limit)
        self.loop = loop
        self.accepted = accepted
        spare = Self.openSpare()
        loop.post { [self] in loop.add(descriptor, self) }
    }

    private static func openSpare() -> Int32 { open("/dev/null", O_RDONLY | O_CLOEXEC) }

    func ready(_ readiness: Readiness) {
        // A few at a time, so that a crowd at the door does not keep those inside waiting.
        for _ in 0..<64 {
            guard descriptor >= 0 else { return }
            let made = outrigger_accept(descriptor)
            guard made >= 0 else {
                guard errno == EMFILE || errno == ENFILE else { return }
                Log.error("no descriptor is left for a client", ["address": name])
                guard sendOneAway() else { return pause() }
                continue
            }
            guard let limit else {
                accepted(StreamConnection(made, on: loop, with: StreamPeer(of: made), tls: tls?.session()))
                continue
            }
            guard let place = limit.enter() else {
                Log.warn("a client is refused: there are too many", ["address": name, "max_clients": "\(limit.most)"])
                refuse(made)
                continue
            }
            let client = StreamConnection(made, on: loop, with: StreamPeer(of: made), tls: tls?.session())
            client.place = place
            accepted(client)
        }
    }

    /// - Returns: whether somebody was there, and there was a descriptor to do it with.
    private func sendOneAway() -> Bool {
        guard spare >= 0 else { return false }
        Glibc.close(spare)
        defer { spare = Self.openSpare() }
        let made = outrigger_accept(descriptor)
        guard made >= 0 else { return false }
        refuse(made)
        return true
    }

    private func refuse(_ client: Int32) {
        limit?.refused()
        // Under TLS nobody could read it.
        if tls == nil, let words = limit?.refusal {
            words.withUnsafeBytes { _ = send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            shutdown(client, Int32(SHUT_WR))
            // What was not read when the socket closes would take the words away from the other side.
            _ = read(client, loop.scratch.baseAddress, loop.scratch.count)
        }
        Glibc.close(client)
    }

    private func pause() {
        loop.change(descriptor, to: [])
        loop.after(milliseconds: Self.pauseMs) { [self] in
            guard descriptor >= 0 else { return }
            if spare < 0 { spare = Self.openSpare() }
            loop.change(descriptor, to: .input)
        }
    }

    func close() {
        loop.post { [self] in
            guard descriptor >= 0 else { return }
            loop.remove(descriptor)
            Glibc.close(descriptor)
            if spare >= 0 { Glibc.close(spare) }
            (descriptor, spare) = (-1, -1)
        }
    }
}
