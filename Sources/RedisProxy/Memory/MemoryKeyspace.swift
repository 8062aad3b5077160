import Runtime

/// Commands on keys of any type.
extension MemoryCommands {
    static let keyspace: [MemoryCommand] = [
        MemoryCommand("del") { (store, call) throws(MemoryFault) in store.removeKeys(&call) },
        MemoryCommand("unlink") { (store, call) throws(MemoryFault) in store.removeKeys(&call) },
        MemoryCommand("exists") { (store, call) throws(MemoryFault) in store.countKeys(&call) },
        MemoryCommand("touch") { (store, call) throws(MemoryFault) in store.countKeys(&call) },
        MemoryCommand("type") { (store, call) throws(MemoryFault) in
            let entry = store.databases[call.database].entry(call.key, nowMs: call.nowMs)
            call.answer(status: entry?.value.typeName ?? "none")
        },
        MemoryCommand("expire") { (store, call) throws(MemoryFault) in try store.expire(&call, "expire", unitMs: 1000)
        },
        MemoryCommand("pexpire") { (store, call) throws(MemoryFault) in try store.expire(&call, "pexpire", unitMs: 1) },
        MemoryCommand("expireat") { (store, call) throws(MemoryFault) in
            try store.expire(&call, "expireat", unitMs: 1000, isAbsolute: true)
        },
        MemoryCommand("pexpireat") { (store, call) throws(MemoryFault) in
            try store.expire(&call, "pexpireat", unitMs: 1, isAbsolute: true)
        },
        MemoryCommand("ttl") { (store, call) throws(MemoryFault) in store.answerExpiry(&call) { seconds($0 - $1) }
        },
        MemoryCommand("pttl") { (store, call) throws(MemoryFault) in store.answerExpiry(&call) { $0 - $1 } },
        MemoryCommand("expiretime") { (store, call) throws(MemoryFault) in
            store.answerExpiry(&call) { due, _ in seconds(due) }
        },
        MemoryCommand("pexpiretime") { (store, call) throws(MemoryFault) in store.answerExpiry(&call) { due, _ in due }
        },
        MemoryCommand("persist") { (store, call) throws(MemoryFault) in
            let isVolatile = store.databases[call.database].entry(call.key, nowMs: call.nowMs)?.expiresAtMs != nil
            if isVolatile { store.databases[call.database].setExpiry(call.key, nil, version: store.nextVersion()) }
            call.answer(isVolatile)
        },
        MemoryCommand("rename") { (store, call) throws(MemoryFault) in
            try store.rename(call)
            call.answer(status: "OK")
        },
        MemoryCommand("renamenx") { (store, call) throws(MemoryFault) in
            guard store.exists(call.key, call) else { throw .noSuchKey }
            guard !store.exists(call.words[2], call) else { return call.answer(0) }
            try store.rename(call)
            call.answer(1)
        },
        MemoryCommand("copy") { (store, call) throws(MemoryFault) in try store.copy(&call) },
        MemoryCommand("move") { (store, call) throws(MemoryFault) in
            let target = try store.database(call, at: 2)
            guard target != call.database else { throw .sameObject }
            call.answer(store.transfer(call.key, to: call.key, in: target, replaces: false, removes: true, call))
        },
        MemoryCommand("keys") { (store, call) throws(MemoryFault) in
            let pattern = RedisPattern(call.words[1])
            var keys: [[UInt8]] = []
            store.databases[call.database].table.forEach { if pattern.matches($0.key) { keys.append($0.key) } }
            call.reply.append(arrayOf: keys.count)
            for key in keys { call.answer(bulk: key) }
        },
        MemoryCommand("scan") { (store, call) throws(MemoryFault) in
            let cursor = try ScanOptions.cursor(call, at: 1)
            let options = try ScanOptions(call, from: 2, takesType: true)
            var (elements, next) = options.scan(
                store.databases[call.database].table, from: cursor, count: options.count)
            if let type = options.type { elements.removeAll { !type.isWord($0.value.value.typeName) } }
            ScanOptions.answer(&call, next: next, elements.map(\.key))
        },
        MemoryCommand("randomkey") { (store, call) throws(MemoryFault) in
            call.answer(bulkOrNull: store.databases[call.database].table.random(using: &store.random)?.key)
        },
        MemoryCommand("dbsize") { (store, call) throws(MemoryFault) in
            call.answer(store.databases[call.database].table.count)
        },
        MemoryCommand("flushdb") { (store, call) throws(MemoryFault) in try store.flush(&call, [call.database]) },
        MemoryCommand("flushall") { (store, call) throws(MemoryFault) in
            try store.flush(&call, Array(store.databases.indices))
        },
        MemoryCommand("swapdb") { (store, call) throws(MemoryFault) in
            guard let first = call.words[1].strictInteger() else { throw .other("invalid first DB index") }
            guard let second = call.words[2].strictInteger() else { throw .other("invalid second DB index") }
            guard store.databases.indices.contains(first), store.databases.indices.contains(second) else {
                throw .noSuchDatabase
            }
            store.databases.swapAt(first, second)
            call.answer(status: "OK")
        },
    ]
}

extension MemoryCommands {
    /// Rounded to the nearest, half up, also where adding half would overflow.
    private static func seconds(_ milliseconds: Int) -> Int {
        milliseconds / 1000 + (milliseconds % 1000 >= 500 ? 1 : 0)
    }
}

extension MemoryStore {
    fileprivate mutating func removeKeys(_ call: inout MemoryCall) {
        var removed = 0
        for key in call.words.dropFirst() where remove(key, call) { removed += 1 }
        call.answer(removed)
    }

    fileprivate mutating func countKeys(_ call: inout MemoryCall) {
        var found = 0
        for key in call.words.dropFirst() where exists(key, call) { found += 1 }
        call.answer(found)
    }

    fileprivate mutating func expire(
        _ call: inout MemoryCall, _ name: String, unitMs: Int, isAbsolute: Bool = false
    ) throws(MemoryFault) {
        let condition = try ExpiryCondition(call)
        let moment = try MemoryExpiry.at(
            call.integer(at: 2), unitMs: unitMs, from: isAbsolute ? 0 : call.nowMs, command: name,
            mustBePositive: false)
        guard let entry = databases[call.database].entry(call.key, nowMs: call.nowMs),
            condition.allows(moment, instead: entry.expiresAtMs)
        else { return call.answer(0) }
        if moment <= call.nowMs {
            remove(call.key, call)
        } else {
            databases[call.database].setExpiry(call.key, moment, version: nextVersion())
        }
        call.answer(1)
    }

    /// - Parameter answer: from the moment of expiry and now.
    fileprivate mutating func answerExpiry(_ call: inout MemoryCall, _ answer: (Int, Int) -> Int) {
        guard let entry = databases[call.database].entry(call.key, nowMs: call.nowMs) else { return call.answer(-2) }
        call.answer(entry.expiresAtMs.map { answer($0, call.nowMs) } ?? -1)
    }

    fileprivate mutating func rename(_ call: MemoryCall) throws(MemoryFault) {
        guard exists(call.key, call) else { throw .noSuchKey }
        guard call.key != call.words[2] else { return }
        _ = transfer(call.key, to: call.words[2], in: call.database, replaces: true, removes: true, call)
    }

    fileprivate mutating func copy(_ call: inout MemoryCall) throws(MemoryFault) {
        var target = call.database
        var replaces = false
        var index = 3
        while index < call.words.count {
            if call.isWord(index, "replace") {
                replaces = true
            } else if call.isWord(index, "db"), index + 1 < call.words.count {
                target = try database(call, at: index + 1)
                index += 1
            } else {
                throw .syntax
            }
            index += 1
        }
        guard target != call.database || call.key != call.words[2] else { throw .sameObject }
        call.answer(transfer(call.key, to: call.words[2], in: target, replaces: replaces, removes: false, call))
    }

    /// Whether there was something to put there, and room for it.
    fileprivate mutating func transfer(
        _ key: [UInt8], to target: [UInt8], in database: Int, replaces: Bool, removes: Bool, _ call: MemoryCall
    ) -> Bool {
        guard let entry = databases[call.database].entry(key, nowMs: call.nowMs),
            replaces || databases[database].entry(target, nowMs: call.nowMs) == nil
        else { return false }
        if removes { remove(key, call) }
        databases[database].set(
            target, entry.value, expiresAtMs: entry.expiresAtMs, version: nextVersion(), nowMs: call.nowMs)
        return true
    }

    func database(_ call: MemoryCall, at index: Int) throws(MemoryFault) -> Int {
        let number = try call.integer(at: index)
        guard databases.indices.contains(number) else { throw .noSuchDatabase }
        return number
    }

    fileprivate mutating func flush(_ call: inout MemoryCall, _ indices: [Int]) throws(MemoryFault) {
        let isPlain = call.words.count == 1
        guard isPlain || call.words.count == 2 && (call.isWord(1, "async") || call.isWord(1, "sync")) else {
            throw .syntax
        }
        for index in indices { databases[index].removeAll(version: nextVersion()) }
        call.answer(status: "OK")
    }
}

/// `NX`, `XX`, `GT` and `LT` of `EXPIRE`. A key that stays counts as one that expires last.
private struct ExpiryCondition {
    private var onlyNew = false
    private var onlyExisting = false
    private var onlyLater = false
    private var onlySooner = false

    init(_ call: MemoryCall) throws(MemoryFault) {
        for index in 3..<max(3, call.words.count) {
            if call.isWord(index, "nx") {
                onlyNew = true
            } else if call.isWord(index, "xx") {
                onlyExisting = true
            } else if call.isWord(index, "gt") {
                onlyLater = true
            } else if call.isWord(index, "lt") {
                onlySooner = true
            } else {
                throw .other("Unsupported option \(String(decoding: call.words[index], as: UTF8.self))")
            }
        }
        if onlyNew, onlyExisting || onlyLater || onlySooner {
            throw .other("NX and XX, GT or LT options at the same time are not compatible")
        }
        if onlyLater, onlySooner { throw .other("GT and LT options at the same time are not compatible") }
    }

    func allows(_ moment: Int, instead former: Int?) -> Bool {
        if onlyNew, former != nil { return false }
        if onlyExisting, former == nil { return false }
        if onlyLater, moment <= former ?? .max { return false }
        if onlySooner, moment >= former ?? .max { return false }
        return true
    }
}
