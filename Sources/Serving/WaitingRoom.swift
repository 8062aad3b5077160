import Metrics
import Network

/// Where the clients of one loop wait that may not do anything yet: TLS is not agreed on, or they owe a password. Who
/// takes too long has to go, and so has, when it gets crowded, whoever has waited longest. For the loop's thread.
public final class WaitingRoom {
    /// Why somebody had to go.
    public enum Reason: String, CaseIterable, Sendable { case late, crowded }

    private struct Guest {
        let client: StreamConnection
        let untilMs: Int
    }

    private let loop: EventLoop
    private let waiting: Gauge
    private let turnedAway: (Reason) -> Void
    private var guests: [ObjectIdentifier: Guest] = [:]
    private var isWatching = false

    private static let patienceMs = 10_000
    private let most: Int

    /// - Parameters:
    ///   - waiting: moves by one with each who waits.
    ///   - clients: how many there may be at once: strangers take at most half of their places, and at most 512.
    ///   - turnedAway: told of each who had to go; its connection closes.
    public init(
        on loop: EventLoop, waiting: Gauge, clients: Int = 1024, turnedAway: @escaping (Reason) -> Void
    ) {
        most = min(512, max(1, clients / 2))
        (self.loop, self.waiting, self.turnedAway) = (loop, waiting, turnedAway)
    }

    /// Until `leave`, at most ten seconds. Who waits already keeps its time.
    public func wait(_ client: StreamConnection) {
        guard guests[ObjectIdentifier(client)] == nil else { return }
        if guests.count >= most, let oldest = guests.values.min(by: { $0.untilMs < $1.untilMs }) {
            turnedAway(.crowded)
            remove(oldest.client)
        }
        guests[ObjectIdentifier(client)] = Guest(client: client, untilMs: loop.nowMs + Self.patienceMs)
        waiting.move(by: 1)
        guard !isWatching else { return }
        isWatching = true
        watch()
    }

    public func leave(_ client: StreamConnection) {
        guard guests.removeValue(forKey: ObjectIdentifier(client)) != nil else { return }
        waiting.move(by: -1)
    }

    private func remove(_ client: StreamConnection) {
        leave(client)
        client.close()
    }

    private func watch() {
        loop.after(milliseconds: 500) { [weak self] in
            guard let self else { return }
            for guest in Array(guests.values) where guest.untilMs <= loop.nowMs {
                turnedAway(.late)
                remove(guest.client)
            }
            isWatching = !guests.isEmpty
            if isWatching { watch() }
        }
    }
}
