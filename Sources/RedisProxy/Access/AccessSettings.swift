import Network
import Runtime
import Serving

/// Who may use the Redis proxy, and from where, as set. A proxy that other machines could reach without TLS and a
/// password is refused.
public struct AccessSettings: Sendable {
    private let rule: AccessRule
    private let users: ProxyUsers
    private let address: ListenAddress?
    private let hasRedis: Bool
    /// Nil where clients are served in plain.
    public let tls: TLSServerSettings?
    /// Nil for none.
    public let unixSocket: Entrances.UnixSocket?

    /// - Parameters:
    ///   - address: where the proxy listens, nil where it does not.
    ///   - hasRedis: whether there is one behind that could judge passwords.
    public init(_ settings: Settings, listeningOn address: ListenAddress?, hasRedis: Bool) throws(SettingsError) {
        (self.address, self.hasRedis) = (address, hasRedis)
        users = try ProxyUsers(settings)
        let judge = try settings.read(
            "redis_proxy.auth", oneOf: AccessRule.Judge.self, default: .users,
            "Who judges the passwords of clients: the proxy by its users, or the Redis behind it.")
        let requiresPassword = try settings.read(
            "redis_proxy.require_auth", default: false, "Ask clients on this machine for a password, too.")
        rule = AccessRule(judge: judge, requiresPassword: requiresPassword)
        tls = try TLSServerSettings.read(settings, "redis_proxy.tls")
        let path: String? = try settings.read(
            "redis_proxy.unix_socket", "Path of a Unix socket to listen on as well, at most 107 bytes.")
        let mode = try settings.read(
            "redis_proxy.unix_socket_mode", default: FileMode(0o700), "Who may connect to it, as for chmod.",
            in: FileMode(0)...FileMode(0o777))
        unixSocket = path.map { Entrances.UnixSocket(path: $0, mode: mode) }

        func failure(_ key: String, _ problem: String) -> SettingsError {
            SettingsError(place: settings.fileName, key: key, problem: problem)
        }
        let canJudge = judge == .redis || !users.isEmpty
        if judge == .redis, !hasRedis, address != nil || path != nil {
            throw failure("redis_proxy.auth", "there is no Redis that could judge passwords")
        }
        if requiresPassword, !canJudge {
            throw failure("redis_proxy.require_auth", "needs redis_proxy.users, or redis_proxy.auth: redis")
        }
        guard let address, !address.isLoopback else { return }
        var missing: [String] = []
        if !canJudge { missing.append("redis_proxy.users (or redis_proxy.auth: redis)") }
        if tls == nil { missing.append("redis_proxy.tls.cert_file and key_file") }
        guard missing.isEmpty else {
            throw failure(
                "redis_proxy.listen_address",
                "\(address) can be reached from other machines, which needs \(missing.joined(separator: ", and "))")
        }
    }

    /// Whether there is anything that clients could connect to.
    public var hasEntrance: Bool { address != nil || unixSocket != nil }

    /// What a running proxy can take over.
    public var rights: ClientRights { ClientRights(rule: rule, users: users) }

    /// Reads the files of TLS.
    ///
    /// - Parameter clients: how many there may be at once.
    public func makeEntrances(clients: Int = 10_000) throws(TLSError) -> ProxyEntrances {
        // Redis' own words.
        let limit = ClientLimit(clients, refusal: Array("-ERR max number of clients reached\r\n".utf8))
        return ProxyEntrances(
            entrances: Entrances(address: address, tls: try tls?.make(), unixSocket: unixSocket, limit: limit),
            access: ProxyAccess(rule, users, hasRedis: hasRedis, mostClients: clients))
    }
}
