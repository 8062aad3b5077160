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
        /// What to reply, as Redis does, and how long to wait before: whoever guesses is slowed down.
        case refused(String, after: Duration = .zero)
        /// Only a slow check can tell: `check`.
        case unsure
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

    /// Checks slow verifiers, one after the other. Whoever waits has nothing else under way, so no more wait than there are
    /// clients.
    private actor Checker {
        private let thread = BlockingThread("passwords")
        nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

        func matches(_ password: [UInt8], _ verifier: SCRAMVerifier) -> Bool { verifier.matches(password) }
    }

    /// Nil until somebody is judged by a slow verifier.
    private let checker = Mutex<Checker?>(nil)

    private func slowChecker() -> Checker {
        checker.withLock { checker in
            let made = checker ?? Checker()
            checker = made
            return made
        }
    }

    /// A right password is never refused, whoever guessed from the same address before; a wrong one is answered the later
    /// the more of them came for the same user from there.
    ///
    /// - Parameter user: nil for `AUTH` with a password alone.
    public func judge(
        user: [UInt8]?, password: [UInt8], from peer: StreamPeer, at now: ContinuousClock.Instant = .now
    ) -> Verdict {
        let rights = current.withLock { $0 }
        guard rights.rule.judge == .users else { return .askRedis }
        let name = user ?? ProxyUsers.standard
        guard !rights.users.isEmpty else { return hasRedis ? .askRedis : judgeWithoutUsers(user) }
        switch rights.users.know(name, password: password) {
        case .right: return .accepted(user: name)
        case .wrong: return .refused(Self.wrong, after: note(password, of: name, from: peer, at: now))
        case .unsure: return .unsure
        }
    }

    /// Finds out what `judge` could not tell. Takes milliseconds, on a thread of its own.
    ///
    /// - Returns: `accepted` or `refused`.
    func check(
        user: [UInt8]?, password: [UInt8], from peer: StreamPeer, at now: ContinuousClock.Instant = .now
    ) async -> Verdict {
        let name = user ?? ProxyUsers.standard
        let users = current.withLock { $0.users }
        if case .unsure(let verifier) = users.know(name, password: password),
            await slowChecker().matches(password, verifier)
        {
            users.note(name, password: password)
        }
        guard case .right = users.know(name, password: password) else {
            return .refused(Self.wrong, after: note(password, of: name, from: peer, at: now))
        }
        return .accepted(user: name)
    }

    /// Redis did not accept what `judge` let through.
    ///
    /// - Returns: how long to wait before the client is told.
    public func refusedByRedis(
        user: [UInt8]?, password: [UInt8], from peer: StreamPeer, at now: ContinuousClock.Instant = .now
    ) -> Duration {
        note(password, of: user ?? ProxyUsers.standard, from: peer, at: now)
    }

    /// As a Redis whose default user has no password.
    private func judgeWithoutUsers(_ user: [UInt8]?) -> Verdict {
        guard let user else { return .refused(Self.nothingToGive) }
        return user == ProxyUsers.standard ? .accepted(user: user) : .refused(Self.wrong)
    }

    /// - Returns: how long whoever guesses this user's password from there has to wait.
    private func note(
        _ password: [UInt8], of user: [UInt8], from peer: StreamPeer, at now: ContinuousClock.Instant
    ) -> Duration {
        count(.password)
        // Others behind the same address have nothing to do with it, unless they are the same user.
        let source = peer.network + " " + user.prefix(64).map { String($0, radix: 16) }.joined()
        let pause = throttle.withLock { throttle in
            throttle.failed(SHA256(of: password).short, from: source, at: now)
            return throttle.pause(of: source, at: now) ?? .zero
        }
        if pause > .zero { count(.throttled) }
        return pause
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
