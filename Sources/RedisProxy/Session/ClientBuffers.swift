import Network
import Runtime

/// A client that has memory here for what is not dealt with: commands that are not whole, replies that it does not read.
protocol BufferedClient: AnyObject {
    /// What of it was told to `ClientBuffers` last.
    var toldBytes: Int { get set }
    var bufferedBytes: Int { get }
    /// The connection closes, and its memory is free.
    func shed()
}

/// One budget for what all clients of a loop have not dealt with. Beyond it the client with most has to go, and the next, as
/// with Redis' `maxmemory-clients`: one that sends half a command and waits, or reads nothing, costs the others nothing.
/// For the loop's thread.
final class ClientBuffers {
    private let limitBytes: Int
    private let metrics: RedisProxyMetrics
    private let loop: EventLoop
    private(set) var bytes = 0
    private var nextLogMs = 0

    /// Smaller changes are not worth a word: of a thousand clients 16 MB may so be missing.
    private static let grainBytes = 16 << 10

    init(limitBytes: Int, _ metrics: RedisProxyMetrics, on loop: EventLoop) {
        (self.limitBytes, self.metrics, self.loop) = (limitBytes, metrics, loop)
    }

    /// To be called when what a client has here may have changed much.
    ///
    /// - Parameter clients: all that there are; asked only when there is too much.
    func tell(_ client: any BufferedClient, _ clients: () -> [any BufferedClient]) {
        let now = client.bufferedBytes
        guard abs(now - client.toldBytes) >= Self.grainBytes else { return }
        note(client, now)
        guard bytes > limitBytes else { return }
        shed(clients())
    }

    func forget(_ client: any BufferedClient) { note(client, 0) }

    private func note(_ client: any BufferedClient, _ now: Int) {
        bytes += now - client.toldBytes
        client.toldBytes = now
        metrics.clientBufferBytes.set(Double(bytes))
    }

    private func shed(_ clients: [any BufferedClient]) {
        var left = clients
        while bytes > limitBytes, let place = left.indices.max(by: { left[$0].toldBytes < left[$1].toldBytes }) {
            let largest = left.remove(at: place)
            guard largest.toldBytes > 0 else { return }
            let size = largest.toldBytes
            metrics.shed.add()
            largest.shed()
            forget(largest)
            guard loop.nowMs >= nextLogMs else { continue }
            nextLogMs = loop.nowMs + 1000
            Log.warn(
                "clients of the Redis proxy have more here than may be: the one with most was closed",
                ["bytes": "\(size)", "limit": "\(limitBytes)"])
        }
    }
}
