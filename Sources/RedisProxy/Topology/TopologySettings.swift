import Runtime

/// Which Sentinels know the master.
public struct SentinelSettings: Sendable {
    /// The name by which the Sentinels know it.
    public let master: String
    public let addresses: [NodeAddress]
    /// To the Sentinels.
    public let login: TopologyLogin

    public init(master: String, addresses: [NodeAddress], login: TopologyLogin = TopologyLogin()) {
        self.master = master
        self.addresses = addresses
        self.login = login
    }
}

/// Some nodes of a cluster, from which the others are found.
public struct ClusterSettings: Sendable {
    public let addresses: [NodeAddress]

    public init(addresses: [NodeAddress]) { self.addresses = addresses }
}

/// Whether the Redis behind the proxy is one server, or found through others.
public enum TopologySettings: Sendable {
    /// The one that is named otherwise.
    case single
    case sentinel(SentinelSettings)
    case cluster(ClusterSettings)

    /// Whether others say where it is.
    public var isFound: Bool { if case .single = self { false } else { true } }

    /// Reads `redis_proxy.sentinel` and `redis_proxy.cluster`.
    public init(_ settings: Settings) throws(SettingsError) {
        let master = try settings.read(
            "redis_proxy.sentinel.master", as: String.self,
            "The name by which Sentinels know the Redis behind the proxy; it is found, and followed, through them.")
        let sentinels = try Self.addresses(
            settings, "redis_proxy.sentinel.addresses", "Sentinels, as 10.0.0.1:26379; those they know are found.")
        let user = try settings.read(
            "redis_proxy.sentinel.user", as: String.self, "User at the Sentinels; not at the Redis they name.")
        let password = try settings.read("redis_proxy.sentinel.password", as: String.self, "The password to it.")
        let nodes = try Self.addresses(
            settings, "redis_proxy.cluster.addresses",
            "Nodes of a Redis Cluster behind the proxy, as 10.0.0.1:6379; the others are found.")
        let asksSentinels = master != nil || !sentinels.isEmpty
        if asksSentinels, !nodes.isEmpty {
            throw Self.wrong(
                settings, "redis_proxy.cluster.addresses", "Redis is behind Sentinels or a cluster, not both")
        }
        guard asksSentinels else {
            guard user == nil, password == nil else {
                throw Self.wrong(settings, "redis_proxy.sentinel.master", "is missing, but there is a login")
            }
            self = nodes.isEmpty ? .single : .cluster(ClusterSettings(addresses: nodes))
            return
        }
        guard let master, !master.isEmpty else {
            throw Self.wrong(settings, "redis_proxy.sentinel.master", "is missing")
        }
        guard !sentinels.isEmpty else {
            throw Self.wrong(settings, "redis_proxy.sentinel.addresses", "is missing")
        }
        guard user == nil || password != nil else {
            throw Self.wrong(settings, "redis_proxy.sentinel.password", "is missing, but there is a user")
        }
        self = .sentinel(
            SentinelSettings(
                master: master, addresses: sentinels, login: TopologyLogin(user: user, password: password)))
    }

    private static func addresses(
        _ settings: Settings, _ name: String, _ help: String
    ) throws(SettingsError) -> [NodeAddress] {
        var addresses: [NodeAddress] = []
        for text in try settings.readList(name, help) {
            guard let address = NodeAddress(setting: text) else {
                throw wrong(settings, name, "\"\(text)\" is not \(NodeAddress.kind)")
            }
            addresses.append(address)
        }
        return addresses
    }

    private static func wrong(_ settings: Settings, _ key: String, _ problem: String) -> SettingsError {
        SettingsError(place: settings.fileName, key: key, problem: problem)
    }
}
