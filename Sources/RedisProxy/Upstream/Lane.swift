/// The connections to Redis that speak for one identity: to the one server there is, or to the nodes of a cluster. For the
/// loop's thread.
final class Lane {
    let identity: Identity
    private let relay: Relay
    /// To the only server; in a cluster to nobody.
    private let home: NodeConnections
    private var others: [ObjectIdentifier: NodeConnections] = [:]
    /// Clients that speak for this identity.
    var clients = 0

    init(_ relay: Relay, _ identity: Identity) {
        self.relay = relay
        self.identity = identity
        home = NodeConnections(relay, relay.home, identity)
    }

    func connections(to node: RedisNode) -> NodeConnections {
        if node === home.node { return home }
        if let known = others[ObjectIdentifier(node)] { return known }
        let fresh = NodeConnections(relay, node, identity)
        others[ObjectIdentifier(node)] = fresh
        return fresh
    }

    /// A connection for one client, until `giveBack` or `discard`.
    func lease(on node: RedisNode) -> Upstream { connections(to: node).lease() }

    /// The same, connected, and with the client's name. It is not connected where that failed at once.
    func lease(on node: RedisNode, naming name: [UInt8]) -> Upstream {
        let upstream = lease(on: node)
        upstream.setName(name)
        return upstream
    }

    /// Takes a connection back that is as it was when it was lent.
    func giveBack(_ upstream: Upstream) { connections(to: upstream.node).giveBack(upstream) }

    /// Closes a connection that was lent, and whatever Redis holds for it.
    func discard(_ upstream: Upstream) { connections(to: upstream.node).discard(upstream) }

    func checkDeadlines(nowMs: Int) {
        home.checkDeadlines(nowMs: nowMs)
        guard !others.isEmpty else { return }
        for connections in Array(others.values) {
            connections.checkDeadlines(nowMs: nowMs)
            guard connections.node.isRetired, connections.isIdle else { continue }
            others[ObjectIdentifier(connections.node)] = nil
            connections.close()
        }
    }

    func isIn(contactWith node: RedisNode) -> Bool { others[ObjectIdentifier(node)] != nil }

    func close() {
        home.close()
        for connections in Array(others.values) { connections.close() }
    }
}
