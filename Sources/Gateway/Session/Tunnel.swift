import Network
import Runtime

/// Two connections that speak a protocol of their own from here on: what one says, the other hears. Only for the loop's
/// thread.
final class Tunnel: StreamOwner {
    private let client: StreamConnection
    private let upstream: StreamConnection
    private let loop: EventLoop
    private var clientHasEnded = false
    private var upstreamHasEnded = false
    private static let holdBytes = 256 << 10

    init(client: StreamConnection, upstream: StreamConnection, on loop: EventLoop) {
        (self.client, self.upstream, self.loop) = (client, upstream, loop)
    }

    var isOver: Bool { !upstream.isOpen }

    func start() {
        upstream.owner = self
        upstream.resume()
        // Either may have spoken already; the upstream's input is in the hands of whoever called.
        loop.after(milliseconds: 0) { [self] in
            received(upstream)
            fromClient()
        }
    }

    func fromClient() { move(from: client, to: upstream) }

    /// The service has said something.
    func received(_ connection: StreamConnection) { move(from: upstream, to: client) }

    private func move(from source: StreamConnection, to target: StreamConnection) {
        guard target.isOpen else { return source.close() }
        source.takeInput { input in
            guard !input.isEmpty else { return 0 }
            target.send(input)
            return input.count
        }
        guard target.unsentBytes >= Self.holdBytes else { return }
        source.pause()
        target.tellWhenDrained()
    }

    func drained(_ connection: StreamConnection) { client.resume() }
    func clientDrained() { upstream.resume() }

    func clientEnded() {
        clientHasEnded = true
        if upstreamHasEnded { close() } else { upstream.finishWhenSent() }
    }

    func ended(_ connection: StreamConnection) {
        upstreamHasEnded = true
        if clientHasEnded { close() } else { client.finishWhenSent() }
    }

    private func close() {
        client.closeWhenSent()
        upstream.closeWhenSent()
    }

    func clientClosed() { upstream.close() }
    func closed(_ connection: StreamConnection) { client.closeWhenSent() }
}
