/// Keys of any type, scripts, messages and transactions.
extension CommandRow {
    static let keyspace: [CommandRow] = [
        .write("copy", -3, .keys(1...2), [.grows, .otherDatabase]),
        .read("dbsize", 1),
        .write("del", -2, .keys),
        .read("dump", 2, .key),
        .read("exists", -2, .keys, .cacheable),
        .write("expire", -3, .key),
        .write("expireat", -3, .key),
        .read("expiretime", 2, .key, .cacheable),
        .write("flushall", -1, .none, .flushes, lane: .slow),
        .write("flushdb", -1, .none, .flushes, lane: .slow),
        .read("keys", 2, lane: .slow),
        .container(
            "memory",
            [
                .other("doctor", 2, lane: .slow),
                .other("help", 2),
                .other("malloc-stats", 2, lane: .slow),
                .other("purge", 2, lane: .slow),
                .other("stats", 2, lane: .slow),
                .read("usage", -3, .key(at: 2)),
            ]),
        .write("migrate", -6, .migrate, lane: .slow),
        .write("move", 3, .key, .otherDatabase),
        .container(
            "object",
            [
                .read("encoding", 3, .key(at: 2)),
                .read("freq", 3, .key(at: 2)),
                .other("help", 2),
                .read("idletime", 3, .key(at: 2)),
                .read("refcount", 3, .key(at: 2)),
            ]),
        .write("persist", 2, .key),
        .write("pexpire", -3, .key),
        .write("pexpireat", -3, .key),
        .read("pexpiretime", 2, .key, .cacheable),
        .read("pttl", 2, .key),
        .read("randomkey", 1),
        .write("rename", 3, .keys(1...2)),
        .write("renamenx", 3, .keys(1...2)),
        .write("restore", -4, .key, .grows, lane: .slow),
        .write("restore-asking", -4, .key, .grows, lane: .slow),
        .read("scan", -2),
        .write("sort", -2, .sort, .grows, lane: .slow),
        .read("sort_ro", -2, .key, lane: .slow),
        .write("swapdb", 3, .none, .flushes),
        .read("touch", -2, .keys),
        .read("ttl", 2, .key),
        .read("type", 2, .key, .cacheable),
        .write("unlink", -2, .keys),
    ]

    static let scripting: [CommandRow] = [
        .write("eval", -3, .counted(at: 2), .arbitrary, lane: .slow),
        .read("eval_ro", -3, .counted(at: 2), .arbitrary, lane: .slow),
        .write("evalsha", -3, .counted(at: 2), .arbitrary, lane: .slow),
        .read("evalsha_ro", -3, .counted(at: 2), .arbitrary, lane: .slow),
        .write("fcall", -3, .counted(at: 2), .arbitrary, lane: .slow),
        .read("fcall_ro", -3, .counted(at: 2), .arbitrary, lane: .slow),
        .container(
            "function",
            [
                .write("delete", 3),
                .other("dump", 2, lane: .slow),
                .write("flush", -2, lane: .slow),
                .other("help", 2),
                .other("kill", 2),
                .other("list", -2),
                .write("load", -3, .none, .grows, lane: .slow),
                .write("restore", -3, .none, .grows, lane: .slow),
                .other("stats", 2),
            ]),
        .container(
            "script",
            [
                .other("debug", 3),
                .other("exists", -3),
                .other("flush", -2, lane: .slow),
                .other("help", 2),
                .other("kill", 2),
                .other("load", 3),
            ]),
    ]

    static let pubSub: [CommandRow] = [
        .other("psubscribe", -2, lane: .takeover),
        .other("publish", 3),
        .container(
            "pubsub",
            [
                .other("channels", -2),
                .other("help", 2),
                .other("numpat", 2),
                .other("numsub", -2),
                .other("shardchannels", -2),
                .other("shardnumsub", -2),
            ]),
        .other("punsubscribe", -1, lane: .takeover),
        .other("spublish", 3),
        .other("ssubscribe", -2, lane: .takeover),
        .other("subscribe", -2, lane: .takeover),
        .other("sunsubscribe", -1, lane: .takeover),
        .other("unsubscribe", -1, lane: .takeover),
    ]

    static let transaction: [CommandRow] = [
        .other("discard", 1, lane: .transaction),
        .other("exec", 1, lane: .transaction),
        .other("multi", 1, lane: .transaction),
        .other("unwatch", 1, lane: .transaction),
        .other("watch", -2, .keys, lane: .transaction),
    ]
}
