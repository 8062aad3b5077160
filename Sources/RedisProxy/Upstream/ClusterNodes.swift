import Runtime

/// The nodes of the cluster behind the proxy, as far as they are known, and their feeds. For the loop's thread.
final class ClusterNodes {
    private unowned let relay: Relay
    private let client: TopologyClient
    private var watch: ClusterWatch?
    private(set) var map = SlotMap()
    /// Grows with every change of `map`.
    private(set) var version = 0
    /// At the places of `map.nodes`.
    private(set) var masters: [RedisNode] = []
    /// Masters, and their replicas.
    private(set) var all: [RedisNode] = []
    private var nodes: [NodeAddress: RedisNode] = [:]
    /// Says no to the local level until the first map is here.
    private let voice: FeedChorus.Voice?

    init(_ settings: ClusterSettings, _ relay: Relay) {
        self.relay = relay
        let loop = relay.loop
        let after: LoopTimer = { loop.after(milliseconds: $0, $1) }
        client = TopologyClient(on: loop, tls: relay.options.tls, after: after)
        voice = relay.chorus?.voice()
        watch = ClusterWatch(settings, login: relay.options.login, client: client, after: after) { [unowned self] in
            take($0)
        }
    }

    func start() { watch?.start() }

    func stop() {
        watch?.stop()
        for node in nodes.values { node.feed?.end() }
    }

    // MARK: Who is asked

    /// The master that has a slot; where nobody knows, the node that is nowhere.
    func node(of slot: UInt16) -> RedisNode { map.place(of: slot).map { masters[$0] } ?? relay.home }

    /// Not the same for all clients.
    func anyNode(for client: Int) -> RedisNode { masters.isEmpty ? relay.home : masters[client % masters.count] }

    /// Always the same, as long as the cluster is.
    var oneNode: RedisNode { masters.first ?? relay.home }

    /// Also one that no map has named yet.
    func node(at name: NodeAddress) -> RedisNode {
        if let known = nodes[name] { return known }
        let fresh = RedisNode(name)
        fresh.breakerTurned = { [unowned relay] in relay.breakerTurned($0) }
        fresh.isRetired = !map.knows(name)
        nodes[name] = fresh
        find(fresh)
        return fresh
    }

    var hasOpenBreaker: Bool { nodes.values.contains { !$0.breaker.isClosed } }

    // MARK: What is known

    /// As a node says that it has been asked about one of its former slots.
    func moved(_ slot: UInt16, to address: NodeAddress) { watch?.moved(slot, to: address) }
    func doubted() { watch?.doubted() }

    private func find(_ node: RedisNode) {
        client.lookUp(node.name) { [weak self, weak node] found in
            guard let self, let node else { return }
            switch found {
            case .success(let address): node.become(node.name, at: address)
            case .failure(let fault):
                Log.error("a node of the cluster is not found", ["node": "\(node.name)", "why": "\(fault)"])
                relay.loop.after(milliseconds: 1000) { [weak self, weak node] in
                    guard let self, let node, nodes[node.name] === node else { return }
                    find(node)
                }
            }
        }
    }

    private func take(_ map: SlotMap) {
        self.map = map
        version += 1
        masters = map.nodes.map { node(at: $0.address) }
        all = masters + map.nodes.flatMap(\.replicas).map { node(at: $0) }
        for (name, node) in nodes { node.isRetired = !map.knows(name) }
        Log.info(
            "the map of the cluster has changed", ["masters": "\(masters.count)", "uncovered": "\(map.uncovered)"])
        guard let reader = relay.reader, let chorus = relay.chorus else { return }
        for node in nodes.values {
            let isMaster = masters.contains { $0 === node }
            if isMaster, node.feed == nil {
                let feed = InvalidationFeed(relay, node, reader.local, chorus.voice())
                node.feed = feed
                feed.start()
            } else if !isMaster, let feed = node.feed {
                node.feed = nil
                feed.end()
            }
        }
        // Keys come to another node without a message about them there.
        reader.local.invalidateAll()
        relay.metrics.invalidations.flushes.add()
        voice?.set(true)
    }

    /// Forgets nodes that have left the cluster once nobody is in contact with them.
    func forgetRetired(_ isInContact: (RedisNode) -> Bool) {
        let gone = nodes.filter { $0.value.isRetired && !isInContact($0.value) }
        guard !gone.isEmpty else { return }
        for name in gone.keys { nodes[name] = nil }
        relay.tellBreakers()
    }
}
