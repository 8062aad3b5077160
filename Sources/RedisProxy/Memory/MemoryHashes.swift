import Runtime

/// Commands on hashes.
extension MemoryCommands {
    static let hashes: [MemoryCommand] = [
        MemoryCommand("hset") { (store, call) throws(MemoryFault) in
            guard call.words.count % 2 == 0 else { throw .arity("hset") }
            call.answer(try store.setFields(call))
        },
        MemoryCommand("hmset") { (store, call) throws(MemoryFault) in
            guard call.words.count % 2 == 0 else { throw .arity("hmset") }
            _ = try store.setFields(call)
            call.answer(status: "OK")
        },
        MemoryCommand("hsetnx") { (store, call) throws(MemoryFault) in
            let isNew = try store.hash(call.key, call)?.fields[call.words[2]] == nil
            if isNew { try store.changeHash(call.key, call) { $0.set(call.words[2], call.words[3]) } }
            call.answer(isNew)
        },
        MemoryCommand("hget") { (store, call) throws(MemoryFault) in
            let value = try store.hash(call.key, call)?.fields[call.words[2]]
            store.count(hit: value != nil)
            call.answer(bulkOrNull: value)
        },
        MemoryCommand("hmget") { (store, call) throws(MemoryFault) in
            let hash = try store.hash(call.key, call)
            call.reply.append(arrayOf: call.words.count - 2)
            for field in call.words.dropFirst(2) { call.answer(bulkOrNull: hash?.fields[field]) }
        },
        MemoryCommand("hgetall") { (store, call) throws(MemoryFault) in
            let hash = try store.hash(call.key, call) ?? MemoryHash()
            call.reply.append(mapOf: hash.fields.count, call.version)
            hash.fields.forEach { element in
                call.answer(bulk: element.key)
                call.answer(bulk: element.value)
            }
        },
        MemoryCommand("hkeys") { (store, call) throws(MemoryFault) in
            let hash = try store.hash(call.key, call) ?? MemoryHash()
            call.reply.append(arrayOf: hash.fields.count)
            hash.fields.forEach { call.answer(bulk: $0.key) }
        },
        MemoryCommand("hvals") { (store, call) throws(MemoryFault) in
            let hash = try store.hash(call.key, call) ?? MemoryHash()
            call.reply.append(arrayOf: hash.fields.count)
            hash.fields.forEach { call.answer(bulk: $0.value) }
        },
        MemoryCommand("hdel") { (store, call) throws(MemoryFault) in
            guard try store.hash(call.key, call) != nil else { return call.answer(0) }
            call.answer(
                try store.changeHash(call.key, call) { hash in
                    call.words.dropFirst(2).reduce(0) { $0 + (hash.remove($1) ? 1 : 0) }
                })
        },
        MemoryCommand("hexists") { (store, call) throws(MemoryFault) in
            call.answer(try store.hash(call.key, call)?.fields[call.words[2]] != nil)
        },
        MemoryCommand("hlen") { (store, call) throws(MemoryFault) in
            call.answer(try store.hash(call.key, call)?.fields.count ?? 0)
        },
        MemoryCommand("hstrlen") { (store, call) throws(MemoryFault) in
            call.answer(try store.hash(call.key, call)?.fields[call.words[2]]?.count ?? 0)
        },
        MemoryCommand("hincrby") { (store, call) throws(MemoryFault) in
            let amount = try call.integer(at: 3)
            let former = try store.hash(call.key, call)?.fields[call.words[2]]
            guard let value = former.map({ $0.strictInteger() }) ?? 0 else {
                throw .other("hash value is not an integer")
            }
            let (sum, overflows) = value.addingReportingOverflow(amount)
            guard !overflows else { throw .overflow }
            var text: [UInt8] = []
            text.append(decimal: sum)
            try store.changeHash(call.key, call) { [text] in $0.set(call.words[2], text) }
            call.answer(sum)
        },
        MemoryCommand("hincrbyfloat") { (store, call) throws(MemoryFault) in
            guard let amount = WideFloat(call.words[3]) else { throw .notFloat }
            guard amount.isFinite else { throw .other("value is NaN or Infinity") }
            let former = try store.hash(call.key, call)?.fields[call.words[2]]
            guard let value = former.map({ WideFloat($0) }) ?? WideFloat(0) else {
                throw .other("hash value is not a float")
            }
            guard let sum = (value + amount).text else { throw .notFinite }
            try store.changeHash(call.key, call) { $0.set(call.words[2], sum) }
            call.answer(bulk: sum)
        },
        MemoryCommand("hrandfield") { (store, call) throws(MemoryFault) in try store.answerRandomFields(&call) },
        MemoryCommand("hscan") { (store, call) throws(MemoryFault) in
            let cursor = try ScanOptions.cursor(call, at: 2)
            guard let hash = try store.hash(call.key, call) else { return ScanOptions.answer(&call, next: 0, []) }
            let options = try ScanOptions(call, from: 3, takesType: false)
            // As in Redis, a small hash comes at once.
            let count = hash.fields.count <= 128 ? Int.max : options.count
            let (elements, next) = options.scan(hash.fields, from: cursor, count: count)
            ScanOptions.answer(&call, next: next, elements.flatMap { [$0.key, $0.value] })
        },
    ]
}

extension MemoryStore {
    fileprivate mutating func setFields(_ call: MemoryCall) throws(MemoryFault) -> Int {
        try changeHash(call.key, call) { hash in
            var added = 0
            for index in stride(from: 2, to: call.words.count, by: 2)
            where hash.set(call.words[index], call.words[index + 1]) { added += 1 }
            return added
        }
    }

    fileprivate mutating func answerRandomFields(_ call: inout MemoryCall) throws(MemoryFault) {
        guard call.words.count > 2 else {
            return call.answer(bulkOrNull: try hash(call.key, call)?.fields.random(using: &random)?.key)
        }
        let count = try call.integer(at: 2)
        guard count != .min else {
            throw .other("value is out of range, value must between -\(Int.max) and \(Int.max)")
        }
        guard call.words.count == 3 || call.words.count == 4 && call.isWord(3, "withvalues") else { throw .syntax }
        let withValues = call.words.count == 4
        guard !withValues || count.magnitude <= UInt(Int.max / 2) else { throw .other("value is out of range") }
        guard let fields = try hash(call.key, call)?.fields else { return call.reply.append(arrayOf: 0) }
        var chosen: [PlacedTable<[UInt8]>.Element] = []
        if count < 0 {
            // The reply may be longer than the data; what it may take is bounded like the data.
            guard count > -(1 << 20) else { throw .other("value is out of range") }
            for _ in 0..<(-count) { if let field = fields.random(using: &random) { chosen.append(field) } }
        } else {
            fields.forEach { chosen.append($0) }
            if count < chosen.count { chosen = Array(chosen.shuffled(using: &random).prefix(count)) }
        }
        let isNested = withValues && call.version == .three
        call.reply.append(arrayOf: withValues && !isNested ? chosen.count * 2 : chosen.count)
        for field in chosen {
            if isNested { call.reply.append(arrayOf: 2) }
            call.answer(bulk: field.key)
            if withValues { call.answer(bulk: field.value) }
        }
    }
}
