import Cache
import Runtime
import Serving

/// Answers commands from the local level, and begins to fetch what is not there. For one loop.
final class LocalReader {
    enum Look {
        /// The reply was appended.
        case answered
        case bypass(RedisProxyMetrics.Bypass)
        case missed(Question)
        /// The reply was appended, and should be fetched anew.
        case answeredOld(Question)

        var isAnswer: Bool {
            switch self {
            case .answered, .answeredOld: true
            case .bypass, .missed: false
            }
        }
    }

    /// What would have to be fetched.
    struct Question {
        let keys: [[UInt8]]
        /// The command whose whole reply is kept; nil where each key is a plain value of its own: `GET`, `MGET`.
        let command: [UInt8]?
        /// It is an `MGET`, whose reply has a part for each key.
        var hasParts = false
    }

    enum Start {
        /// Fetches whose keys are those at the same places; nil where somebody else fetches, or may not.
        case fetches([Fetch?])
        /// Somebody else fetches it: look again after that.
        case follow(FillWait)
    }

    let local: LocalLevel
    /// Of what was answered from here.
    var touches: TouchSample
    /// Lent to `withName`.
    private var name: [UInt8] = []
    private var places: [Int] = []

    private static let mostKeysOfAReply = 8
    private static let mostKeysOfValues = 512
    private static let get = CommandTable.shared.find("get".utf8.span, in: nil)?.id
    private static let mget = CommandTable.shared.find("mget".utf8.span, in: nil)?.id

    /// - Parameter touchEvery: of so many answers one counts in `touches`; 0 for none.
    init(_ local: LocalLevel, touchEvery: Int) {
        self.local = local
        touches = TouchSample(every: touchEvery)
    }

    // MARK: Looking

    /// - Parameters:
    ///   - command: one that may be kept.
    ///   - words: ranges of `bytes`.
    ///   - unsettled: bits of the keys that the client itself is writing.
    func look(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity, unsettled: UInt64,
        nowMs: Int, into reply: inout [UInt8]
    ) -> Look {
        if let reason = reasonToBypass(identity) { return .bypass(reason) }
        places.removeAll(keepingCapacity: true)
        guard command.takes(words: words.count), command.keys.append(of: words, in: bytes, to: &places), !places.isEmpty
        else { return .bypass(.keys) }
        for place in places {
            let key = bytes.extracting(words[place])
            if let reason = reasonToBypass(key, unsettled: unsettled) { return .bypass(reason) }
        }
        if command.id == Self.get || command.id == Self.mget {
            return lookUpValues(command, words, bytes, identity, nowMs: nowMs, into: &reply)
        }
        guard places.count <= Self.mostKeysOfAReply else { return .bypass(.keys) }
        let id = local.cache.cacheClass(for: bytes.extracting(words[places[0]]))
        let found = withName { name in
            EntryKey.write(replyTo: bytes, database: identity.database, version: identity.version, to: &name)
            return local.cache.lookup(name.span, in: id, nowMs: nowMs, into: &reply)
        }
        switch found {
        case .miss, .absent: return .missed(question(words, bytes, isReply: true))
        case .hit(let hit):
            noteUse(words, bytes, identity)
            return hit.isRefreshDue ? .answeredOld(question(words, bytes, isReply: true)) : .answered
        }
    }

    private func noteUse(_ words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity) {
        guard touches.isDue() else { return }
        touches.add(bytes.extracting(words[places[Int.random(in: places.indices)]]), for: identity)
    }

    /// Lends the buffer in which the names of entries are put together.
    func withName<Result>(_ body: (inout [UInt8]) -> Result) -> Result {
        var lent: [UInt8] = []
        swap(&lent, &name)
        defer { swap(&lent, &name) }
        return body(&lent)
    }

    /// The same while nobody tells of changes: what is not older than that.
    func lookStale(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity, mostAgeMs: Int,
        nowMs: Int, into reply: inout [UInt8]
    ) -> Bool {
        guard words.count > 1 else { return false }
        let start = reply.count
        let key = bytes.extracting(words[1])
        let found = withName { name in
            if command.id == Self.get {
                EntryKey.write(value: key, database: identity.database, to: &name)
            } else {
                EntryKey.write(
                    replyTo: bytes, database: identity.database, version: identity.version, to: &name)
            }
            return local.cache.lookup(name.span, in: local.cache.cacheClass(for: key), nowMs: nowMs, into: &reply)
        }
        switch found {
        case .hit(let hit) where hit.ageMs <= mostAgeMs: return true
        case .absent(let hit) where hit.ageMs <= mostAgeMs:
            reply.append(nullIn: identity.version)
            return true
        case .hit, .absent, .miss:
            reply.removeLast(reply.count - start)
            return false
        }
    }

    private func reasonToBypass(_ identity: Identity) -> RedisProxyMetrics.Bypass? {
        guard identity.mayShareLocalLevel else { return identity.credentials == nil ? .database : .user }
        guard local.features.isOn(.cache) else { return .feature }
        return local.freshness.isLive ? nil : .notFresh
    }

    private func reasonToBypass(_ key: Span<UInt8>, unsettled: UInt64) -> RedisProxyMetrics.Bypass? {
        guard local.features.isOn(.cache, for: key) else { return .feature }
        guard unsettled != 0, unsettled & Settlement.bit(of: key) != 0 else { return nil }
        return .ownWrite
    }

    /// All of the values or none: Redis answers an `MGET` with what is there at one moment.
    private func lookUpValues(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity, nowMs: Int,
        into reply: inout [UInt8]
    ) -> Look {
        guard places.count <= Self.mostKeysOfValues else { return .bypass(.keys) }
        let start = reply.count
        var isOld = false
        if command.id == Self.mget { reply.append(arrayOf: places.count) }
        for place in places {
            let key = bytes.extracting(words[place])
            let found = withName { name in
                EntryKey.write(value: key, database: identity.database, to: &name)
                return local.cache.lookup(name.span, in: local.cache.cacheClass(for: key), nowMs: nowMs, into: &reply)
            }
            switch found {
            case .miss:
                reply.removeLast(reply.count - start)
                return .missed(question(words, bytes, isReply: false))
            case .absent: reply.append(nullIn: identity.version)
            case .hit(let hit): if hit.isRefreshDue { isOld = true }
            }
        }
        noteUse(words, bytes, identity)
        return isOld ? .answeredOld(question(words, bytes, isReply: false)) : .answered
    }

    private func question(_ words: [Range<Int>], _ bytes: Span<UInt8>, isReply: Bool) -> Question {
        Question(
            keys: places.map { bytes.copy(words[$0]) }, command: isReply ? bytes.copy(0..<bytes.count) : nil,
            hasParts: !isReply && bytes.isWord("mget", words[0]))
    }

    /// What would have to be fetched for a `GET`.
    func question(get words: [Range<Int>], _ bytes: Span<UInt8>) -> Question {
        Question(keys: [bytes.copy(words[1])], command: nil)
    }

    // MARK: Fetching

    /// Says that the question is about to be put to Redis.
    ///
    /// - Parameters:
    ///   - isRefresh: the answer is here, and is to be replaced.
    ///   - mayFollow: whether the caller would wait for somebody else's fetch.
    func begin(
        _ question: Question, _ identity: Identity, isRefresh: Bool = false, mayFollow: Bool = false, nowMs: Int
    ) -> Start {
        local.willHold(database: identity.database, isReply: question.command != nil)
        guard question.hasParts else {
            let tags = question.command == nil ? [] : question.keys.map { CacheTag($0) }
            let start = begin(question.keys, question.command, tags, identity, isRefresh: isRefresh, nowMs: nowMs)
            guard case .follow(let wait) = start, !mayFollow || !local.features.isOn(.singleFlight) else {
                return start
            }
            local.cache.wait(for: wait) { _ in }
            return .fetches([nil])
        }
        let fetches = question.keys.map { key in
            switch begin([key], nil, [], identity, isRefresh: isRefresh, nowMs: nowMs) {
            case .fetches(let one): return one[0]
            case .follow(let wait):
                // The others are asked for in any case.
                local.cache.wait(for: wait) { _ in }
                return nil
            }
        }
        return .fetches(fetches)
    }

    private func begin(
        _ keys: [[UInt8]], _ command: [UInt8]?, _ tags: [CacheTag], _ identity: Identity, isRefresh: Bool, nowMs: Int
    ) -> Start {
        let key = keys[0]
        let id = local.cache.cacheClass(for: key.span)
        var name: [UInt8] = []
        if let command {
            EntryKey.write(replyTo: command.span, database: identity.database, version: identity.version, to: &name)
        } else {
            EntryKey.write(value: key.span, database: identity.database, to: &name)
        }
        switch local.cache.beginFill(name.span, in: id, tags: tags, isRefresh: isRefresh, nowMs: nowMs) {
        case .lead(let token):
            return .fetches([Fetch(local, token, name: name, keys: keys.count, tags: tags, sentMs: nowMs)])
        case .follow(let wait): return .follow(wait)
        case .present, .crowded: return .fetches([nil])
        }
    }
}
