import Cache
import Runtime

/// One entry of the local level on its way from Redis: first the remaining lifetime of its keys comes, then the reply.
///
/// The lifetime is asked for in front of the command. Whatever happens to the keys in between is a change that Redis tells
/// of, which makes the token worthless; and the entry's end, counted from when the question was *sent*, is never late.
final class Fetch {
    private let local: LocalLevel
    private let token: FillToken
    private let name: [UInt8]
    /// Keys whose lifetimes are still to come.
    private var missing: Int
    /// Milliseconds; nil when no key ends.
    private var lifetimeMs: Int?
    private let sentMs: Int
    /// Tags of the entry: its keys, unless it is a plain value.
    private let tags: [CacheTag]
    private var isOver = false

    init(_ local: LocalLevel, _ token: FillToken, name: [UInt8], keys: Int, tags: [CacheTag], sentMs: Int) {
        self.local = local
        self.token = token
        self.name = name
        self.tags = tags
        self.sentMs = sentMs
        missing = keys
    }

    deinit { abandon() }

    /// The reply to `PTTL`: milliseconds, -1 for no end, -2 for no such key, which is as good.
    func takeLifetime(_ reply: Span<UInt8>) {
        missing -= 1
        guard reply.count > 3, reply[0] == UInt8(ascii: ":"), let value = reply.strictInteger(in: 1..<reply.count - 2)
        else { return abandon() }
        if value >= 0 { lifetimeMs = min(lifetimeMs ?? .max, value) }
    }

    /// The reply itself.
    func take(_ reply: Span<UInt8>, _ kind: ReplySkimmer.Kind, nowMs: Int) {
        guard !isOver, missing == 0, kind != .error, kind != .push else { return abandon() }
        let left = lifetimeMs.map { $0 - (nowMs - sentMs) }
        if let left, left <= 0 { return abandon() }
        isOver = true
        let ttl = left.map { Duration.milliseconds($0) }
        let name = name
        if kind == .null, tags.isEmpty {
            guard local.features.isOn(.negativeCache) else { return local.cache.abandon(token, name.span) }
            _ = local.cache.fillAbsent(token, name.span, ttl: nil, nowMs: nowMs)
        } else {
            _ = local.cache.fill(token, name.span, reply, ttl: ttl, tags: tags, nowMs: nowMs)
        }
    }

    /// Hands the parts of the reply to an `MGET` to those who fetch them. A null may also mean that the key holds no string,
    /// where `GET` would answer with an error, so nulls are not kept.
    static func takeParts(
        of reply: Span<UInt8>, _ kind: ReplySkimmer.Kind, for fetches: [Fetch?], nowMs: Int
    ) {
        guard kind == .array, var place = reply.lineEnd(from: 0) else {
            for fetch in fetches { fetch?.abandon() }
            return
        }
        for fetch in fetches {
            var skimmer = ReplySkimmer()
            let rest = reply.extracting(droppingFirst: place)
            guard case .reply(let part) = skimmer.next(in: rest) else { return }
            place += part.length
            if part.kind == .bulk {
                fetch?.take(rest.extracting(first: part.length), .bulk, nowMs: nowMs)
            } else {
                fetch?.abandon()
            }
        }
    }

    /// There will be no reply, or none to keep.
    func abandon() {
        guard !isOver else { return }
        isOver = true
        let name = name
        local.cache.abandon(token, name.span)
    }
}

extension Span where Element == UInt8 {
    /// The place behind the first line end from there on.
    func lineEnd(from start: Int) -> Int? {
        let end = firstPlace(of: 10, in: start..<count)
        return end < count ? end + 1 : nil
    }
}
