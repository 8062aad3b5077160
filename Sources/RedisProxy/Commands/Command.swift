/// What the proxy knows about a command of Redis: a row of the `CommandTable`. A plain value without references, so
/// that finding one costs no counting.
public struct Command: Sendable, Identifiable {
    /// Its place in `CommandTable.commands`.
    public let id: ID
    /// In lower case; of a subcommand only its own, such as `get` of `CONFIG GET`.
    public let name: StaticString
    /// The container a subcommand belongs to.
    public let container: ID?
    /// As Redis counts: all words including the names; negative for "at least".
    public let arity: Int8
    public let keys: KeyRule
    public let traits: Traits
    public let lane: Lane
    public let family: Family

    public struct ID: Hashable, Sendable {
        public let index: UInt16
    }

    /// What it does to keys and connections.
    public struct Traits: OptionSet, Sendable {
        public let rawValue: UInt16
        public init(rawValue: UInt16) { self.rawValue = rawValue }

        /// May change keys. Those that `keys` tells, unless `arbitrary` or `flushes` is there as well.
        public static let write = Traits(rawValue: 1 << 0)
        public static let read = Traits(rawValue: 1 << 1)
        /// For operators.
        public static let admin = Traits(rawValue: 1 << 2)
        /// The reply follows from what is stored under its keys and from nothing else, and stays right until one of them
        /// is changed or expires.
        public static let cacheable = Traits(rawValue: 1 << 3)
        /// Redis may give the same elements in another order the next time.
        public static let unordered = Traits(rawValue: 1 << 4)
        /// Runs code that may touch more keys than it declares.
        public static let arbitrary = Traits(rawValue: 1 << 5)
        /// Changes keys without naming them.
        public static let flushes = Traits(rawValue: 1 << 6)
        /// May make the data larger: refused by a Redis that is full.
        public static let grows = Traits(rawValue: 1 << 7)
        /// Some of its forms may be acknowledged before Redis has seen them; `WritePlan` says which.
        public static let writeBehind = Traits(rawValue: 1 << 8)
        /// May change a key of another database.
        public static let otherDatabase = Traits(rawValue: 1 << 9)
        /// It has subcommands. This row stands for one that is missing, or unknown and so capable of anything.
        public static let container = Traits(rawValue: 1 << 10)
    }

    /// On which kind of upstream connection it may go.
    public enum Lane: UInt8, Sendable, CaseIterable {
        /// Among the commands of other clients.
        case shared
        /// Like `shared`, but it may take long: apart from those that do not.
        case slow
        /// It may wait for what others do: on a connection of its own. `XREAD` only with `BLOCK`.
        case blocking
        /// Begins, ends or belongs to a transaction: on the connection that is the client's until it ends.
        case transaction
        /// Tells or changes the state of the client's own connection.
        case session
        /// From here on the connection carries messages nobody asked for.
        case takeover
        /// No client of Redis says this: close.
        case refused
    }

    /// For metrics, which need a closed set.
    public enum Family: UInt8, Sendable, CaseIterable {
        case string, bitmap, hyperLogLog, hash, list, set, sortedSet, geo, stream
        case keyspace, scripting, pubSub, transaction, connection, server, cluster
        /// Commands this table has never heard of.
        case unknown

        /// As a label's value.
        public var label: String {
            switch self {
            case .hyperLogLog: "hyperloglog"
            case .sortedSet: "sorted_set"
            case .pubSub: "pubsub"
            default: "\(self)"
            }
        }
    }

    /// Whether Redis takes this many words.
    public func takes(words count: Int) -> Bool { arity >= 0 ? count == Int(arity) : count >= -Int(arity) }

    public func has(_ traits: Traits) -> Bool { self.traits.isSuperset(of: traits) }
}
