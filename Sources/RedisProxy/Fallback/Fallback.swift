import Cache
import Runtime
import Synchronization

/// Answers in Redis' place while it is gone, for classes that want that: from what is known locally, though nobody tells of
/// changes, or from a small Redis in memory that also takes plain writes. What was written there is discarded when Redis is
/// back: it would otherwise overwrite what others have done in the meantime. Shared by all loops.
final class Fallback: Sendable {
    private let local: LocalLevel
    private let metrics: RedisProxyMetrics
    private let memory: Mutex<MemoryRedis>
    private let limits: MemoryRedis.Limits
    /// Whether any class wants it.
    private let isWanted: Bool

    private static let mget = CommandTable.shared.find("mget".utf8.span, in: nil)?.id

    init(_ local: LocalLevel, limits: MemoryRedis.Limits, metrics: RedisProxyMetrics) {
        self.local = local
        self.limits = limits
        self.metrics = metrics
        isWanted = local.cache.classes.contains { $0.onFailure != .fail }
        memory = Mutex(MemoryRedis(limits: limits))
    }

    /// What is to be done about a command whose keys are all of classes that say the same.
    ///
    /// - Parameter words: ranges of `bytes`.
    func mode(of command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>) -> CacheClass? {
        guard isWanted, local.features.isOn(.fallback), command.keys != .none else { return nil }
        var places: [Int] = []
        guard command.keys.append(of: words, in: bytes, to: &places), let first = places.first else { return nil }
        let found = local.cache.classes[local.cache.cacheClass(for: bytes.extracting(words[first])).index]
        guard found.onFailure != .fail else { return nil }
        for place in places.dropFirst() {
            let other = local.cache.classes[local.cache.cacheClass(for: bytes.extracting(words[place])).index]
            guard other.onFailure == found.onFailure else { return nil }
        }
        return found
    }

    /// Appends the reply to a command that Redis did not get.
    ///
    /// - Parameters:
    ///   - command: whole, as it goes over the wire.
    ///   - reader: of the caller's loop.
    /// - Returns: false when there is none to be had.
    func answer(
        _ bytes: Span<UInt8>, _ identity: Identity, _ reader: LocalReader, nowMs: Int, into reply: inout [UInt8]
    ) -> Bool {
        var parser = CommandReader()
        guard case .command = parser.next(in: bytes),
            let command = CommandTable.shared.command(parser.arguments, in: bytes),
            identity.mayShareLocalLevel, let mode = mode(of: command, parser.arguments, in: bytes)
        else { return false }
        let start = reply.count
        let source =
            command.id == Self.mget
            ? findEach(parser.arguments, bytes, identity, reader, nowMs: nowMs, into: &reply)
            : find(command, parser.arguments, bytes, mode, identity, reader, nowMs: nowMs, into: &reply)
        guard let source else {
            reply.removeLast(reply.count - start)
            return false
        }
        metrics.answered(from: source)
        return true
    }

    /// The reply to an `MGET`, key by key, as `GET` would have it: some may be known, others be in memory.
    ///
    /// - Returns: where it is from; nil, with a part of it written, when a key has no answer.
    private func findEach(
        _ words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity, _ reader: LocalReader, nowMs: Int,
        into reply: inout [UInt8]
    ) -> RedisProxyMetrics.Source? {
        var whole = RedisProxyMetrics.Source.stale
        reply.append(arrayOf: words.count - 1)
        for word in words.dropFirst() {
            var question: [UInt8] = []
            question.append(arrayOf: 2)
            question.append(bulk: "GET")
            question.append(bulk: bytes.extracting(word))
            let place = reply.count
            var parser = CommandReader()
            guard case .command = parser.next(in: question.span),
                let get = CommandTable.shared.command(parser.arguments, in: question.span),
                let mode = mode(of: get, parser.arguments, in: question.span),
                let source = find(
                    get, parser.arguments, question.span, mode, identity, reader, nowMs: nowMs, into: &reply)
            else { return nil }
            if source == .memory { whole = .memory }
            guard reply[place] == UInt8(ascii: "-") else { continue }
            // What is no string is none for `MGET`.
            reply.removeLast(reply.count - place)
            reply.append(nullIn: identity.version)
        }
        return whole
    }

    /// - Returns: where the reply is from; nil when there is none.
    private func find(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ mode: CacheClass, _ identity: Identity,
        _ reader: LocalReader, nowMs: Int, into reply: inout [UInt8]
    ) -> RedisProxyMetrics.Source? {
        if mode.onFailure == .memory {
            let allows = VolatileWrites.allows(
                command, words, in: bytes, counters: mode.takesCountersOnFailure, locks: mode.takesLocksOnFailure)
            guard allows else { return nil }
            if command.has(.write) || holds(bytes.extracting(words[1]), identity) {
                return runInMemory(words, bytes, identity, into: &reply)
            }
        }
        let isKnown =
            command.has(.cacheable)
            && reader.lookStale(
                command, words, bytes, identity, mostAgeMs: mode.staleFor.milliseconds, nowMs: nowMs, into: &reply)
        if isKnown { return .stale }
        return mode.onFailure == .memory ? runInMemory(words, bytes, identity, into: &reply) : nil
    }

    private func runInMemory(
        _ words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity, into reply: inout [UInt8]
    ) -> RedisProxyMetrics.Source {
        var database = identity.database
        memory.withLock { $0 }.run(words, in: bytes, database: &database, version: identity.version, reply: &reply)
        return .memory
    }

    private func holds(_ key: Span<UInt8>, _ identity: Identity) -> Bool {
        var question: [UInt8] = []
        question.append(arrayOf: 2)
        question.append(bulk: "EXISTS")
        question.append(bulk: key)
        var parser = CommandReader()
        var reply: [UInt8] = []
        var database = identity.database
        guard case .command = parser.next(in: question.span) else { return false }
        memory.withLock { $0 }.run(parser.arguments, in: question.span, database: &database, reply: &reply)
        return reply == Array(":1\r\n".utf8)
    }

    /// Redis is back, and right.
    func end() {
        let lost = memory.withLock { memory in
            let keys = memory.keys
            if keys > 0 { memory = MemoryRedis(limits: limits) }
            return keys
        }
        guard lost > 0 else { return }
        metrics.discarded.add(lost)
        Log.warn("what was written in memory while Redis was gone is discarded", ["keys": "\(lost)"])
    }
}
