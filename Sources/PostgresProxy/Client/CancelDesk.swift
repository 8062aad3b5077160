import Network
import Runtime

/// Cancel requests: whose they are, and on whose behalf one is sent. A request is looked at before anything is sent, is
/// sent only while a statement of that client runs, and its server serves nobody else before Postgres has closed the
/// connection that carried it. For the loop's thread.
final class CancelDesk {
    private unowned let pooler: Pooler
    private var keys: [CancelKey: Held] = [:]
    private struct Held { weak var client: ClientSession? }
    private var running: [ObjectIdentifier: Errand] = [:]
    private var queued: [ServerConnection] = []

    /// Connections at once, and requests that may wait for one. Of more, the newest are dropped: Postgres promises nothing.
    private static let mostAtOnce = 16
    private static let mostQueued = 256
    private static let patienceMs = 5_000

    init(_ pooler: Pooler) { self.pooler = pooler }

    func add(_ key: CancelKey, _ client: ClientSession) { keys[key] = Held(client: client) }

    func remove(_ key: CancelKey) { keys[key] = nil }

    func isTaken(_ pid: Int32) -> Bool { pooler.clients(numbered: pid) }

    /// Somebody wants a statement stopped. Whoever guesses learns nothing.
    func request(_ key: CancelKey) {
        pooler.metrics.cancels.add()
        guard let client = keys[key]?.client, client.isOpen else {
            pooler.metrics.unknownCancels.add()
            return
        }
        if client.cancelWait() { return }
        guard let server = client.server, !server.isQuiet else { return }
        interrupt(server)
    }

    /// Has Postgres stop what a server is doing. Those that ask while another request is on its way are one with it.
    func interrupt(_ server: ServerConnection) {
        guard server.isReady, server.welcome.pid != 0, server.cancels == 0 else { return }
        guard running.count < Self.mostAtOnce else {
            guard queued.count < Self.mostQueued, !queued.contains(where: { $0 === server }) else {
                pooler.metrics.droppedCancels.add()
                return
            }
            queued.append(server)
            return
        }
        server.cancels += 1
        let errand = Errand(server, untilMs: pooler.loop.nowMs + Self.patienceMs) { [weak self] errand in
            self?.finished(errand)
        }
        running[ObjectIdentifier(errand)] = errand
        errand.start(on: pooler.loop)
    }

    private func finished(_ errand: Errand) {
        guard running.removeValue(forKey: ObjectIdentifier(errand)) != nil else { return }
        let server = errand.server
        server.cancels -= 1
        server.pool.settled(server)
        while running.count < Self.mostAtOnce, !queued.isEmpty {
            let next = queued.removeFirst()
            if !next.isQuiet { interrupt(next) }
        }
    }

    func sweep(nowMs: Int) { for errand in Array(running.values) where errand.untilMs < nowMs { errand.giveUp() } }

    /// One request on its way, on a connection of its own.
    private final class Errand: StreamOwner {
        let server: ServerConnection
        let untilMs: Int
        private var connection: StreamConnection?
        private let finished: (Errand) -> Void
        private var tls: TLSClient?
        private var isDone = false

        init(_ server: ServerConnection, untilMs: Int, finished: @escaping (Errand) -> Void) {
            (self.server, self.untilMs, self.finished) = (server, untilMs, finished)
        }

        func start(on loop: EventLoop) {
            guard let connection = server.host.address.connect(on: loop) else {
                // Not within the call of whoever asks.
                loop.after(milliseconds: 0) { [self] in finish() }
                return
            }
            self.connection = connection
            connection.owner = self
            if server.usesTLS, let tls = server.host.tls {
                self.tls = tls
                connection.send { bytes in
                    bytes.append(int32: 8)
                    bytes.append(int32: 1234 << 16 | 5679)
                }
            } else {
                sendRequest()
            }
        }

        private func sendRequest() {
            connection?.send { bytes in
                bytes.append(int32: 12 + server.welcome.secret.count)
                bytes.append(int32: 1234 << 16 | 5678)
                bytes.append(int32: Int(server.welcome.pid))
                bytes.append(contentsOf: server.welcome.secret)
            }
        }

        func secured(_ connection: StreamConnection) { sendRequest() }

        func received(_ connection: StreamConnection) {
            var answer: UInt8?
            connection.takeInput { bytes in
                if bytes.count > 0 { answer = bytes[0] }
                return bytes.count
            }
            guard let tls, let answer, !connection.usesTLS else { return }
            guard answer == UInt8(ascii: "S") else { return giveUp() }
            connection.secure(tls)
        }

        func ended(_ connection: StreamConnection) { connection.close() }

        func drained(_ connection: StreamConnection) {}

        func closed(_ connection: StreamConnection) { finish() }

        func giveUp() {
            connection?.close()
            finish()
        }

        private func finish() {
            guard !isDone else { return }
            isDone = true
            connection = nil
            finished(self)
        }
    }
}
