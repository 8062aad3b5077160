/// What is known of a cluster, and when to ask for more. Takes events with their time and says what to do; somebody else
/// asks and waits (`ClusterWatch`).
public struct ClusterTopology: Sendable {
    public enum Step: Equatable, Sendable {
        /// Ask this node for `CLUSTER SLOTS`, and tell with `answered` or `failed`.
        case ask(NodeAddress)
        /// `map` is another than before.
        case changed
        /// No node told anything; the map stays, and all are asked again later.
        case nobodyAnswered
    }

    public typealias Instant = ContinuousClock.Instant

    public private(set) var map = SlotMap()
    /// Grows with every change of `map`.
    public private(set) var version: UInt64 = 0
    /// When `tick` is to be called next; nil while a node is asked.
    public var due: Instant? { asked == nil ? nextRound : nil }

    private let seeds: [NodeAddress]
    private var asked: NodeAddress?
    /// Who else is asked in this round, the next one last.
    private var candidates: [NodeAddress] = []
    private var startedAt: Instant?
    private var nextRound: Instant
    private var rounds = 0

    /// Rounds are at least so far apart, whatever `MOVED` says how often.
    private static let leastPause = Duration.seconds(1)
    /// A map that nobody complains of is asked for so often.
    private static let period = Duration.seconds(30)

    /// - Parameter seeds: some nodes of the cluster; at least one.
    public init(seeds: [NodeAddress], at now: Instant) {
        precondition(!seeds.isEmpty)
        self.seeds = seeds
        nextRound = now
    }

    /// The time has come, or has not.
    public mutating func tick(at now: Instant) -> [Step] {
        guard asked == nil, now >= nextRound else { return [] }
        return begin(at: now)
    }

    /// A node says that a slot is elsewhere: that is believed at once, and the rest of the map asked for.
    public mutating func moved(_ slot: UInt16, to address: NodeAddress, at now: Instant) -> [Step] {
        guard map[slot] != address else { return [] }
        map.move(slot, to: address)
        version += 1
        return [.changed] + doubted(at: now)
    }

    /// The map may be wrong: a node cannot be reached, or says that the cluster is down, or a slot belongs to nobody.
    public mutating func doubted(at now: Instant) -> [Step] {
        nextRound = min(nextRound, startedAt.map { $0 + Self.leastPause } ?? now)
        return tick(at: now)
    }

    public mutating func answered(_ fresh: SlotMap, by node: NodeAddress, at now: Instant) -> [Step] {
        guard node == asked else { return [] }
        // A node that was taken out of the cluster knows of nothing.
        guard fresh.uncovered < KeySlot.count else { return failed(node, at: now) }
        asked = nil
        candidates = []
        guard fresh != map else { return [] }
        map = fresh
        version += 1
        return [.changed]
    }

    public mutating func failed(_ node: NodeAddress, at now: Instant) -> [Step] {
        guard node == asked else { return [] }
        guard let next = candidates.popLast() else {
            asked = nil
            nextRound = now + Self.leastPause
            return [.nobodyAnswered]
        }
        asked = next
        return [.ask(next)]
    }

    private mutating func begin(at now: Instant) -> [Step] {
        startedAt = now
        nextRound = now + Self.period
        var all: [NodeAddress] = []
        var seen: Set<NodeAddress> = []
        for address in map.nodes.map(\.address) + map.nodes.flatMap(\.replicas) + seeds
        where seen.insert(address).inserted {
            all.append(address)
        }
        // Not always the same one: it may be the one that the others have lost.
        let masters = max(1, map.nodes.count)
        let turn = map.nodes.isEmpty ? 0 : rounds % masters
        rounds += 1
        candidates = Array((all[turn..<masters] + all[..<turn] + all[masters...]).reversed())
        asked = candidates.popLast()
        return asked.map { [.ask($0)] } ?? []
    }
}
