import Runtime

/// Follows the master that Sentinels watch: carries out what `Sentinel` says. Only for the loop's thread.
public final class SentinelWatch: @unchecked Sendable {
    public enum Change: Equatable, Sendable {
        /// The master is here from now on.
        case use(NodeAddress)
        /// It is no master any more: close the connections to it.
        case drop(NodeAddress)
    }

    private var sentinel: Sentinel
    private let settings: SentinelSettings
    private let login: TopologyLogin
    private let client: TopologyClient
    private let alarm: LoopAlarm
    private let changed: (Change) -> Void
    private var subscriptions: [NodeAddress: TopologySubscription] = [:]
    private var isStopped = false
    /// The server of which it was said that it does not tell its role.
    private var complainedOf: NodeAddress?

    /// Sentinels and servers answer so fast, or count as gone.
    private static let patienceMilliseconds = 1000

    /// Nil until one was found.
    public var master: NodeAddress? { sentinel.master }

    /// - Parameters:
    ///   - login: to the master; the Sentinels' own is among the settings.
    ///   - changed: is called in the order in which things happen.
    public init(
        _ settings: SentinelSettings, login: TopologyLogin, client: TopologyClient, after: @escaping LoopTimer,
        changed: @escaping (Change) -> Void
    ) {
        sentinel = Sentinel(sentinels: settings.addresses, at: .now)
        self.settings = settings
        self.login = login
        self.client = client
        self.changed = changed
        alarm = LoopAlarm(after)
    }

    public func start() { carryOut(sentinel.tick(at: .now)) }

    /// Asks and listens no more.
    public func stop() {
        isStopped = true
        for subscription in subscriptions.values { subscription.close() }
        subscriptions = [:]
    }

    /// The master cannot be reached, or answers `READONLY`.
    public func masterDoubted() { carryOut(sentinel.masterDoubted(at: .now)) }

    private func carryOut(_ steps: [Sentinel.Step]) {
        guard !isStopped else { return }
        for step in steps {
            switch step {
            case .ask(let address): ask(address)
            case .check(let address): check(address)
            case .subscribe(let address): subscribe(to: address)
            case .unsubscribe(let address): subscriptions.removeValue(forKey: address)?.close()
            case .use(let address): changed(.use(address))
            case .drop(let address): changed(.drop(address))
            }
        }
        guard let due = sentinel.due else { return }
        alarm.ring(at: due) { [weak self] in
            guard let self else { return }
            carryOut(sentinel.tick(at: .now))
        }
    }

    private func ask(_ address: NodeAddress) {
        let questions = [
            ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", settings.master], ["SENTINEL", "SENTINELS", settings.master],
        ]
        client.ask(questions, of: address, as: settings.login, within: Self.patienceMilliseconds) {
            [weak self] answers in
            guard let self else { return }
            do throws(TopologyFault) {
                let replies = try answers.get()
                let master = try SentinelReplies.master(replies[0])
                // Of a master that it does not know it tells no Sentinels either, but an error.
                let others = master == nil ? [] : try SentinelReplies.sentinels(replies[1])
                carryOut(sentinel.answered(master, others: others, by: address, at: .now))
            } catch {
                Log.debug("a Sentinel does not answer", ["sentinel": "\(address)", "why": "\(error)"])
                carryOut(sentinel.failed(address, at: .now))
            }
        }
    }

    private func check(_ address: NodeAddress) {
        client.ask([["ROLE"]], of: address, as: login, within: Self.patienceMilliseconds) { [weak self] answers in
            guard let self else { return }
            carryOut(sentinel.checked(address, role(of: address, answers), at: .now))
        }
    }

    private func role(of address: NodeAddress, _ answers: TopologyClient.Answers) -> Sentinel.Role {
        do throws(TopologyFault) {
            let isMaster = try SentinelReplies.isMaster(try answers.get()[0])
            complainedOf = nil
            return isMaster ? .master : .other
        } catch {
            if complainedOf != address {
                complainedOf = address
                Log.error("the master that Sentinels name does not answer", ["node": "\(address)", "why": "\(error)"])
            }
            return .unreachable
        }
    }

    private func subscribe(to address: NodeAddress) {
        subscriptions[address] = client.subscribe(
            to: "+switch-master", of: address, as: settings.login,
            heard: { [weak self] message in
                guard let self, let master = SentinelReplies.switched(message, master: settings.master) else { return }
                carryOut(sentinel.switched(to: master, at: .now))
            },
            lost: { [weak self] _ in
                guard let self else { return }
                subscriptions[address] = nil
                carryOut(sentinel.unsubscribed(from: address, at: .now))
            })
    }
}
