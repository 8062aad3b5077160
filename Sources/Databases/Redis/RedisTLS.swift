import Network
import Runtime

/// Whom to trust, and who we are, at Redis servers whose address begins with `rediss://`.
public struct RedisTLS: Sendable {
    /// Nil for the system's authorities, and no certificate of our own.
    private let settings: TLSClientSettings?

    /// Trusts the system's authorities.
    public init() { settings = nil }

    /// Reads `NAME.ca_file` and so on.
    public init(_ settings: Settings, _ name: String) throws(SettingsError) {
        self.settings = try TLSClientSettings(settings, name)
    }

    /// The files are read anew for each connection, so that renewed certificates count from the next one on, and one that
    /// is missing at the start costs nothing but the connection.
    func channel(to host: String) throws(RedisError) -> TLSChannel {
        do throws(TLSError) {
            guard let settings else { return TLSChannel(try TLSClient(serverName: host)) }
            return TLSChannel(try settings.make(host: host))
        } catch {
            throw .tls("\(error)")
        }
    }
}
