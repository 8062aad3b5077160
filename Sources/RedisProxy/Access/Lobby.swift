import Network
import Runtime
import Serving

/// Lets the clients of one loop in, and keeps those that may not do anything yet in the waiting room. For the loop's thread.
final class Lobby {
    let door: ProxyAccess
    private let room: WaitingRoom

    init(_ door: ProxyAccess, on loop: EventLoop) {
        self.door = door
        room = WaitingRoom(on: loop, waiting: door.waiting, clients: door.mostClients) {
            door.turnedAway($0 == .late ? .late : .crowded)
        }
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

    func wait(_ client: StreamConnection) { room.wait(client) }

    func leave(_ client: StreamConnection) { room.leave(client) }
}
