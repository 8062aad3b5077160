import LocalServers

extension LocalRedis {
    /// Keys of every type in two databases, a stream with a group, errors, an expiry, a slow command and a latency spike.
    func seed() async throws {
        try await command("SET", "text", "hello, \"world\"")
        try await command("SET", "number", "42.5")
        try await command("SET", "session:1", "x", "EX", "1000")
        try await command("RPUSH", "list", "a", "b", "c")
        try await command("SADD", "set", "a", "b")
        try await command("ZADD", "zset", "1", "a")
        try await command("HSET", "hash", "a", "1", "b", "2")
        try await command("PFADD", "visitors", "ann", "bob", "cid")
        try await command("XADD", "events", "1700000000000-0", "kind", "login")
        try await command("XADD", "events", "1700000000001-0", "kind", "logout")
        try await command("XGROUP", "CREATE", "events", "workers", "0")
        try await command("XREADGROUP", "GROUP", "workers", "w1", "COUNT", "1", "STREAMS", "events", ">")
        try await command("-n", "3", "SET", "elsewhere", "7")
        _ = try? await command("LPUSH", "text", "wrong type")
        try await command("GET", "number")
        try await command("GET", "absent")
        try await command("CONFIG", "SET", "latency-monitor-threshold", "1")
        try await command("CONFIG", "SET", "slowlog-log-slower-than", "1000")
        try await command("EVAL", "local n = 0 for i = 1, 2000000 do n = n + i end return n", "0")
        // A busy machine must not add to what the test compares.
        try await command("CONFIG", "SET", "latency-monitor-threshold", "100000")
        try await command("CONFIG", "SET", "slowlog-log-slower-than", "100000000")
    }
}
