import Network
import Runtime

/// One connection to an instance of the service, and the request whose answer it brings. Only for the loop's thread.
final class UpstreamConnection: StreamOwner {
    let connection: StreamConnection
    let upstream: Upstream
    /// Nil while it is kept.
    var fetch: Fetch?
    var idleSinceMs = 0

    init(_ connection: StreamConnection, to upstream: Upstream) {
        self.connection = connection
        self.upstream = upstream
        connection.owner = self
        // An answer may wait for a slow client after the service has closed.
        connection.isReadToTheEnd = true
    }

    func received(_ connection: StreamConnection) {
        // Whatever comes without a question belongs to no answer.
        guard let fetch else { return connection.close() }
        fetch.received()
    }

    func ended(_ connection: StreamConnection) {
        guard let fetch else { return connection.close() }
        fetch.upstreamEnded()
    }

    func drained(_ connection: StreamConnection) { fetch?.upstreamDrained() }

    func closed(_ connection: StreamConnection) {
        upstream.connectionClosed()
        if let fetch {
            fetch.upstreamClosed(connection.failure)
        } else {
            upstream.lostIdle()
        }
    }
}
