import Network
import Runtime
import Synchronization

/// Owns one connection and tells what came over it.
final class Recorder: StreamOwner, Sendable {
    struct Seen: Sendable {
        var bytes: [UInt8] = []
        var isSecured = false
        var isClosed = false
        var hasDrained = false
        var failure: StreamFailure?
        var peer: StreamPeer?

        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    private let state = Mutex(Seen())
    private let connection = Mutex<Held?>(nil)
    private let loop: EventLoop

    /// Only touched on the loop's thread.
    private struct Held: @unchecked Sendable { let connection: StreamConnection }

    var seen: Seen { state.withLock { $0 } }

    init(on loop: EventLoop) { self.loop = loop }

    /// Connects, and says something at once.
    convenience init(
        to address: StreamAddress, tls: TLSClient? = nil, on loop: EventLoop, saying bytes: [UInt8] = []
    ) {
        self.init(on: loop)
        loop.post { [self] in
            guard let made = address.connect(on: loop, tls: tls) else {
                return state.withLock { $0.isClosed = true }
            }
            adopt(made)
            made.send(bytes.span)
        }
    }

    /// On the loop's thread.
    func adopt(_ made: StreamConnection) {
        made.owner = self
        let held = Held(connection: made)
        connection.withLock { $0 = held }
        state.withLock { $0.peer = made.peer }
    }

    /// Does something with the connection, on the loop's thread.
    func act(_ body: @escaping @Sendable (StreamConnection) -> Void) {
        loop.post { [self] in
            if let held = connection.withLock({ $0 }) { body(held.connection) }
        }
    }

    func secured(_ connection: StreamConnection) { state.withLock { $0.isSecured = true } }
    func drained(_ connection: StreamConnection) { state.withLock { $0.hasDrained = true } }

    func received(_ connection: StreamConnection) {
        connection.takeInput { input in
            state.withLock { seen in for index in input.indices { seen.bytes.append(input[index]) } }
            return input.count
        }
    }

    func closed(_ connection: StreamConnection) {
        state.withLock { ($0.isClosed, $0.failure) = (true, connection.failure) }
    }
}

/// Sends back what it gets, and reads no more than its client reads.
final class Echo: StreamOwner, @unchecked Sendable {
    // For the loop's thread.
    private var connections: [ObjectIdentifier: StreamConnection] = [:]
    private let state = Mutex((mostUnsent: 0, received: 0, failures: [StreamFailure](), peers: [StreamPeer]()))
    private static let mostUnsentBytes = 256 << 10
    private let endsAfterOne: Bool

    /// - Parameter endsAfterOne: hangs up after its first answer.
    init(endsAfterOne: Bool = false) { self.endsAfterOne = endsAfterOne }

    var mostUnsent: Int { state.withLock { $0.mostUnsent } }
    var receivedBytes: Int { state.withLock { $0.received } }
    var failures: [StreamFailure] { state.withLock { $0.failures } }
    var peers: [StreamPeer] { state.withLock { $0.peers } }

    func accept(_ connection: StreamConnection) {
        connections[ObjectIdentifier(connection)] = connection
        connection.owner = self
        state.withLock { $0.peers.append(connection.peer) }
    }

    func received(_ connection: StreamConnection) {
        connection.takeInput { input in
            state.withLock { $0.received += input.count }
            connection.send(input)
            return input.count
        }
        state.withLock { $0.mostUnsent = max($0.mostUnsent, connection.unsentBytes) }
        if endsAfterOne { connection.closeWhenSent() }
        if connection.unsentBytes > Self.mostUnsentBytes { connection.pause() }
    }

    func drained(_ connection: StreamConnection) { connection.resume() }

    func closed(_ connection: StreamConnection) {
        connections[ObjectIdentifier(connection)] = nil
        if let failure = connection.failure { state.withLock { $0.failures.append(failure) } }
    }
}

struct NeverHappened: Error {}

/// Waits for what happens on another thread.
func until(_ patience: Duration = .seconds(120), _ isTrue: () -> Bool) async throws {
    let deadline = Deadline.after(patience)
    while !isTrue() {
        guard !deadline.hasPassed else { throw NeverHappened() }
        try await Task.sleep(for: .milliseconds(2))
    }
}
