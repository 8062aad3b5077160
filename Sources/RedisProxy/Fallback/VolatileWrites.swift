import Runtime

/// What the in-memory Redis may do in the place of a Redis that is gone: reading and overwriting plain strings and hashes.
///
/// Not counters, which would go on from nothing; not `SET … NX` and its relatives, which are locks that would be granted
/// twice; not what removes or counts keys that only the real Redis knows.
public enum VolatileWrites {
    private static let names: Set<String> = [
        "get", "mget", "strlen", "getrange", "exists", "ttl", "pttl", "expiretime", "pexpiretime", "type",
        "set", "setex", "psetex", "mset", "del", "unlink", "expire", "pexpire", "expireat", "pexpireat", "persist",
        "hget", "hmget", "hgetall", "hexists", "hlen", "hkeys", "hvals", "hstrlen", "hset", "hmset", "hdel",
        "ping", "echo",
    ]

    private static let allowed: [Bool] = CommandTable.shared.commands.map {
        $0.container == nil && names.contains("\($0.name)")
    }

    /// Commands that give an answer of their own only once: allowed where somebody opted in.
    private static let counters: [Bool] = CommandTable.shared.commands.map {
        ["incr", "decr", "incrby", "decrby", "incrbyfloat", "hincrby", "hincrbyfloat", "append", "setrange"].contains(
            "\($0.name)")
    }

    private static let locks: [Bool] = CommandTable.shared.commands.map {
        ["setnx", "msetnx", "hsetnx", "getset", "getdel"].contains("\($0.name)")
    }

    private static let set = CommandTable.shared.find("set".utf8.span, in: nil)?.id

    /// - Parameters:
    ///   - words: ranges of `bytes`.
    ///   - counters: opted in to counters that start from nothing.
    ///   - locks: opted in to conditional writes that others may be granted as well.
    public static func allows(
        _ command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>, counters: Bool = false, locks: Bool = false
    ) -> Bool {
        let index = Int(command.id.index)
        if counters, Self.counters[index] { return true }
        if locks, Self.locks[index] { return true }
        guard allowed[index] else { return false }
        guard !locks, command.id == set else { return true }
        for word in words.dropFirst(3)
        where bytes.isWord("nx", word) || bytes.isWord("xx", word) || bytes.isWord("get", word) {
            return false
        }
        return true
    }
}
