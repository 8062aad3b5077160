/// The connections of one identity to one server: some that all its clients share, one for what takes long, and those that
/// are lent to one client at a time. For the loop's thread.
final class NodeConnections {
    let node: RedisNode
    private let relay: Relay
    private let identity: Identity
    /// Several, so that the reply to a large read does not delay everybody.
    let fast: [Upstream]
    let slow: Upstream
    /// For reads, while writes are held back on the others.
    private var detour: Upstream?
    /// Connections about which Redis has been asked and has not answered.
    private var asked: Set<ObjectIdentifier> = []
    private var idle: [Upstream] = []
    private var lent: [ObjectIdentifier: Upstream] = [:]

    private static let mostIdle = 16

    init(_ relay: Relay, _ node: RedisNode, _ identity: Identity) {
        self.relay = relay
        self.node = node
        self.identity = identity
        fast = (0..<relay.options.connections).map { _ in Upstream(relay, node, identity, .fast) }
        slow = Upstream(relay, node, identity, .slow)
    }

    /// A connection for one client, until `giveBack` or `discard`.
    func lease() -> Upstream {
        relay.metrics.leases.add()
        let upstream = idle.popLast() ?? Upstream(relay, node, identity, .leased)
        lent[ObjectIdentifier(upstream)] = upstream
        return upstream
    }

    /// Takes a connection back that is as it was when it was lent.
    func giveBack(_ upstream: Upstream) {
        guard lent.removeValue(forKey: ObjectIdentifier(upstream)) != nil else { return }
        guard upstream.isConnected, upstream.isIdle, idle.count < Self.mostIdle else { return upstream.close() }
        idle.append(upstream)
    }

    /// Closes a connection that was lent, and whatever Redis holds for it.
    func discard(_ upstream: Upstream) {
        lent[ObjectIdentifier(upstream)] = nil
        upstream.close()
    }

    /// One that stands, for another that cannot be opened.
    func standIn(for upstream: Upstream) -> Upstream? {
        (fast + [slow]).first { $0 !== upstream && $0.hasBegun }
    }

    /// Whether nobody waits for anything.
    var isIdle: Bool { lent.isEmpty && slow.isIdle && fast.allSatisfy { $0.isIdle } }

    /// Whether a write that is the oldest on a connection is held back, is told by Redis: it answers a `PING` that was asked
    /// later. If Redis is busy or gone, it does not.
    private func lookForHeldBack(_ upstream: Upstream, nowMs: Int) {
        guard let suspect = upstream.suspect(nowMs: nowMs), asked.insert(ObjectIdentifier(upstream)).inserted else {
            return
        }
        let detour = self.detour ?? Upstream(relay, node, identity, .fast)
        self.detour = detour
        detour.ask(Array("*1\r\n$4\r\nPING\r\n".utf8)) { [weak self, weak upstream] reply, kind in
            if let upstream { self?.asked.remove(ObjectIdentifier(upstream)) }
            guard reply != nil, kind == .status else { return }
            upstream?.isHeldBack(suspect, detour: detour)
        }
    }

    func checkDeadlines(nowMs: Int) {
        for upstream in fast { upstream.checkDeadline(nowMs: nowMs) }
        slow.checkDeadline(nowMs: nowMs)
        detour?.checkDeadline(nowMs: nowMs)
        for upstream in fast + [slow] { lookForHeldBack(upstream, nowMs: nowMs) }
        for upstream in Array(lent.values) { upstream.checkDeadline(nowMs: nowMs) }
        idle.removeAll { !$0.isConnected }
    }

    func close() {
        detour?.close()
        for upstream in fast + [slow] + idle + Array(lent.values) { upstream.close() }
        (idle, lent) = ([], [:])
    }
}
