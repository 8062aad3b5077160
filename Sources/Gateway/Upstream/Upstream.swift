import Network
import Runtime

/// One instance of the service: where it is, how it does, and the connections to it that are kept. Only for the loop's
/// thread.
final class Upstream {
    let address: StreamAddress
    private let tls: TLSClient?
    let weight: Double
    var health: UpstreamHealth
    /// Requests that are under way there.
    private(set) var inFlight = 0
    private var idle: [UpstreamConnection] = []
    private var isRetired = false
    private let loop: EventLoop
    private let metrics: GatewayMetrics
    private static let mostIdle = 256

    init(_ place: UpstreamPlace, _ rules: UpstreamHealth.Rules, on loop: EventLoop, _ metrics: GatewayMetrics) {
        (address, tls, weight) = (place.address, place.tls, place.weight)
        health = UpstreamHealth(rules)
        self.loop = loop
        self.metrics = metrics
    }

    /// The connection that was used last, if one is kept.
    func takeIdle() -> UpstreamConnection? {
        while let kept = idle.popLast() {
            if kept.connection.isOpen { return kept }
        }
        return nil
    }

    /// - Returns: nil when no address of it can be connected to.
    func connect() -> UpstreamConnection? {
        guard let connection = address.connect(on: loop, tls: tls) else { return nil }
        metrics.upstreamConnections.move(by: 1)
        metrics.upstreamConnectionsOpened.add()
        return UpstreamConnection(connection, to: self)
    }

    /// No route leads here any more: what is under way is finished, and nothing is kept.
    func retire() {
        isRetired = true
        lostIdle()
    }

    func keep(_ connection: UpstreamConnection) {
        guard idle.count < Self.mostIdle, !isRetired else { return connection.connection.close() }
        connection.idleSinceMs = loop.nowMs
        idle.append(connection)
    }

    /// A connection was closed by the service while it was kept: it is going, or forgets connections soon. The others are
    /// not used again, so that no request goes where nobody may answer.
    func lostIdle() {
        let others = idle
        idle = []
        for other in others where other.connection.isOpen { other.connection.close() }
    }

    func closeIdle(olderThanMs: Int) {
        let limit = loop.nowMs - olderThanMs
        // The longest kept are first.
        while let first = idle.first, first.idleSinceMs <= limit {
            idle.removeFirst()
            if first.connection.isOpen { first.connection.close() }
        }
    }

    func connectionClosed() { metrics.upstreamConnections.move(by: -1) }

    func begin() { inFlight += 1 }
    func end() { inFlight -= 1 }

    func failed(_ reason: String) {
        guard health.failed(nowMs: loop.nowMs) else { return }
        metrics.upstreamUp.with(["\(address)"]).set(0)
        Log.warn("upstream is left alone", ["upstream": "\(address)", "reason": reason])
    }

    func answered() {
        let wasUp = health.isUp
        health.answered(nowMs: loop.nowMs)
        if !wasUp, health.isUp { cameBack() }
    }

    func checked() {
        let wasUp = health.isUp
        health.checked(nowMs: loop.nowMs)
        if !wasUp, health.isUp { cameBack() }
    }

    private func cameBack() {
        metrics.upstreamUp.with(["\(address)"]).set(1)
        Log.info("upstream is asked again", ["upstream": "\(address)"])
    }
}

/// Where an instance is, looked up.
public struct UpstreamPlace: Sendable {
    public let address: StreamAddress
    public let tls: TLSClient?
    public let weight: Double
    /// As it is set, so that a reload knows it again.
    public let name: String

    public init(_ address: StreamAddress, tls: TLSClient? = nil, weight: Double = 1, name: String? = nil) {
        (self.address, self.tls, self.weight) = (address, tls, weight)
        self.name = name ?? "\(address)"
    }
}

/// The instances that answer a route. Only for the loop's thread.
final class UpstreamPool {
    let upstreams: [Upstream]
    private var turn = 0

    init(_ upstreams: [Upstream]) { self.upstreams = upstreams }

    /// The one with the fewest requests under way for its weight; of equals, in turn.
    ///
    /// - Parameter avoided: was tried just now, and is taken again only when there is no other.
    func pick(nowMs: Int, avoiding avoided: Upstream?) -> Upstream? {
        if upstreams.count == 1, upstreams[0].health.isWorthAsking(nowMs: nowMs) { return upstreams[0] }
        turn = turn + 1 < upstreams.count ? turn + 1 : 0
        var best: (upstream: Upstream, load: Double)?
        for offset in 0..<upstreams.count {
            let upstream = upstreams[(turn + offset) % upstreams.count]
            guard upstream.health.isWorthAsking(nowMs: nowMs), upstream !== avoided else { continue }
            let load = Double(upstream.inFlight + 1) / (upstream.weight * upstream.health.share(nowMs: nowMs))
            if best.map({ load < $0.load }) ?? true { best = (upstream, load) }
        }
        if let best { return best.upstream }
        if let avoided, avoided.health.isWorthAsking(nowMs: nowMs) { return avoided }
        guard !upstreams.contains(where: { $0.health.isUp }) else { return nil }
        return upstreams.first { $0.health.isLastResort(nowMs: nowMs) }
    }
}
