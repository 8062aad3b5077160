import Runtime

/// Tells Redis, with `TOUCH`, which keys are in use here, so that its eviction does not take the hottest for the coldest.
/// `TOUCH` counts as a use and changes nothing. For the loop's thread.
final class KeyTouches {
    private unowned let relay: Relay
    private let reader: LocalReader
    /// Redis does not let us: it is not asked again.
    private var isRefused = false

    init(_ relay: Relay, _ reader: LocalReader) {
        self.relay = relay
        self.reader = reader
    }

    /// To be called a few times a second: at most 128 keys go each time, over connections that are there for clients.
    func tell() {
        for (identity, keys) in reader.touches.take() {
            guard !isRefused, reader.local.freshness.isLive, let lane = relay.lane(of: identity) else { continue }
            guard let cluster = relay.cluster else {
                touch(Array(keys), on: lane.connections(to: relay.home))
                continue
            }
            // Keys of several slots are not named together.
            for key in keys { touch([key], on: lane.connections(to: cluster.node(of: KeySlot.of(key.span)))) }
        }
    }

    private func touch(_ keys: [[UInt8]], on connections: NodeConnections) {
        var command: [UInt8] = []
        command.append(arrayOf: keys.count + 1)
        command.append(bulk: "TOUCH")
        for key in keys { command.append(bulk: key.span) }
        connections.fast[0].ask(command) { [weak self] reply, kind in
            guard let self, let reply else { return }
            if kind != .error {
                relay.metrics.touches.add(keys.count)
            } else if reply.starts(with: "-NOPERM".utf8) || reply.starts(with: "-ERR".utf8) {
                refused(reply)
            }
        }
    }

    private func refused(_ reply: [UInt8]) {
        guard !isRefused else { return }
        isRefused = true
        Log.warn(
            "Redis is not told which keys are in use here, and may evict them",
            ["reply": String(decoding: reply.prefix(200), as: UTF8.self)])
    }
}
