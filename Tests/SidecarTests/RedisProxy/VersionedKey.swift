import RedisTesting
import Runtime
import TestTools

/// A key whose value tells which write it came from, the ways to write and to read it, and its history.
struct VersionedKey: Sendable {
    enum Kind: String, Sendable, CaseIterable {
        case string, hash, list, sortedSet
    }

    let name: String
    let kind: Kind
    let history: KeyHistory

    /// A way to read: its commands, the last of whose replies tells, and how.
    struct Read: Sendable {
        let commands: [[String]]
        var isPlain = false
        /// The value in that reply; nil for none. Throws `Unreadable`.
        let value: @Sendable (Reply) throws -> Reply?
    }

    /// A way to write, and what has come of it.
    struct Write: Sendable {
        enum Outcome { case written, removed, nothing }

        let commands: [[String]]
        /// The command whose source may have been removed by others before, and what it has done then.
        var store: (place: Int, withoutSource: Outcome)?

        func outcome(_ replies: [Reply]) -> Outcome {
            for reply in replies {
                if case .error = reply { return .nothing }
            }
            if commands.last == ["EXEC"], replies.last == .null { return .nothing }
            if let store, replies[store.place].integer == 0 { return store.withoutSource }
            return .written
        }
    }

    /// The reply is not one of this command.
    struct Unreadable: Error {
        let reply: Reply
    }

    // MARK: Writing

    /// A way to write that number.
    ///
    /// - Parameter plain: without what puts the connection on another path through the proxy.
    func write(_ number: Int, life: Duration?, plain: Bool, _ random: inout Seeded) -> Write {
        let ways = writes(number, life: life)
        return random.pick(plain ? ways.filter { Self.isPlain($0.commands) } : ways)
    }

    private func writes(_ number: Int, life: Duration?) -> [Write] {
        let text = encoded(number)
        if let life {
            let milliseconds = "\(life.milliseconds)"
            return [
                Write(commands: [["SET", name, text, "PX", milliseconds]]),
                Write(commands: [["PSETEX", name, milliseconds, text]]),
                Write(commands: [["MULTI"], ["SET", name, text], ["PEXPIRE", name, milliseconds], ["EXEC"]]),
                Write(commands: [
                    [
                        "EVAL", "return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])", "1", name, text,
                        milliseconds,
                    ]
                ]),
            ]
        }
        let other = "other:\(name):\(number)"
        switch kind {
        case .string:
            return [
                Write(commands: [["SET", name, text]]), Write(commands: [["SET", name, text]]),
                Write(commands: [["SET", name, text]]),
                Write(commands: [["SET", name, text, "GET"]]), Write(commands: [["GETSET", name, text]]),
                Write(commands: [["SETEX", name, "1000", text]]),
                Write(commands: [["MSET", "beside", "1", name, text]]),
                Write(commands: [["MULTI"], ["SET", name, text], ["EXEC"]]),
                Write(commands: [["WATCH", "nothing"], ["MULTI"], ["SET", name, text], ["EXEC"]]),
                Write(commands: [["SET", other, text], ["RENAME", other, name]]),
                Write(
                    commands: [
                        ["SET", other, text, "EX", "10"], ["COPY", other, name, "REPLACE"], ["PERSIST", name],
                    ], store: (1, .nothing)),
                Write(
                    commands: [["SET", other, text, "EX", "10"], ["BITOP", "OR", name, other]], store: (1, .removed)),
                Write(commands: [["EVAL", "return redis.call('SET', KEYS[1], ARGV[1])", "1", name, text]]),
                Write(commands: [["EVAL", "return redis.call('SET', ARGV[1], ARGV[2])", "0", name, text]]),
            ]
        case .hash:
            return [
                Write(commands: [["HSET", name, "f", text]]),
                Write(commands: [["HMSET", name, "f", text, "beside", "1"]]),
                Write(commands: [["MULTI"], ["DEL", name], ["HSET", name, "f", text], ["EXEC"]]),
                Write(commands: [["EVAL", "return redis.call('HSET', ARGV[1], 'f', ARGV[2])", "0", name, text]]),
            ]
        case .list:
            return [
                Write(commands: [["MULTI"], ["DEL", name], ["RPUSH", name, text], ["EXEC"]]),
                Write(commands: [["LPUSH", name, text], ["LTRIM", name, "0", "0"]]),
                Write(commands: [["RPUSH", other, text], ["RENAME", other, name]]),
                Write(
                    commands: [
                        ["RPUSH", other, text], ["SORT", other, "BY", "nosort", "STORE", name], ["DEL", other],
                    ], store: (1, .removed)),
            ]
        case .sortedSet:
            return [
                Write(commands: [["ZADD", name, "\(number)", "m"]]),
                Write(
                    commands: [
                        ["ZADD", other, "\(number)", "m"], ["ZUNIONSTORE", name, "1", other], ["DEL", other],
                    ], store: (1, .removed)),
                Write(
                    commands: [
                        ["ZADD", other, "\(number)", "m"], ["ZRANGESTORE", name, other, "0", "-1"], ["DEL", other],
                    ], store: (1, .removed)),
            ]
        }
    }

    func removal(_ random: inout Seeded) -> [[String]] {
        random.pick([
            [["DEL", name]], [["UNLINK", name]], [["EXPIREAT", name, "1"]], [["MULTI"], ["DEL", name], ["EXEC"]],
        ])
    }

    // MARK: Reading

    /// - Parameter plain: by one command that depends on nothing but its keys.
    func read(plain: Bool, _ random: inout Seeded) -> Read {
        random.pick(plain ? reads.filter { Self.isPlain($0.commands) } : reads)
    }

    private static func isPlain(_ commands: [[String]]) -> Bool {
        commands.allSatisfy { !["MULTI", "WATCH", "EVAL", "EVAL_RO", "SORT"].contains($0[0]) }
    }

    /// Every way to read it.
    var reads: [Read] {
        switch kind {
        case .string:
            [
                Read(commands: [["GET", name]], isPlain: true) { $0 },
                Read(commands: [["GET", name]], isPlain: true) { $0 },
                Read(commands: [["GET", name]], isPlain: true) { $0 },
                Read(commands: [["MGET", name, "nothing"]]) { try element(0, of: 2, $0) },
                Read(commands: [["MGET", "beside", name, name]]) { try element(2, of: 3, $0) },
                Read(commands: [["GETRANGE", name, "0", "-1"]]) { $0.text.isEmpty ? nil : $0 },
                Read(commands: [["GETEX", name]]) { $0 },
                Read(commands: [["MULTI"], ["GET", name], ["EXEC"]]) { try element(0, of: 1, $0) },
                Read(commands: [["EVAL_RO", "return redis.call('GET', KEYS[1])", "1", name]]) { $0 },
            ]
        case .hash:
            [
                Read(commands: [["HGET", name, "f"]], isPlain: true) { $0 },
                Read(commands: [["HMGET", name, "g", "f"]]) { try element(1, of: 2, $0) },
                Read(commands: [["HGETALL", name]]) { reply in
                    guard let place = reply.elements.firstIndex(where: { $0.text == "f" }) else { return nil }
                    return reply.elements[place + 1]
                },
                Read(commands: [["HVALS", name]]) { $0.elements.first { $0.text.contains(":") } },
            ]
        case .list:
            [
                Read(commands: [["LINDEX", name, "0"]], isPlain: true) { $0 },
                Read(commands: [["LRANGE", name, "0", "-1"]]) { $0.elements.first },
                Read(commands: [["LRANGE", name, "0", "0"]]) { $0.elements.first },
            ]
        case .sortedSet:
            [
                Read(commands: [["ZSCORE", name, "m"]], isPlain: true) { $0 },
                Read(commands: [["ZMSCORE", name, "m"]]) { try element(0, of: 1, $0) },
                Read(commands: [["ZRANGE", name, "0", "-1", "WITHSCORES"]]) { reply in
                    // RESP3 nests the pairs.
                    reply.elements.first?.elements.last ?? reply.elements.last
                },
            ]
        }
    }

    /// The number of the write that a value came from.
    func number(in value: Reply?) throws -> Int? {
        guard let value, value != .null else { return nil }
        if kind == .sortedSet {
            guard let score = Double(value.text) else { throw Unreadable(reply: value) }
            return Int(score)
        }
        let parts = value.text.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == name, let number = Int(parts[1]) else { throw Unreadable(reply: value) }
        return number
    }

    private func encoded(_ number: Int) -> String {
        "\(name):\(number):" + String(repeating: "x", count: number % 50 == 0 ? 3000 : number % 40)
    }
}

private func element(_ place: Int, of count: Int, _ reply: Reply) throws -> Reply? {
    guard reply.elements.count == count else { throw VersionedKey.Unreadable(reply: reply) }
    return reply.elements[place]
}
