/// Finds the master that Sentinels watch, and notices when it is another. Takes events with their time and says what to
/// do; somebody else asks, listens and waits (`SentinelWatch`).
///
/// In a round all known Sentinels are asked. The address that more than half of them name, or else the one that most of
/// those name who answered, is asked for its `ROLE` and used once it says that it is a master. A message `+switch-master`
/// is believed as much as one Sentinel: the new master has to say so itself. Sentinels that cannot be reached change
/// nothing: the master may be well without them.
public struct Sentinel: Sendable {
    public enum Step: Equatable, Sendable {
        /// Ask this Sentinel where the master is and who the others are; tell with `answered` or `failed`.
        case ask(NodeAddress)
        /// Listen to its `+switch-master`, until `unsubscribe` or until the connection is lost.
        case subscribe(to: NodeAddress)
        case unsubscribe(from: NodeAddress)
        /// Ask this server for its `ROLE`; tell with `checked`.
        case check(NodeAddress)
        /// The master is here from now on.
        case use(NodeAddress)
        /// Connections to this server are of no more use: it is no master any more.
        case drop(NodeAddress)
    }

    /// What a server says of itself.
    public enum Role: Sendable {
        case master, other
        /// It did not answer, or refused to tell.
        case unreachable
    }

    public typealias Instant = ContinuousClock.Instant

    /// Nil until one was found, and when it has become a replica.
    public private(set) var master: NodeAddress?
    /// When `tick` is to be called next; nil while somebody is asked.
    public var due: Instant? { if case .idle = phase { nextRound } else { nil } }

    private let configured: [NodeAddress]
    /// Those that others told of in the last round.
    private var discovered: [NodeAddress] = []
    private var subscribed: Set<NodeAddress> = []
    private var phase = Phase.idle
    private var startedAt: Instant?
    private var nextRound: Instant

    private enum Phase {
        case idle
        case asking(Round)
        /// The one that is asked for its role, and who is asked after it.
        case checking(NodeAddress, rest: [NodeAddress])
    }

    private struct Round {
        var waiting: Set<NodeAddress>
        let majority: Int
        var votes: [NodeAddress: Int] = [:]
        var heard: [NodeAddress] = []
    }

    /// More than anybody runs; what answers tell beyond is left out.
    private static let mostSentinels = 16
    /// While something is wrong rounds are so far apart, and never closer.
    private static let pause = Duration.seconds(1)
    private static let period = Duration.seconds(10)

    /// - Parameter sentinels: at least one; more than 16 are left out.
    public init(sentinels: [NodeAddress], at now: Instant) {
        precondition(!sentinels.isEmpty)
        configured = Array(sentinels.prefix(Self.mostSentinels))
        nextRound = now
    }

    // MARK: Events

    /// The time has come, or has not.
    public mutating func tick(at now: Instant) -> [Step] {
        guard case .idle = phase, now >= nextRound else { return [] }
        startedAt = now
        let all = known
        phase = .asking(Round(waiting: Set(all), majority: all.count / 2 + 1))
        return all.map { .ask($0) }
    }

    /// - Parameters:
    ///   - named: nil where this Sentinel knows of no master.
    ///   - others: further Sentinels it knows.
    public mutating func answered(
        _ named: NodeAddress?, others: [NodeAddress], by sentinel: NodeAddress, at now: Instant
    ) -> [Step] {
        let listening: [Step] = subscribed.insert(sentinel).inserted ? [.subscribe(to: sentinel)] : []
        guard case .asking(var round) = phase, round.waiting.remove(sentinel) != nil else { return listening }
        if let named { round.votes[named, default: 0] += 1 }
        round.heard += others
        return listening + went(on: round, at: now)
    }

    /// A Sentinel did not answer.
    public mutating func failed(_ sentinel: NodeAddress, at now: Instant) -> [Step] {
        let deaf: [Step] = subscribed.remove(sentinel) != nil ? [.unsubscribe(from: sentinel)] : []
        guard case .asking(var round) = phase, round.waiting.remove(sentinel) != nil else { return deaf }
        return deaf + went(on: round, at: now)
    }

    /// The connection that listened to a Sentinel is lost.
    public mutating func unsubscribed(from sentinel: NodeAddress, at now: Instant) -> [Step] {
        subscribed.remove(sentinel)
        return masterDoubted(at: now)
    }

    /// A Sentinel tells by message that the master is another.
    public mutating func switched(to address: NodeAddress, at now: Instant) -> [Step] {
        if address == master { return [] }
        if case .checking(address, _) = phase { return [] }
        return check([address], at: now)
    }

    /// A server told its role, or did not.
    public mutating func checked(_ address: NodeAddress, _ role: Role, at now: Instant) -> [Step] {
        guard case .checking(address, let rest) = phase else { return [] }
        switch role {
        case .master:
            phase = .idle
            nextRound = now + Self.period
            guard address != master else { return [] }
            let former = master.map { [Step.drop($0)] } ?? []
            master = address
            return former + [.use(address)]
        case .other:
            guard address == master else { return check(rest, at: now) }
            master = nil
            return [.drop(address)] + check(rest, at: now)
        case .unreachable: return check(rest, at: now)
        }
    }

    /// The master cannot be reached, or says that it is a replica.
    public mutating func masterDoubted(at now: Instant) -> [Step] {
        nextRound = min(nextRound, startedAt.map { $0 + Self.pause } ?? now)
        return tick(at: now)
    }

    // MARK: Deciding

    private var known: [NodeAddress] {
        var all: [NodeAddress] = []
        for address in configured + discovered where all.count < Self.mostSentinels && !all.contains(address) {
            all.append(address)
        }
        return all
    }

    private mutating func went(on round: Round, at now: Instant) -> [Step] {
        let leader = round.votes.values.max() ?? 0
        guard round.waiting.isEmpty || leader >= round.majority else {
            phase = .asking(round)
            return []
        }
        if !round.heard.isEmpty { discovered = round.heard }
        // Of two with as many votes the one that is new: somebody has seen the master change.
        let candidates = round.votes.sorted { left, right in
            if left.value != right.value { return left.value > right.value }
            if (left.key == master) != (right.key == master) { return right.key == master }
            return left.key.description < right.key.description
        }
        return check(candidates.map(\.key), at: now)
    }

    private mutating func check(_ candidates: [NodeAddress], at now: Instant) -> [Step] {
        guard let next = candidates.first else {
            phase = .idle
            nextRound = now + Self.pause
            return []
        }
        phase = .checking(next, rest: Array(candidates.dropFirst()))
        return [.check(next)]
    }
}
