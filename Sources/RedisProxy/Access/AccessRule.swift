import Network
import Runtime

/// What is asked of a client before it may use the proxy. Clients on this machine come in freely, unless all have to
/// authenticate; others need TLS and a password.
public struct AccessRule: Sendable {
    /// Who judges what clients give with `AUTH`.
    public enum Judge: String, Sendable, CaseIterable {
        /// The sidecar, by its own users.
        case users
        /// The Redis behind, by its own.
        case redis
    }

    public let judge: Judge
    /// Of clients on this machine, too.
    public let requiresPassword: Bool

    public enum Demand: Sendable, Equatable {
        case nothing
        case password
        /// It is told so and sent away.
        case refusal(String)
    }

    static let needsTLS = "DENIED Clients on other machines must use TLS."
    static let needsUsers = "DENIED Clients on other machines need a password, and there are no users."

    public func demand(of peer: StreamPeer, usesTLS: Bool, hasUsers: Bool) -> Demand {
        guard !peer.isLocal else { return requiresPassword ? .password : .nothing }
        guard usesTLS else { return .refusal(Self.needsTLS) }
        return hasUsers || judge == .redis ? .password : .refusal(Self.needsUsers)
    }
}

/// How far a client has come.
public enum ClientAccess: Sendable, Equatable {
    /// It needs no password, and has given none.
    case free
    /// It may say `AUTH`, `HELLO`, `QUIT` and `RESET`; the command reader is to be told as well.
    case mustAuthenticate
    case authenticated(user: [UInt8])

    public static let required = "NOAUTH Authentication required."

    /// Whether it may use a command.
    ///
    /// - Parameter verb: the first word; a subcommand of the same name is another command.
    func admits(_ verb: Span<UInt8>) -> Bool {
        guard case .mustAuthenticate = self else { return true }
        return Self.isAboutAccess(verb) || verb.isWord("quit")
    }

    /// Whether a command changes who the client is.
    static func isAboutAccess(_ verb: Span<UInt8>) -> Bool {
        verb.isWord("auth") || verb.isWord("hello") || verb.isWord("reset")
    }
}
