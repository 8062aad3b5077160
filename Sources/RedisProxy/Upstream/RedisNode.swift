import Network
import Runtime
import Serving

/// One server behind the proxy: where it is, whether it is worth asking, and who tells of its changes. For the loop's
/// thread.
final class RedisNode: CustomStringConvertible {
    /// As Sentinels and clusters name it; where it is the only one, nobody has to.
    private(set) var name: NodeAddress
    /// Nil while nobody knows where it is.
    private(set) var address: StreamAddress?
    var breaker = Breaker()
    /// Nil without a local level, and for a replica.
    var feed: InvalidationFeed?
    /// No part of the cluster any more: what is under way is still answered.
    var isRetired = false

    init(_ name: NodeAddress = NodeAddress("", 0), at address: StreamAddress? = nil) {
        self.name = name
        self.address = address
    }

    /// Another server takes its place, or nobody does.
    func become(_ name: NodeAddress, at address: StreamAddress?) {
        (self.name, self.address, breaker) = (name, address, Breaker())
        feed?.reconnect()
    }

    var description: String { address?.description ?? "nowhere" }
}
