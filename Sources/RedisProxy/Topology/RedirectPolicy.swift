/// What becomes of one command that a node did not carry out. One value a command, for as long as it is under way.
public struct RedirectPolicy: Sendable {
    public enum Step: Equatable, Sendable {
        /// Again, over a connection to this node, with `ASKING` right in front of it or not; the reply to `ASKING` is
        /// nobody's. After `MOVED`, and only with this step, the map may be told that the slot has moved.
        case resend(to: NodeAddress, asking: Bool)
        /// Again, after this time, to whom the map names by then: it is in doubt, and to be asked for meanwhile.
        case retry(afterMilliseconds: Int)
        /// The error is the client's.
        case deliver
    }

    /// How often one command is sent again.
    public static let mostHops = 5
    private static let firstWaitMilliseconds = 25

    private var hops = 0
    private let mayInvent: Bool

    /// - Parameter command: nil for one that is not in the table.
    public init(_ command: Command?) {
        // A script may reply any error it likes, also one that looks like a redirect to its author's own server, where our
        // password must not go.
        mayInvent = command?.has(.arbitrary) ?? true
    }

    /// A write goes again as well: with each of these errors Redis says that it carried nothing out.
    ///
    /// - Parameter map: as it was before it learned of this redirect.
    public mutating func next(after redirect: Redirect, knowing map: SlotMap) -> Step {
        guard hops < Self.mostHops else { return .deliver }
        hops += 1
        switch redirect {
        case .moved(_, let address):
            return mayInvent && !map.knows(address) ? wait : .resend(to: address, asking: false)
        case .ask(_, let address):
            return mayInvent && !map.knows(address) ? wait : .resend(to: address, asking: true)
        case .tryAgain, .clusterDown, .loading, .readOnly, .masterDown: return wait
        }
    }

    /// 25, 50, 100, 200, 400 ms.
    private var wait: Step { .retry(afterMilliseconds: Self.firstWaitMilliseconds << (hops - 1)) }

    /// Whether a command whose connection was lost may go again. Once it has left, only what certainly changes nothing
    /// may: nobody knows whether it was carried out.
    public static func mayRepeat(_ command: Command?, hasLeft: Bool) -> Bool {
        guard hasLeft else { return true }
        guard let command else { return false }
        return command.has(.read) && !command.has(.write) && !command.has(.arbitrary)
            && (command.lane == .shared || command.lane == .slow)
    }
}
