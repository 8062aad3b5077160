import Runtime

/// Commands on strings.
extension MemoryCommands {
    static let strings: [MemoryCommand] = [
        MemoryCommand("get") { (store, call) throws(MemoryFault) in
            let value = try store.string(call.key, call)
            store.count(hit: value != nil)
            call.answer(bulkOrNull: value)
        },
        MemoryCommand("set") { (store, call) throws(MemoryFault) in try store.set(&call) },
        MemoryCommand("setnx") { (store, call) throws(MemoryFault) in
            let isNew = !store.exists(call.key, call)
            if isNew { store.set(call.key, .string(call.words[2]), call) }
            call.answer(isNew)
        },
        MemoryCommand("setex") { (store, call) throws(MemoryFault) in
            try store.setExpiring(&call, unitMs: 1000, name: "setex")
        },
        MemoryCommand("psetex") { (store, call) throws(MemoryFault) in
            try store.setExpiring(&call, unitMs: 1, name: "psetex")
        },
        MemoryCommand("getset") { (store, call) throws(MemoryFault) in
            let former = try store.string(call.key, call)
            store.set(call.key, .string(call.words[2]), call)
            call.answer(bulkOrNull: former)
        },
        MemoryCommand("getdel") { (store, call) throws(MemoryFault) in
            let former = try store.string(call.key, call)
            if former != nil { store.remove(call.key, call) }
            call.answer(bulkOrNull: former)
        },
        MemoryCommand("getex") { (store, call) throws(MemoryFault) in try store.getChangingExpiry(&call) },
        MemoryCommand("mget") { (store, call) throws(MemoryFault) in
            call.reply.append(arrayOf: call.words.count - 1)
            for key in call.words.dropFirst() {
                guard case .string(let bytes) = store.databases[call.database].entry(key, nowMs: call.nowMs)?.value
                else {
                    store.count(hit: false)
                    call.answerNull()
                    continue
                }
                store.count(hit: true)
                call.answer(bulk: bytes)
            }
        },
        MemoryCommand("mset") { (store, call) throws(MemoryFault) in
            try store.setMany(call, name: "mset")
            call.answer(status: "OK")
        },
        MemoryCommand("msetnx") { (store, call) throws(MemoryFault) in
            guard call.words.count % 2 == 1 else { throw .arity("msetnx") }
            for index in stride(from: 1, to: call.words.count, by: 2) where store.exists(call.words[index], call) {
                return call.answer(0)
            }
            try store.setMany(call, name: "msetnx")
            call.answer(1)
        },
        MemoryCommand("append") { (store, call) throws(MemoryFault) in
            let former = try store.string(call.key, call) ?? []
            guard former.count + call.words[2].count <= longestString else { throw .tooLong }
            store.replace(call.key, former + call.words[2], call)
            call.answer(former.count + call.words[2].count)
        },
        MemoryCommand("strlen") { (store, call) throws(MemoryFault) in
            call.answer(try store.string(call.key, call)?.count ?? 0)
        },
        MemoryCommand("getrange") { (store, call) throws(MemoryFault) in try store.answerRange(&call) },
        MemoryCommand("substr") { (store, call) throws(MemoryFault) in try store.answerRange(&call) },
        MemoryCommand("setrange") { (store, call) throws(MemoryFault) in try store.setRange(&call) },
        MemoryCommand("incr") { (store, call) throws(MemoryFault) in try store.add(1, &call) },
        MemoryCommand("decr") { (store, call) throws(MemoryFault) in try store.add(-1, &call) },
        MemoryCommand("incrby") { (store, call) throws(MemoryFault) in try store.add(call.integer(at: 2), &call) },
        MemoryCommand("decrby") { (store, call) throws(MemoryFault) in
            let amount = try call.integer(at: 2)
            guard amount != .min else { throw .other("decrement would overflow") }
            try store.add(-amount, &call)
        },
        MemoryCommand("incrbyfloat") { (store, call) throws(MemoryFault) in
            let former = try store.string(call.key, call)
            guard let value = former.map({ WideFloat($0) }) ?? WideFloat(0), let amount = WideFloat(call.words[2])
            else { throw .notFloat }
            guard let sum = (value + amount).text else { throw .notFinite }
            store.replace(call.key, sum, call)
            call.answer(bulk: sum)
        },
    ]

    /// Redis' `proto-max-bulk-len`.
    static let longestString = 512 << 20
}

extension MemoryStore {
    fileprivate mutating func set(_ call: inout MemoryCall) throws(MemoryFault) {
        let options = try SetOptions(call, from: 3, for: .set)
        var expiry = try options.expiresAtMs(call)
        if options.returnsFormer {
            call.answer(bulkOrNull: try string(call.key, call))
        }
        let isThere = exists(call.key, call)
        if options.onlyNew && isThere || options.onlyExisting && !isThere {
            if !options.returnsFormer { call.answerNull() }
            return
        }
        if options.keepsExpiry { expiry = databases[call.database].table[call.key]?.expiresAtMs }
        set(call.key, .string(call.words[2]), call, expiresAtMs: expiry)
        if !options.returnsFormer { call.answer(status: "OK") }
    }

    fileprivate mutating func setExpiring(_ call: inout MemoryCall, unitMs: Int, name: String) throws(MemoryFault) {
        let expiry = try MemoryExpiry.at(
            call.integer(at: 2), unitMs: unitMs, from: call.nowMs, command: name, mustBePositive: true)
        set(call.key, .string(call.words[3]), call, expiresAtMs: expiry)
        call.answer(status: "OK")
    }

    fileprivate mutating func getChangingExpiry(_ call: inout MemoryCall) throws(MemoryFault) {
        let options = try SetOptions(call, from: 2, for: .getEx)
        guard let value = try string(call.key, call) else { return call.answerNull() }
        let expiry = try options.expiresAtMs(call)
        call.answer(bulk: value)
        if options.persists {
            if databases[call.database].table[call.key]?.expiresAtMs != nil {
                databases[call.database].setExpiry(call.key, nil, version: nextVersion())
            }
        } else if let expiry {
            if expiry <= call.nowMs {
                remove(call.key, call)
            } else {
                databases[call.database].setExpiry(call.key, expiry, version: nextVersion())
            }
        }
    }

    fileprivate mutating func setMany(_ call: MemoryCall, name: String) throws(MemoryFault) {
        guard call.words.count % 2 == 1 else { throw .arity(name) }
        for index in stride(from: 1, to: call.words.count, by: 2) {
            set(call.words[index], .string(call.words[index + 1]), call)
        }
    }

    fileprivate mutating func answerRange(_ call: inout MemoryCall) throws(MemoryFault) {
        var (start, end) = (try call.integer(at: 2), try call.integer(at: 3))
        guard let value = try string(call.key, call) else { return call.answer(bulk: []) }
        if start < 0, end < 0, start > end { return call.answer(bulk: []) }
        if start < 0 { start = max(0, value.count + max(start, -value.count)) }
        if end < 0 { end = max(0, value.count + max(end, -value.count)) }
        end = min(end, value.count - 1)
        guard start <= end, !value.isEmpty else { return call.answer(bulk: []) }
        call.reply.append(bulk: value.span.extracting(start...end))
    }

    fileprivate mutating func setRange(_ call: inout MemoryCall) throws(MemoryFault) {
        let offset = try call.integer(at: 2)
        guard offset >= 0 else { throw .other("offset is out of range") }
        let patch = call.words[3]
        var value = try string(call.key, call) ?? []
        guard !patch.isEmpty else { return call.answer(value.count) }
        let (end, overflows) = offset.addingReportingOverflow(patch.count)
        guard !overflows, end <= MemoryCommands.longestString else { throw .tooLong }
        guard end <= value.count || sizeBytes + end - value.count <= limits.bytes else { throw .outOfMemory }
        if value.count < end { value.append(contentsOf: repeatElement(0, count: end - value.count)) }
        value.replaceSubrange(offset..<end, with: patch)
        replace(call.key, value, call)
        call.answer(value.count)
    }

    fileprivate mutating func add(_ amount: Int, _ call: inout MemoryCall) throws(MemoryFault) {
        let former = try string(call.key, call)
        guard let value = former.map({ $0.strictInteger() }) ?? 0 else { throw .notInteger }
        let (sum, overflows) = value.addingReportingOverflow(amount)
        guard !overflows else { throw .overflow }
        var text: [UInt8] = []
        text.append(decimal: sum)
        replace(call.key, text, call)
        call.answer(sum)
    }
}
