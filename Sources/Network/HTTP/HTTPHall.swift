import Runtime
import Synchronization

/// The connections of a server. Only for the loop's thread, but for what is counted.
final class HTTPHall: @unchecked Sendable {
    let limits: HTTPServer.Limits
    let loop: EventLoop
    let screen: HTTPServer.Screen
    let handler: HTTPServer.Handler
    let counts = HTTPCounts()
    private(set) var isClosing = false
    private var sessions: [ObjectIdentifier: HTTPSession] = [:]
    private var byNetwork: [String: Int] = [:]
    private var isOver = false

    init(
        _ limits: HTTPServer.Limits, _ loop: EventLoop, _ screen: @escaping HTTPServer.Screen,
        _ handler: @escaping HTTPServer.Handler
    ) {
        (self.limits, self.loop, self.screen, self.handler) = (limits, loop, screen, handler)
    }

    /// How often deadlines are looked at.
    private var sweepMs: Int {
        let shortest = min(limits.header, limits.body, limits.idle)
        return min(500, max(10, Int(clamping: shortest.milliseconds) / 4))
    }

    func begin() { loop.post { [self] in sweepLater() } }

    private func sweepLater() {
        loop.after(milliseconds: sweepMs) { [self] in
            guard !isOver else { return }
            for session in Array(sessions.values) { session.checkTime() }
            sweepLater()
        }
    }

    func enter(_ connection: StreamConnection) {
        let network = connection.peer.network
        guard !isClosing, makeRoom(for: connection.peer, network) else {
            counts.turnedAway.add(1, ordering: .relaxed)
            connection.send { $0.append(contentsOf: Self.tooMany.utf8) }
            return connection.closeWhenSent()
        }
        let session = HTTPSession(connection, in: self, from: network)
        sessions[ObjectIdentifier(session)] = session
        byNetwork[network, default: 0] += 1
        counts.open.add(1, ordering: .relaxed)
    }

    private static let tooMany =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 21\r\nConnection: close\r\n\r\ntoo many connections\n"

    /// Whether somebody may come in, for whom another may have to go.
    private func makeRoom(for peer: StreamPeer, _ network: String) -> Bool {
        if byNetwork[network, default: 0] >= limits.perAddress ?? max(1, limits.connections / 2) {
            guard evict(where: { $0.network == network }) else {
                return peer.isLocal && sessions.count < limits.connections + limits.reserved
            }
        }
        if sessions.count < limits.connections { return true }
        // Whoever has most of the places is the first to give one back.
        let crowd = byNetwork.max { $0.value < $1.value }?.key
        if evict(where: { $0.network == crowd }) || evict(where: { _ in true }) { return true }
        return peer.isLocal && sessions.count < limits.connections + limits.reserved
    }

    /// Closes the connection that has let us wait longest.
    private func evict(where isMeant: (HTTPSession) -> Bool) -> Bool {
        var longest: HTTPSession?
        for session in sessions.values where isMeant(session) && session.isWaitedFor {
            if session.sinceMs < longest?.sinceMs ?? .max { longest = session }
        }
        guard let longest else { return false }
        counts.evicted.add(1, ordering: .relaxed)
        longest.end()
        return true
    }

    func left(_ session: HTTPSession) {
        guard sessions.removeValue(forKey: ObjectIdentifier(session)) != nil else { return }
        let rest = byNetwork[session.network, default: 1] - 1
        byNetwork[session.network] = rest > 0 ? rest : nil
        counts.open.subtract(1, ordering: .releasing)
    }

    var pendingBytes: Int { sessions.values.reduce(0) { $0 + $1.unsentBytes } }

    func close() {
        isClosing = true
        for session in Array(sessions.values) { session.finish() }
    }

    func clear() {
        isClosing = true
        isOver = true
        for session in Array(sessions.values) { session.end() }
    }
}
