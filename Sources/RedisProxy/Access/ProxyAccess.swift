import Metrics
import Network
import Runtime
import Serving
import Synchronization

/// Lets clients in to the Redis proxy, and judges what they give with `AUTH`. Shared by all loops.
public final class ProxyAccess: Sendable {
    private let current: Mutex<ClientRights>
    private let hasRedis: Bool
    private let throttle: Mutex<AuthThrottle>
    private let failures = CounterFamily(
        .counter(
            "outrigger_redis_proxy_auth_failures_total",
            "Clients of the Redis proxy that were not let in, or gave a wrong password."), labelNames: ["reason"])

    /// To be added to the registry.
    public var instruments: [any Instrument] { [failures, waitingFamily] }

    /// Clients that may not do anything yet.
    let waiting: Gauge
    private let waitingFamily = GaugeFamily(
        .gauge(
            "outrigger_redis_proxy_clients_waiting",
            "Clients of the Redis proxy that have not agreed on TLS, or have not given a password they owe."))

    public enum Admission: Sendable, Equatable {
        case admitted(ClientAccess)
        /// What to reply before closing.
        case refused(String)
    }

    public enum Verdict: Sendable, Equatable {
        case accepted(user: [UInt8])
        /// What to reply, as Redis does.
        case refused(String)
        /// `AUTH` goes to Redis over the client's own connection, and a refusal is told to `refusedByRedis`.
        case askRedis
    }

    static let wrong = "WRONGPASS invalid username-password pair or user is disabled."
    static let nothingToGive = """
        ERR AUTH <password> called without any password configured for the default user. \
        Are you sure your configuration is correct?
        """

    /// Clients there may be at once.
    let mostClients: Int

    /// - Parameter hasRedis: there is one behind, which judges where the proxy has no users.
    init(
        _ rule: AccessRule, _ users: ProxyUsers, hasRedis: Bool = false, mostClients: Int = 10_000,
        throttle: AuthThrottle = AuthThrottle()
    ) {
        current = Mutex(ClientRights(rule: rule, users: users))
        self.hasRedis = hasRedis
        self.mostClients = mostClients
        waiting = waitingFamily.with([])
        self.throttle = Mutex(throttle)
        for reason in Reason.allCases { failures.with([reason.rawValue]).add(0) }
    }

    /// Who may come in from now on. Those who are in stay until somebody asks `stillKnows`.
    func use(_ rights: ClientRights) { current.withLock { $0 = rights } }

    /// Whether a client that came in as this user would be let in today.
    func stillKnows(_ user: [UInt8]) -> Bool {
        let rights = current.withLock { $0 }
        return rights.rule.judge == .redis || rights.users.isEmpty || rights.users.have(user)
    }

    /// What becomes of a client that connects, and again after `RESET`.
    public func admit(_ peer: StreamPeer, usesTLS: Bool) -> Admission {
        let rights = current.withLock { $0 }
        switch rights.rule.demand(of: peer, usesTLS: usesTLS, hasUsers: !rights.users.isEmpty) {
        case .nothing: return .admitted(.free)
        case .password: return .admitted(.mustAuthenticate)
        case .refusal(let reply):
            count(.denied)
            return .refused(reply)
        }
    }

    /// - Parameter user: nil for `AUTH` with a password alone.
    public func judge(
        user: [UInt8]?, password: [UInt8], from peer: StreamPeer, at now: ContinuousClock.Instant = .now
    ) -> Verdict {
        if let pause = throttle.withLock({ $0.pause(of: peer.network, at: now) }) {
            count(.throttled)
            let seconds = max(1, Int(pause.seconds.rounded(.up)))
            return .refused("ERR too many wrong passwords from your address, try again in \(seconds) seconds")
        }
        let rights = current.withLock { $0 }
        guard rights.rule.judge == .users else { return .askRedis }
        let name = user ?? ProxyUsers.standard
        guard !rights.users.isEmpty else { return hasRedis ? .askRedis : judgeWithoutUsers(user) }
        let digest = SHA256(of: password)
        guard rights.users.know(name, password: digest) else {
            note(digest, of: name, from: peer, at: now)
            return .refused(Self.wrong)
        }
        return .accepted(user: name)
    }

    /// Redis did not accept what `judge` let through.
    public func refusedByRedis(
        user: [UInt8]?, password: [UInt8], from peer: StreamPeer, at now: ContinuousClock.Instant = .now
    ) {
        note(SHA256(of: password), of: user ?? ProxyUsers.standard, from: peer, at: now)
    }

    /// As a Redis whose default user has no password.
    private func judgeWithoutUsers(_ user: [UInt8]?) -> Verdict {
        guard let user else { return .refused(Self.nothingToGive) }
        return user == ProxyUsers.standard ? .accepted(user: user) : .refused(Self.wrong)
    }

    private func note(
        _ password: SHA256, of user: [UInt8], from peer: StreamPeer, at now: ContinuousClock.Instant
    ) {
        count(.password)
        // Another user with the same password is another guess.
        let guess = password.short ^ SHA256(of: user).short
        throttle.withLock { $0.failed(guess, from: peer.network, at: now) }
    }

    /// Why a client was not let in.
    enum Reason: String, CaseIterable {
        case password, throttled, denied
        /// It kept the others waiting.
        case late, crowded
    }

    /// A client that was let in to wait had to go.
    func turnedAway(_ reason: Reason) { count(reason) }

    private func count(_ reason: Reason) { failures.with([reason.rawValue]).add() }
}
