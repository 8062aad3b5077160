import Network
import Runtime

/// Whom the proxy lets in: everybody on this machine, others by SCRAM and the users that are set.
public struct ProxyDoor: Sendable {
    /// By name. What stands for a password is a verifier, so that it is nowhere in memory.
    let users: [[UInt8]: SCRAM.Verifier]
    /// Also those on this machine have to prove who they are.
    let requiresPassword: Bool
    /// Nil where TLS is not offered.
    let tls: TLSServer?
    /// Of users that do not exist: always the same for the same name, so that nobody learns that.
    private let secret = Secrets.random(32)

    /// - Parameters:
    ///   - users: names, each with a password or what Postgres stores in its place.
    public init(users: [(name: String, password: String)] = [], requiresPassword: Bool = false, tls: TLSServer? = nil) {
        (self.requiresPassword, self.tls) = (requiresPassword, tls)
        self.users = Dictionary(
            users.map { (Array($0.name.utf8), SCRAM.Verifier($0.password) ?? Self.verifier(of: $0.password)) }
        ) { $1 }
    }

    private static func verifier(of password: String) -> SCRAM.Verifier {
        let salting = SCRAM.Salting(password: Array(password.utf8), salt: Secrets.random(16), iterations: 4096)
        return SCRAM.Verifier(salt: salting.salt, iterations: salting.iterations, salted: salting.compute())
    }

    enum Verdict {
        case admitted
        case mustProve(SCRAM.Verifier, isDoomed: Bool)
        case refused(Complaint)
    }

    func verdict(on user: [UInt8], from peer: StreamPeer, usesTLS: Bool) -> Verdict {
        if peer.isLocal, !requiresPassword { return .admitted }
        if let verifier = users[user] { return .mustProve(verifier, isDoomed: false) }
        let salt = Array(HMAC.sha256(key: secret, user)[..<16])
        let key = HMAC.sha256(key: secret, user + [0])
        return .mustProve(SCRAM.Verifier(salt: salt, iterations: 4096, salted: key), isDoomed: true)
    }
}

extension StreamPeer {
    var isUnixSocket: Bool { if case .unix = self { true } else { false } }
}
