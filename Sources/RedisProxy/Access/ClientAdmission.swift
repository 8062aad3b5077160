import Network
import Runtime

/// How far one client of the proxy has come in. For the loop's thread.
struct ClientAdmission {
    private let lobby: Lobby
    private let client: StreamConnection
    private var access: ClientAccess
    /// It had to say who it is: nothing that it sends may reach Redis before it was looked at.
    let isGuarded: Bool

    init(_ client: StreamConnection, _ lobby: Lobby, _ access: ClientAccess) {
        self.client = client
        self.lobby = lobby
        self.access = access
        isGuarded = access == .mustAuthenticate
        if isGuarded || !client.isReady { lobby.wait(client) }
    }

    var mustAuthenticate: Bool { if case .mustAuthenticate = access { true } else { false } }

    /// Whether it came in as a user that there is no more.
    var isRevoked: Bool { if case .authenticated(let user) = access { !lobby.door.stillKnows(user) } else { false } }

    /// Whether it may use a command now.
    ///
    /// - Parameter verb: the command's first word.
    func admits(_ verb: Span<UInt8>) -> Bool { access.admits(verb) }

    /// TLS is agreed on.
    func secured() { if !mustAuthenticate { lobby.leave(client) } }

    func judge(user: [UInt8]?, password: [UInt8]) -> ProxyAccess.Verdict {
        lobby.door.judge(user: user, password: password, from: client.peer)
    }

    /// Finds out what `judge` could not tell, and calls `then` on the loop.
    func check(user: [UInt8]?, password: [UInt8], then: @escaping (ProxyAccess.Verdict) -> Void) {
        let (door, peer, loop) = (lobby.door, client.peer, client.loop)
        let work = Conclusion(then: then)
        Task {
            let verdict = await door.check(user: user, password: password, from: peer)
            loop.post { work.then(verdict) }
        }
    }

    /// What the loop hands to another thread, which does not touch it.
    private struct Conclusion: @unchecked Sendable {
        let then: (ProxyAccess.Verdict) -> Void
    }

    /// What it gave was found right, by whomever.
    mutating func authenticated(as user: [UInt8]) {
        access = .authenticated(user: user)
        lobby.leave(client)
    }

    /// - Returns: how long to wait before the client is told.
    func refusedByRedis(_ credentials: Credentials) -> Duration {
        lobby.door.refusedByRedis(user: credentials.user, password: credentials.password, from: client.peer)
    }

    /// As if it had just connected.
    mutating func reset() {
        access = isGuarded ? .mustAuthenticate : .free
        if isGuarded { lobby.wait(client) }
    }

    /// The connection is closed.
    func ended() { lobby.leave(client) }
}
