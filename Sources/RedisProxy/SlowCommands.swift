import Runtime
import Synchronization

/// The commands that lately took longest to be answered: by name, without keys or values. Any thread may add and ask.
public final class SlowCommands: Sendable {
    public struct Entry: Sendable {
        /// Milliseconds since 1970.
        public let atMs: Int64
        /// `get`, `config|get`; `unknown` for a command that Redis 7.0 does not have.
        public let command: String
        public let durationNs: Int
        public let replyBytes: Int
    }

    private static let most = 128
    private let entries = Mutex<[Entry]>([])

    func add(_ command: Command.ID?, durationNs: Int, replyBytes: Int) {
        let name = command.map { CommandTable.shared.fullName(of: CommandTable.shared[$0]) } ?? "unknown"
        let entry = Entry(
            atMs: WallClock.nowMilliseconds, command: name, durationNs: durationNs, replyBytes: replyBytes)
        entries.withLock { entries in
            if entries.count == Self.most { entries.removeFirst() }
            entries.append(entry)
        }
    }

    /// The newest first.
    public var newest: [Entry] { entries.withLock { $0.reversed() } }
}
