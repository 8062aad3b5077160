import Runtime

/// Commands about the server itself.
extension MemoryCommands {
    static let server: [MemoryCommand] = [
        MemoryCommand("ping") { (store, call) throws(MemoryFault) in
            guard call.words.count <= 2 else { throw .arity("ping") }
            if call.words.count == 2 { call.answer(bulk: call.words[1]) } else { call.answer(status: "PONG") }
        },
        MemoryCommand("echo") { (store, call) throws(MemoryFault) in call.answer(bulk: call.words[1]) },
        MemoryCommand("select") { (store, call) throws(MemoryFault) in
            call.database = try store.database(call, at: 1)
            call.answer(status: "OK")
        },
        MemoryCommand("time") { (store, call) throws(MemoryFault) in
            call.reply.append(arrayOf: 2)
            call.reply.append(bulk: "\(call.nowMs / 1000)")
            call.reply.append(bulk: "\(call.nowMs % 1000 * 1000)")
        },
        MemoryCommand("info") { (store, call) throws(MemoryFault) in store.answerInfo(&call) },
        MemoryCommand("config|get") { (store, call) throws(MemoryFault) in
            let patterns = call.words.dropFirst(2).map { RedisPattern($0, ignoresCase: true) }
            let found = store.configuration.filter { name, _ in patterns.contains { $0.matches(Array(name.utf8)) } }
            call.reply.append(mapOf: found.count, call.version)
            for (name, value) in found {
                call.reply.append(bulk: name)
                call.reply.append(bulk: value)
            }
        },
        MemoryCommand("command") { (store, call) throws(MemoryFault) in
            call.reply.append(arrayOf: names.count)
            for name in names { answerRow(&call, name) }
        },
        MemoryCommand("command|count") { (store, call) throws(MemoryFault) in call.answer(names.count) },
        MemoryCommand("command|list") { (store, call) throws(MemoryFault) in
            guard call.words.count == 2 else { throw .syntax }
            call.reply.append(arrayOf: names.count)
            for name in names { call.reply.append(bulk: name) }
        },
        MemoryCommand("command|info") { (store, call) throws(MemoryFault) in
            let asked = call.words.dropFirst(2).map { String(decoding: $0, as: UTF8.self).lowercased() }
            call.reply.append(arrayOf: asked.count)
            for name in asked {
                if names.contains(name) {
                    answerRow(&call, name)
                } else {
                    call.reply.append(nullArrayIn: call.version)
                }
            }
        },
        // Clients take these to explain commands to people, and do without.
        MemoryCommand("command|docs") { (store, call) throws(MemoryFault) in call.reply.append(mapOf: 0, call.version)
        },
    ]

    /// First words only.
    private static let names = Set(all.map { String($0.name.prefix { $0 != "|" }) }).sorted()

    private static func answerRow(_ call: inout MemoryCall, _ name: String) {
        guard let command = CommandTable.shared.find(name.utf8.span, in: nil) else { return }
        call.reply.append(arrayOf: 6)
        call.reply.append(bulk: name)
        call.answer(Int(command.arity))
        let flags = [command.has(.write) ? "write" : nil, command.has(.read) ? "readonly" : nil].compactMap { $0 }
        call.reply.append(arrayOf: flags.count)
        for flag in flags { call.reply.append(status: flag) }
        var range = (0, 0, 0)
        if case .range(let first, let last, let step) = command.keys { range = (Int(first), Int(last), Int(step)) }
        call.answer(range.0)
        call.answer(range.1)
        call.answer(range.2)
    }
}

extension MemoryStore {
    fileprivate var configuration: [(String, String)] {
        [
            ("maxmemory", "\(limits.bytes == .max ? 0 : limits.bytes)"), ("maxmemory-policy", limits.eviction.rawValue),
            ("databases", "\(limits.databases)"), ("save", ""), ("appendonly", "no"),
            ("proto-max-bulk-len", "\(MemoryCommands.longestString)"),
        ]
    }

    fileprivate mutating func answerInfo(_ call: inout MemoryCall) {
        let asked = Set(call.words.dropFirst().map { String(decoding: $0, as: UTF8.self).lowercased() })
        let wantsAll = asked.isEmpty || !asked.isDisjoint(with: ["all", "default", "everything"])
        let chosen = information(nowMs: call.nowMs).filter { wantsAll || asked.contains($0.0.lowercased()) }
        let text = chosen.map { title, lines in
            "# \(title)\r\n" + lines.map { "\($0):\($1)\r\n" }.joined()
        }
        call.reply.append(bulk: text.joined(separator: "\r\n"))
    }

    private func information(nowMs: Int) -> [(String, [(String, String)])] {
        let keyspace = databases.enumerated().filter { !$0.element.table.isEmpty }.map { index, database in
            ("db\(index)", "keys=\(database.table.count),expires=\(database.volatileCount),avg_ttl=0")
        }
        return [
            (
                "Server",
                [
                    ("redis_version", "7.0.15"), ("redis_mode", "standalone"), ("outrigger_mode", "memory"),
                    ("uptime_in_seconds", "\((nowMs - startedMs) / 1000)"),
                ]
            ),
            (
                "Memory",
                [
                    ("used_memory", "\(sizeBytes)"), ("maxmemory", "\(limits.bytes == .max ? 0 : limits.bytes)"),
                    ("maxmemory_policy", limits.eviction.rawValue),
                ]
            ),
            ("Persistence", [("loading", "0"), ("rdb_bgsave_in_progress", "0"), ("aof_enabled", "0")]),
            (
                "Stats",
                [
                    ("total_commands_processed", "\(statistics.commands)"), ("expired_keys", "\(statistics.expired)"),
                    ("evicted_keys", "\(statistics.evicted)"), ("keyspace_hits", "\(statistics.hits)"),
                    ("keyspace_misses", "\(statistics.misses)"), ("total_error_replies", "\(statistics.errors)"),
                ]
            ),
            ("Replication", [("role", "master"), ("connected_slaves", "0")]),
            ("Cluster", [("cluster_enabled", "0")]),
            ("Keyspace", keyspace),
        ]
    }
}
