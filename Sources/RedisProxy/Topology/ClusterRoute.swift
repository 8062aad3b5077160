/// Where in a cluster a command goes, as far as its name tells. `ClusterTarget` adds what the words say.
///
/// Redis' own hints for clients (`request_policy` and `response_policy` of `COMMAND`) are followed, with these exceptions:
/// commands over many keys are not taken apart, so `DEL` of keys in two slots is refused as Redis itself does; and what no
/// client could make sense of when it is merged (`INFO`, `LATENCY LATEST`, `MEMORY STATS`) tells of one node.
public enum ClusterRoute: Hashable, Sendable {
    /// To the node that has its keys; to any where it names none.
    case keys
    /// The same for the channels of sharded publish and subscribe: the next `count` words, or all that follow.
    case shardChannels(count: Int?)
    /// To the node that has the slot whose number is the word behind the name.
    case slotNumber
    /// Every node says the same, or passes it on to the others itself.
    case anyNode
    /// About a single node: always to the same, so that what it tells one time fits what it told before.
    case oneNode
    /// About the connection it comes on: to the node of the client's own connection, or answered by the proxy. `MULTI` has
    /// to wait for the first key that follows, because a transaction is one node's.
    case connection
    /// To all masters, whose replies become one.
    case everyMaster(FanOut.Merge)
    /// To all masters and their replicas.
    case everyNode(FanOut.Merge)
    /// Through one node after the other: `ClusterScan`.
    case scan
    /// Changes or copies one node, which cannot be named through the proxy: `refusal`.
    case refused

    /// Cheap: worked out once for all commands.
    public init(_ command: Command) { self = Self.routes[Int(command.id.index)] }

    /// What a refused command is told.
    public static func refusal(of command: Command) -> String {
        let name = CommandTable.shared.fullName(of: command).uppercased().split(separator: "|").joined(separator: " ")
        return "ERR \(name) concerns a single node of the cluster: connect to that node without the proxy"
    }

    private static let routes: [ClusterRoute] = {
        let named = Dictionary(uniqueKeysWithValues: byName.flatMap { route, names in names.map { ($0, route) } })
        return CommandTable.shared.commands.map { command in
            let name = CommandTable.shared.fullName(of: command)
            if let route = named[name] ?? byShape(command) { return route }
            preconditionFailure("no route through a cluster for \(name)")
        }
    }()

    /// Follows from what the row says anyway; nil where a name has to be in `byName`.
    private static func byShape(_ command: Command) -> ClusterRoute? {
        if command.keys != .none { return .keys }
        switch command.lane {
        case .session, .transaction: return .connection
        case .refused: return .refused
        default: break
        }
        // Of a container that has no subcommand by that name Redis says so itself.
        return command.has(.container) || command.name.description == "help" ? .anyNode : nil
    }

    /// Commands without keys, and those that are routed in spite of what their rows say.
    static let byName: [(ClusterRoute, [String])] = [
        (
            .anyNode,
            [
                "acl|cat", "acl|genpass", "acl|whoami", "cluster|info", "cluster|keyslot", "cluster|nodes",
                "cluster|replicas", "cluster|shards", "cluster|slaves", "cluster|slots", "command|count",
                "command|docs",
                "command|getkeys", "command|getkeysandflags", "command|info", "command|list", "echo", "lolwut",
                "pfselftest", "ping", "psubscribe", "publish", "punsubscribe", "subscribe", "time", "unsubscribe",
                // Refused by every node of a cluster, each in its own words.
                "failover", "replicaof", "slaveof", "swapdb",
            ]
        ),
        (
            .oneNode,
            [
                "acl|dryrun", "acl|getuser", "acl|list", "acl|log", "acl|users", "bgrewriteaof", "bgsave",
                "cluster|count-failure-reports", "cluster|links", "cluster|myid", "config|get", "debug",
                "function|dump",
                "function|list", "function|stats", "info", "lastsave", "latency|doctor", "latency|graph",
                "latency|histogram", "latency|history", "latency|latest", "memory|doctor", "memory|malloc-stats",
                "memory|stats", "module|list", "monitor", "pubsub|channels", "pubsub|numpat", "pubsub|numsub",
                "pubsub|shardchannels", "pubsub|shardnumsub", "role", "save",
            ]
        ),
        (.slotNumber, ["cluster|countkeysinslot", "cluster|getkeysinslot"]),
        (.shardChannels(count: 1), ["spublish"]),
        (.shardChannels(count: nil), ["ssubscribe", "sunsubscribe"]),
        (.scan, ["scan"]),
        (.everyMaster(.sum), ["dbsize"]),
        (.everyMaster(.least), ["wait"]),
        (.everyMaster(.allTrue), ["script|exists"]),
        (.everyMaster(.concatenated), ["keys"]),
        (.everyMaster(.oneOf), ["randomkey"]),
        (.everyMaster(.oneSucceeded), ["function|kill", "script|kill"]),
        (
            .everyMaster(.allSucceeded),
            [
                "flushall", "flushdb", "function|delete", "function|flush", "function|load", "function|restore",
                "memory|purge",
            ]
        ),
        (.everyNode(.sum), ["slowlog|len"]),
        (.everyNode(.concatenated), ["slowlog|get"]),
        (
            .everyNode(.allSucceeded),
            [
                "acl|deluser", "acl|load", "acl|save", "acl|setuser", "config|resetstat", "config|rewrite",
                "config|set",
                "latency|reset", "script|flush", "script|load", "slowlog|reset",
            ]
        ),
        (
            .refused,
            [
                "cluster|addslots", "cluster|addslotsrange", "cluster|bumpepoch", "cluster|delslots",
                "cluster|delslotsrange", "cluster|failover", "cluster|flushslots", "cluster|forget", "cluster|meet",
                "cluster|replicate", "cluster|reset", "cluster|saveconfig", "cluster|set-config-epoch",
                "cluster|setslot", "module|load", "module|loadex", "module|unload", "psync", "replconf",
                "script|debug", "shutdown", "sync",
            ]
        ),
    ]
}
