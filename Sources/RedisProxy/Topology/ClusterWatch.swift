import Runtime

/// Keeps a cluster's map right: carries out what `ClusterTopology` says. Only for the loop's thread.
public final class ClusterWatch: @unchecked Sendable {
    private var topology: ClusterTopology
    private let client: TopologyClient
    private let login: TopologyLogin
    private let alarm: LoopAlarm
    private let changed: (SlotMap) -> Void
    private var isStopped = false
    /// Whether that nobody answers has been said.
    private var hasComplained = false

    /// A node answers so fast, or the next one is asked.
    private static let patienceMilliseconds = 1000

    public var map: SlotMap { topology.map }

    /// - Parameters:
    ///   - login: as for clients' commands.
    ///   - changed: is called with each new map.
    public init(
        _ settings: ClusterSettings, login: TopologyLogin, client: TopologyClient, after: @escaping LoopTimer,
        changed: @escaping (SlotMap) -> Void
    ) {
        topology = ClusterTopology(seeds: settings.addresses, at: .now)
        self.login = login
        self.client = client
        self.changed = changed
        alarm = LoopAlarm(after)
    }

    public func start() { carryOut(topology.tick(at: .now)) }

    /// Asks for nothing any more.
    public func stop() { isStopped = true }

    public func moved(_ slot: UInt16, to address: NodeAddress) {
        carryOut(topology.moved(slot, to: address, at: .now))
    }

    /// A node cannot be reached, the cluster is down, or a slot belongs to nobody.
    public func doubted() { carryOut(topology.doubted(at: .now)) }

    private func carryOut(_ steps: [ClusterTopology.Step]) {
        for step in steps {
            switch step {
            case .ask(let node): ask(node)
            case .changed: changed(topology.map)
            case .nobodyAnswered: complain()
            }
        }
        guard !isStopped, let due = topology.due else { return }
        alarm.ring(at: due) { [weak self] in
            guard let self, !isStopped else { return }
            carryOut(topology.tick(at: .now))
        }
    }

    private func complain() {
        guard !hasComplained else { return }
        hasComplained = true
        Log.error("no node of the Redis cluster tells its slots; trying again every second")
    }

    private func ask(_ node: NodeAddress) {
        client.ask([["CLUSTER", "SLOTS"]], of: node, as: login, within: Self.patienceMilliseconds) {
            [weak self] answers in
            guard let self, !isStopped else { return }
            do throws(TopologyFault) {
                let map = try SlotMap(slots: try answers.get()[0], asked: node)
                hasComplained = false
                carryOut(topology.answered(map, by: node, at: .now))
            } catch {
                Log.debug(
                    "a node of the Redis cluster does not tell its slots", ["node": "\(node)", "why": "\(error)"])
                carryOut(topology.failed(node, at: .now))
            }
        }
    }
}
