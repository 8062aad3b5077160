import Serving

/// Where the Redis proxy lets clients in, and whom.
public struct ProxyEntrances: Sendable {
    let entrances: Entrances
    let access: ProxyAccess
}
