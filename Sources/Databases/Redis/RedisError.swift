/// Why a question to Redis has no answer. No case ever holds a password.
public enum RedisError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Certificates that cannot be used or are not trusted, or a server without TLS.
    case tls(String)
    case cannotResolve(host: String, reason: String)
    case cannotConnect(to: String, reason: String)
    /// The deadline came first; `step` says what was waited for.
    case timedOut(step: String)
    /// The server hung up.
    case closed(step: String)
    /// The server does not let us in; the text is its own.
    case loginRefused(String)
    /// The server answered a command we cannot go on without with an error; the text is its own.
    case refused(command: String, reason: String)
    /// The bytes are not RESP2.
    case protocolBroken(String)
    case replyTooLong(limitBytes: Int)

    public var description: String {
        switch self {
        case .tls(let reason): reason
        case .cannotResolve(let host, let reason): "resolve \(host): \(reason)"
        case .cannotConnect(let place, let reason): "connect to \(place): \(reason)"
        case .timedOut(let step): "\(step): timed out"
        case .closed(let step): "\(step): the server closed the connection"
        case .loginRefused(let reason): "log in: \(reason)"
        case .refused(let command, let reason): "\(command): \(reason)"
        case .protocolBroken(let reason): "read replies: \(reason)"
        case .replyTooLong(let limit): "read replies: longer than \(limit) bytes"
        }
    }
}
