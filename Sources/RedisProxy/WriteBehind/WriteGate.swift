import Cache
import Network
import Runtime

/// What stands between the sessions of a loop and writing behind: which writes may be taken, what a read finds, and who has
/// to wait until Redis has what is pending.
///
/// A command that Redis is to carry out on a key *claims* it until its reply is here, and is passed on once nothing is
/// pending under the key. Writes to a claimed key are not taken but passed on likewise. So whatever Redis does with a key,
/// it does before the next write is taken or after the last was flushed, and the overlay never hides anything newer.
/// For the loop's thread.
final class WriteGate {
    /// What a read finds among the pending writes.
    enum Overlay {
        /// It is of no concern: nothing is pending.
        case none
        /// The reply was appended.
        case answered
        /// It cannot be answered from what is pending, or only in part.
        case unknown
    }

    let writeBehind: WriteBehind
    let local: LocalLevel
    private var claims: [[UInt8]: Int] = [:]
    private var claimsOnEverything = 0

    /// Clients of further databases are passed on.
    private static let databases = 16
    private static let mostValues = 512
    private static let get = CommandTable.shared.find("get".utf8.span, in: nil)?.id
    private static let mget = CommandTable.shared.find("mget".utf8.span, in: nil)?.id
    private static let strlen = CommandTable.shared.find("strlen".utf8.span, in: nil)?.id
    private static let del = CommandTable.shared.find("del".utf8.span, in: nil)?.id
    private static let unlink = CommandTable.shared.find("unlink".utf8.span, in: nil)?.id
    private static let flushdb = CommandTable.shared.find("flushdb".utf8.span, in: nil)?.id
    private static let flushall = CommandTable.shared.find("flushall".utf8.span, in: nil)?.id

    init(_ writeBehind: WriteBehind, _ local: LocalLevel) {
        self.writeBehind = writeBehind
        self.local = local
    }

    // MARK: Writes

    /// What the command writes, if that may be acknowledged before Redis has it; nil where it is to be passed on.
    func writes(
        of command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>, _ identity: Identity
    ) -> [PlannedWrite]? {
        guard command.has(.writeBehind), claimsOnEverything == 0, identity.mayShareLocalLevel,
            identity.database < Self.databases, local.features.isOn(.writeBehind), words.count > 2,
            isBehind(bytes.extracting(words[1]))
        else { return nil }
        let wallMs = Int(WallClock.nowMilliseconds)
        let writes = WritePlan.writes(of: command, words, in: bytes, database: identity.database, wallMs: wallMs)
        guard let writes else { return nil }
        for write in writes {
            let key = write.key.bytes
            guard isBehind(key.span), local.features.isOn(.writeBehind, for: key.span), claims[key] == nil else {
                return nil
            }
        }
        return writes
    }

    private func isBehind(_ key: Span<UInt8>) -> Bool {
        local.cache.classes[local.cache.cacheClass(for: key).index].writeMode == .behind
    }

    // MARK: Reads

    var isIdle: Bool { writeBehind.isAllFlushed }

    /// Answers `GET`, `MGET` and `STRLEN` where everything that is asked for is pending.
    func overlay(
        _ command: Command, _ words: [Range<Int>], _ bytes: Span<UInt8>, _ identity: Identity,
        into reply: inout [UInt8]
    ) -> Overlay {
        guard identity.mayShareLocalLevel, command.takes(words: words.count), words.count <= Self.mostValues,
            command.id == Self.get || command.id == Self.mget || command.id == Self.strlen
        else { return .unknown }
        let keys = words.dropFirst().map { PendingKey(identity.database, bytes.copy($0)) }
        let found = writeBehind.overlays(keys, wallMs: Int(WallClock.nowMilliseconds))
        let missing = found.count { $0 == .none }
        guard missing == 0 else { return missing == found.count ? .none : .unknown }
        if command.id == Self.mget { reply.append(arrayOf: found.count) }
        for overlay in found {
            switch overlay {
            case .value(let value) where command.id == Self.strlen: reply.append(integer: value.count)
            case .value(let value): reply.append(bulk: value.span)
            case .absent, .none:
                if command.id == Self.strlen {
                    reply.append(integer: 0)
                } else {
                    reply.append(nullIn: identity.version)
                }
            }
        }
        return .answered
    }

    /// Whether something is pending under any of the keys: what Redis has there is old.
    func holds(_ keys: [[UInt8]], _ identity: Identity) -> Bool {
        guard !isIdle else { return false }
        return writeBehind.overlays(keys.map { PendingKey(identity.database, $0) }, wallMs: 0).contains { $0 != .none }
    }

    // MARK: While Redis has no room

    /// What a deletion does to pending writes, which Redis would not take.
    struct Supersession {
        let removals: [PlannedWrite]
        /// Keys of which a value was pending: as far as clients know they were there, though not at Redis.
        let count: Int
    }

    /// Nil where nothing is in the way, and for what is no deletion.
    func supersession(
        by command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>, _ identity: Identity
    ) -> Supersession? {
        guard writeBehind.hasNoRoom, identity.mayShareLocalLevel, command.takes(words: words.count) else { return nil }
        let keys: [PendingKey]
        switch command.id {
        case Self.del, Self.unlink: keys = words.dropFirst().map { PendingKey(identity.database, bytes.copy($0)) }
        case Self.flushdb: keys = writeBehind.keys(in: identity.database)
        case Self.flushall: keys = writeBehind.keys(in: nil)
        default: return nil
        }
        let distinct = Array(Set(keys))
        let found = writeBehind.overlays(distinct, wallMs: Int(WallClock.nowMilliseconds))
        let pending = zip(distinct, found).filter { $0.1 != .none }
        let isCounted = command.id == Self.del || command.id == Self.unlink
        return Supersession(
            removals: pending.map { .removal(of: $0.0) }, count: isCounted ? pending.count { $0.1 != .absent } : 0)
    }

    /// Whether a command that wants to see everything may see Redis without what is pending, because Redis does not take
    /// it: not where it names a key that is pending, and not where it would move what is pending elsewhere.
    func mayDoWithout(
        _ command: Command, _ words: [Range<Int>], in bytes: Span<UInt8>, _ identity: Identity
    ) -> Bool {
        guard !command.has(.flushes), !command.has(.otherDatabase), command.lane != .transaction else { return false }
        var places: [Int] = []
        guard command.keys.append(of: words, in: bytes, to: &places) else { return false }
        return !holds(places.map { bytes.copy(words[$0]) }, identity)
    }

    // MARK: Commands for Redis

    /// From now on nothing is taken for what the command touches, until `release` of what is returned.
    func claim(_ scope: WriteScope) -> WriteScope {
        switch scope {
        case .none: return .none
        case .everything:
            claimsOnEverything += 1
            return .everything
        case .keys(let keys):
            let ours = keys.filter { isBehind($0.span) }
            for key in ours { claims[key, default: 0] += 1 }
            return ours.isEmpty ? .none : .keys(ours)
        }
    }

    func release(_ claim: WriteScope) {
        switch claim {
        case .none: return
        case .everything: claimsOnEverything -= 1
        case .keys(let keys):
            for key in keys {
                let rest = claims[key, default: 1] - 1
                claims[key] = rest == 0 ? nil : rest
            }
        }
    }

    /// Calls `then` on the loop once nothing is pending of what was claimed.
    ///
    /// - Parameter database: nil where it is not known.
    /// - Returns: false when that is so already.
    func whenFlushed(
        _ scope: WriteScope, database: Int?, on loop: EventLoop,
        then: @escaping @Sendable (WriteBehind.FlushEnd) -> Void
    ) -> Bool {
        guard !isIdle else { return false }
        switch scope {
        case .none: return false
        case .everything: return writeBehind.whenAllFlushed(on: loop, then: then)
        case .keys(let keys):
            let databases = database.map { $0...$0 } ?? 0...Self.databases - 1
            let pending = keys.flatMap { key in databases.map { PendingKey($0, key) } }
            return writeBehind.whenFlushed(pending, on: loop, then: then)
        }
    }
}
