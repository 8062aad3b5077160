import Network
import Runtime

/// Where the clients of one loop wait that may not do anything yet: TLS is not agreed on, or they owe a password. Who
/// takes too long has to go, and so has, when it gets crowded, whoever has waited longest. For the loop's thread.
final class Lobby {
    private struct Guest {
        let client: StreamConnection
        let untilMs: Int
    }

    let door: ProxyAccess
    private let loop: EventLoop
    private var guests: [ObjectIdentifier: Guest] = [:]
    private var isWatching = false

    private static let patienceMs = 10_000
    private static let mostGuests = 512

    init(_ door: ProxyAccess, on loop: EventLoop) {
        self.door = door
        self.loop = loop
    }

    /// - Returns: nil for a client that was sent away.
    func admit(_ client: StreamConnection) -> ClientAdmission? {
        switch door.admit(client.peer, usesTLS: client.usesTLS) {
        case .admitted(let access): return ClientAdmission(client, self, access)
        case .refused(let reply):
            client.send { $0.append(error: reply) }
            // Nobody would ever look at what it sends.
            client.pause()
            client.closeWhenSent()
            return nil
        }
    }

    /// Until `leave`, at most ten seconds.
    func wait(_ client: StreamConnection) {
        if guests.count >= Self.mostGuests, let oldest = guests.values.min(by: { $0.untilMs < $1.untilMs }) {
            door.turnedAway(.crowded)
            remove(oldest.client)
        }
        guests[ObjectIdentifier(client)] = Guest(client: client, untilMs: loop.nowMs + Self.patienceMs)
        door.waiting.move(by: 1)
        guard !isWatching else { return }
        isWatching = true
        watch()
    }

    func leave(_ client: StreamConnection) {
        guard guests.removeValue(forKey: ObjectIdentifier(client)) != nil else { return }
        door.waiting.move(by: -1)
    }

    private func remove(_ client: StreamConnection) {
        leave(client)
        client.close()
    }

    private func watch() {
        loop.after(milliseconds: 500) { [weak self] in
            guard let self else { return }
            for guest in Array(guests.values) where guest.untilMs <= loop.nowMs {
                door.turnedAway(.late)
                remove(guest.client)
            }
            isWatching = !guests.isEmpty
            if isWatching { watch() }
        }
    }
}
