import Network
import Runtime

/// Notices that somebody has swapped databases at Redis past the proxy, of which Redis tells nobody: by its own count of the
/// commands, in the rhythm of `aclIntervalMs`. Until then, values of the other database may be served. Where the proxy's user
/// may not ask (`INFO`), it is the class's `max_age`. Through the proxy a `SWAPDB` is noticed at once (`Settlement`). For the
/// loop's thread, and not in front of a cluster, which has one database.
final class SwapWatch {
    private unowned let relay: Relay
    private let local: LocalLevel
    private var known: Int?
    /// It does not tell, and is not asked again.
    private var isRefused = false

    private static let question = Array("*2\r\n$4\r\nINFO\r\n$12\r\ncommandstats\r\n".utf8)
    private static let line = Array("cmdstat_swapdb:calls=".utf8)

    init(_ relay: Relay, _ local: LocalLevel) {
        self.relay = relay
        self.local = local
    }

    /// Asks Redis, and forgets everything where the count is another than before.
    ///
    /// - Parameter then: is called once it has answered, does not tell, or was lost.
    func ask(then: @escaping () -> Void = {}) {
        guard relay.options.aclIntervalMs > 0, !isRefused else { return then() }
        relay.ownConnections(to: relay.home).fast[0].ask(Self.question) { [weak self] reply, kind in
            if let self, let reply { heard(reply, kind) }
            then()
        }
    }

    private func heard(_ reply: [UInt8], _ kind: ReplySkimmer.Kind) {
        guard kind != .error else {
            // Anything else, such as LOADING, passes.
            guard reply.starts(with: "-NOPERM".utf8) || reply.starts(with: "-ERR".utf8) else { return }
            isRefused = true
            return Log.warn(
                "Redis does not tell how often databases were swapped: what was there before is served up to max_age",
                ["upstream": "\(relay.home)", "reply": String(decoding: reply.prefix(200), as: UTF8.self)])
        }
        let swaps = Self.swaps(in: reply)
        // `CONFIG RESETSTAT` makes it less, and may have come after a swap.
        if let known, swaps != known {
            Log.info("databases were swapped at Redis: the local level begins anew")
            local.invalidateAll()
            relay.metrics.invalidations.flushes.add()
        }
        known = swaps
    }

    /// The count in `INFO commandstats`; commands that never ran have no line.
    static func swaps(in reply: [UInt8]) -> Int {
        guard let place = reply.firstRange(of: line) else { return 0 }
        let digits = reply[place.upperBound...].prefix(18).prefix { (48...57).contains($0) }
        return digits.reduce(0) { $0 * 10 + Int($1 - 48) }
    }
}
