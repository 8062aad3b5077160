import Network
import Runtime

/// Keeps a relay at the master that Sentinels name. For the loop's thread.
final class SentinelMaster {
    private unowned let relay: Relay
    private let client: TopologyClient
    private var watch: SentinelWatch?
    /// The one that Sentinels named last; its name may still be looked up.
    private var wanted: NodeAddress?

    init(_ settings: SentinelSettings, _ relay: Relay) {
        self.relay = relay
        let loop = relay.loop
        let after: LoopTimer = { loop.after(milliseconds: $0, $1) }
        client = TopologyClient(on: loop, tls: relay.options.tls, after: after)
        watch = SentinelWatch(settings, login: relay.options.login, client: client, after: after) { [unowned self] in
            follow($0)
        }
    }

    func start() { watch?.start() }
    func stop() { watch?.stop() }
    func doubted() { watch?.masterDoubted() }

    private func follow(_ change: SentinelWatch.Change) {
        switch change {
        case .drop:
            wanted = nil
            leave()
        case .use(let master):
            wanted = master
            client.lookUp(master) { [weak self] found in self?.use(master, found) }
        }
    }

    private func use(_ master: NodeAddress, _ found: Result<StreamAddress, TopologyFault>) {
        guard wanted == master else { return }
        switch found {
        case .success(let address):
            leave()
            relay.home.become(master, at: address)
            Log.info("Sentinels name the master", ["master": "\(master)"])
        case .failure(let fault):
            Log.error("the master that Sentinels name is not found", ["master": "\(master)", "why": "\(fault)"])
            relay.loop.after(milliseconds: 1000) { [weak self] in
                guard let self, wanted == master else { return }
                follow(.use(master))
            }
        }
    }

    /// What is under way there is given up.
    private func leave() {
        guard relay.home.address != nil else { return }
        relay.closeConnections()
        relay.home.become(relay.home.name, at: nil)
    }
}
