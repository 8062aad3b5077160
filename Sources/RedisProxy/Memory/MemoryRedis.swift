import Runtime
import Synchronization

/// A small Redis in this process: strings, hashes, expiry and the generic commands. It stands in where no Redis is
/// configured, and, where that is asked for, while it is gone.
///
/// Calls may come from any thread; each takes one lock for as long as the command runs. Nothing is written to disk.
/// Commands it does not have are refused by name. What belongs to a connection (`AUTH`, `HELLO`, `CLIENT`, `QUIT`, and
/// between `MULTI` and `EXEC` the queue) is the caller's.
public final class MemoryRedis: Sendable {
    public struct Limits: Sendable, Equatable {
        /// By our own account; the process takes somewhat more or less.
        public var bytes = 64 << 20
        public var eviction = MemoryEviction.none
        public var databases = 16

        public init() {}
    }

    /// What happened since the start.
    public struct Statistics: Sendable, Equatable {
        public internal(set) var commands = 0
        public internal(set) var errors = 0
        public internal(set) var hits = 0
        public internal(set) var misses = 0
        public internal(set) var expired = 0
        public internal(set) var evicted = 0
    }

    /// A key that a client watches, and the version it had then.
    public struct Watched: Sendable, Equatable {
        public let key: [UInt8]
        public let database: Int
        let version: UInt64
    }

    private let store: Mutex<MemoryStore>

    public init(limits: Limits = Limits(), nowMs: Int = Int(WallClock.nowMilliseconds)) {
        precondition(limits.databases > 0)
        store = Mutex(MemoryStore(limits: limits, nowMs: nowMs))
    }

    /// Runs one command and appends its reply.
    ///
    /// - Parameters:
    ///   - words: ranges of `bytes`; at least one.
    ///   - database: the one that the client has selected, which `SELECT` changes.
    ///   - nowMs: milliseconds since 1970.
    public func run(
        _ words: [Range<Int>], in bytes: Span<UInt8>, database: inout Int, version: RESPVersion = .two,
        nowMs: Int = Int(WallClock.nowMilliseconds), reply: inout [UInt8]
    ) {
        let copies = words.map { range in
            var copy: [UInt8] = []
            copy.append(bytes: bytes.extracting(range))
            return copy
        }
        var call = MemoryCall(words: copies, nowMs: nowMs, version: version, database: database)
        swap(&call.reply, &reply)
        store.withLock { $0.run(&call) }
        swap(&call.reply, &reply)
        database = call.database
    }

    /// Runs commands with no other between them, unless one of the watched keys was changed since: `EXEC`.
    ///
    /// - Parameter commands: their words, with the names in front; checked by `refusal(of:)` when they were queued.
    /// - Returns: whether they ran. The reply is an array of theirs, or null.
    public func run(
        transaction commands: [[[UInt8]]], unlessChanged watched: [Watched], database: inout Int,
        version: RESPVersion = .two, nowMs: Int = Int(WallClock.nowMilliseconds), reply: inout [UInt8]
    ) -> Bool {
        store.withLock { store in
            store.expire(nowMs)
            guard watched.allSatisfy({ store.version(of: $0.key, in: $0.database) == $0.version }) else {
                reply.append(nullArrayIn: version)
                return false
            }
            reply.append(arrayOf: commands.count)
            for words in commands {
                var call = MemoryCall(words: words, nowMs: nowMs, version: version, database: database)
                store.run(&call)
                database = call.database
                reply.append(bytes: call.reply.span)
            }
            return true
        }
    }

    /// Remembers a key as it is now: `WATCH`.
    public func watch(
        _ key: [UInt8], database: Int, nowMs: Int = Int(WallClock.nowMilliseconds)
    ) -> Watched {
        store.withLock { store in
            store.expire(nowMs)
            return Watched(key: key, database: database, version: store.version(of: key, in: database))
        }
    }

    /// Why a command can never run, as an error reply without its dash and line end; nil where it can. For queueing
    /// after `MULTI`.
    public func refusal(of words: [[UInt8]]) -> String? {
        do throws(MemoryFault) {
            _ = try MemoryCommands.handler(for: MemoryCall(words: words, nowMs: 0, version: .two, database: 0))
            return nil
        } catch {
            return error.text
        }
    }

    /// Sets room aside for what clients have waiting: queued commands and watched keys. What little they usually have
    /// always finds some.
    ///
    /// - Returns: false when there is none.
    public func hold(_ bytes: Int) -> Bool { store.withLock { $0.hold(bytes) } }
    public func release(_ bytes: Int) { store.withLock { $0.release(bytes) } }

    /// Removes what has expired, also from databases that nobody asks any more. Call it every second or so.
    public func expire(nowMs: Int = Int(WallClock.nowMilliseconds)) { store.withLock { $0.expire(nowMs) } }

    public var statistics: Statistics { store.withLock { $0.statistics } }
    public var sizeBytes: Int { store.withLock { $0.sizeBytes } }
    /// In all databases.
    public var keys: Int { store.withLock { $0.databases.reduce(0) { $0 + $1.table.count } } }
}

/// Which keys go when there is no room, named as in Redis' `maxmemory-policy`.
public enum MemoryEviction: String, Sendable, CaseIterable {
    case none = "noeviction"
    case anyLeastRecentlyUsed = "allkeys-lru"
    case anyRandom = "allkeys-random"
    case volatileLeastRecentlyUsed = "volatile-lru"
    case volatileSoonest = "volatile-ttl"

    var takesAnyKey: Bool { self == .anyLeastRecentlyUsed || self == .anyRandom }
}
