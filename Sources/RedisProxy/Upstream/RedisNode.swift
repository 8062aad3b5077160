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
    private(set) var breaker = Breaker()
    /// Called whenever the breaker has opened or closed.
    var breakerTurned: ((RedisNode) -> Void)?
    private var fullUntilMs = 0
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
        (self.name, self.address) = (name, address)
        moveBreaker { $0 = Breaker() }
        feed?.reconnect()
    }

    /// Whether it has said a moment ago that it lets nobody more in (`maxclients`). It answers, so that is no failure.
    func isFull(nowMs: Int) -> Bool { nowMs < fullUntilMs }
    func saidFull(nowMs: Int) { fullUntilMs = nowMs + 250 }

    /// Whether a connection may be opened now.
    func mayConnect(nowMs: Int) -> Bool {
        var mayConnect = false
        moveBreaker { mayConnect = $0.mayConnect(nowMs: nowMs) }
        return mayConnect
    }

    /// A connection could not be made, or did not answer, or owes a reply for too long.
    func failed(nowMs: Int) { moveBreaker { $0.failed(nowMs: nowMs) } }

    /// Nobody needs the connection any more that was being made.
    func gaveUp(nowMs: Int) { moveBreaker { $0.gaveUp(nowMs: nowMs) } }

    /// A connection was made and answers.
    func succeeded() { moveBreaker { $0.succeeded() } }

    /// Every change passes here, so that nobody opens it unseen.
    private func moveBreaker(_ change: (inout Breaker) -> Void) {
        let wasClosed = breaker.isClosed
        change(&breaker)
        if wasClosed != breaker.isClosed { breakerTurned?(self) }
    }

    var description: String { address?.description ?? "nowhere" }
}
