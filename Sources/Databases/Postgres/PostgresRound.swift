import CLinux
import Glibc
import Runtime

/// Holds several conversations at once on the calling thread.
public enum PostgresRound {
    /// Returns when every conversation is over, at `deadline` at the latest.
    ///
    /// - Parameter atOnce: how many connections work at the same time; the others wait for their turn.
    public static func hold(_ conversations: [PostgresConversation], atOnce: Int = 8, by deadline: Deadline) {
        var waiting = conversations[...]
        var active: [PostgresConversation] = []
        var polled: [pollfd] = []
        while true {
            while active.count < atOnce, let next = waiting.popFirst() {
                next.start(by: deadline)
                if !next.isOver { active.append(next) }
            }
            if active.isEmpty && waiting.isEmpty { return }
            if deadline.hasPassed { break }
            polled = active.map { pollfd(fd: $0.connection.socket, events: $0.events, revents: 0) }
            let ready = poll(&polled, nfds_t(polled.count), deadline.pollMilliseconds)
            if ready <= 0 { continue }
            for (place, conversation) in zip(polled, active) where place.revents != 0 {
                conversation.advance(by: deadline)
            }
            active.removeAll(where: \.isOver)
        }
        active.forEach { $0.giveUp() }
        waiting.forEach { $0.giveUp() }
    }
}
