import Runtime
import Synchronization

/// What lately took longest to be answered through a proxy: by name, without keys, values or texts. Any thread may add and
/// ask.
public final class SlowOperations: Sendable {
    public struct Entry: Sendable {
        /// Milliseconds since 1970.
        public let atMs: Int64
        /// From a closed set: `get`, `config|get`, a statement's fingerprint, a route.
        public let name: String
        public let durationNs: Int
        public let replyBytes: Int
    }

    private static let most = 128
    private let entries = Mutex<[Entry]>([])

    public init() {}

    public func add(_ name: String, durationNs: Int, replyBytes: Int) {
        let entry = Entry(
            atMs: WallClock.nowMilliseconds, name: name, durationNs: durationNs, replyBytes: replyBytes)
        entries.withLock { entries in
            if entries.count == Self.most { entries.removeFirst() }
            entries.append(entry)
        }
    }

    /// The newest first.
    public var newest: [Entry] { entries.withLock { $0.reversed() } }
}
