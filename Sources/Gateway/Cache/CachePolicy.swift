import Runtime

/// How a route's answers are kept.
public struct AnswerCacheRules: Sendable, Equatable {
    /// For answers that do not say how long they are good; zero to believe only what is said.
    public var defaultTTL = Duration.zero
    /// A tenth of the time since `Last-Modified`, at most a day, where nothing is said.
    public var isHeuristic = false
    public var staleWhileRevalidate = Duration.zero
    public var staleIfError = Duration.zero
    /// How long what is no longer good is kept to be asked about.
    public var keep = Duration.seconds(3600)
    /// How long a request waits for somebody else's that is the same.
    public var wait = Duration.seconds(5)
    public var coalesces = true

    public init() {}
}

/// The decisions of RFC 9111 for a shared cache. Values in, values out.
enum CachePolicy {
    /// Why an answer is not kept.
    enum Reason: String, Equatable {
        case method
        case status
        case noStore = "no-store"
        case requestNoStore = "request-no-store"
        case isPrivate = "private"
        case authorization
        case setCookie = "set-cookie"
        case varyStar = "vary-star"
        case noLifetime = "no-lifetime"
        case partial
        case tooLong = "too-long"
        case mustUnderstand = "must-understand"
    }

    /// Statuses that may be kept without being told how long (RFC 9110 §15.1).
    private static let heuristic: Set<Int> = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]
    private static let understood: Set<Int> = [
        200, 203, 204, 300, 301, 302, 303, 307, 308, 400, 401, 403, 404, 405, 410, 414, 451, 500, 501, 502, 503, 504,
    ]

    /// What an answer is kept as, but for its body; or why it is not.
    static func store(
        _ answer: ResponseHead, to request: RequestHead, _ rules: AnswerCacheRules, askedMs: Int, nowMs: Int
    ) -> Result<StoredAnswer, Refused> {
        guard request.method == .get else { return .failure(Refused(.method)) }
        let head = answer.head
        guard answer.status >= 200, answer.status != 206, answer.status != 304 else {
            return .failure(Refused(answer.status == 206 ? .partial : .status))
        }
        let asked = CacheControl(request.head.list(.cacheControl))
        guard !asked.noStore else { return .failure(Refused(.requestNoStore)) }
        let (control, isTargeted) = control(of: head)
        if control.mustUnderstand {
            guard understood.contains(answer.status) else { return .failure(Refused(.mustUnderstand)) }
        } else if control.noStore {
            return .failure(Refused(.noStore))
        }
        guard !control.isPrivate else { return .failure(Refused(.isPrivate)) }
        let isShared = control.isPublic || control.sharedMaxAge != nil
        if request.head.has(.authorization), !isShared, !control.mustRevalidate {
            return .failure(Refused(.authorization))
        }
        if head.has(.setCookie), !isShared { return .failure(Refused(.setCookie)) }
        if let vary = head.list(.vary), vary.split(separator: 0x2C).contains(where: { $0.contains(0x2A) }) {
            return .failure(Refused(.varyStar))
        }
        let date = head.first(.date).flatMap { HTTPDate.seconds($0) } ?? nowMs / 1000
        let lifetime = lifetime(answer, control, isTargeted, rules, date: date)
        let isExplicit = lifetime.isExplicit
        guard isExplicit || control.isPublic || heuristic.contains(answer.status) else {
            return .failure(Refused(.status))
        }
        let stored = stored(
            answer, control, rules, lifetime: lifetime.seconds, date: date, askedMs: askedMs, nowMs: nowMs)
        let isOfUse =
            stored.remaining(nowMs: nowMs) > 0 || stored.canBeValidated
            || stored.staleWhileRevalidate > 0 || stored.staleIfError > 0
        return isOfUse ? .success(stored) : .failure(Refused(.noLifetime))
    }

    struct Refused: Error {
        let reason: Reason
        init(_ reason: Reason) { self.reason = reason }
    }

    /// `CDN-Cache-Control` counts in place of `Cache-Control` and `Expires` where it is well formed (RFC 9213).
    static func control(of head: Head) -> (control: CacheControl, isTargeted: Bool) {
        if let list = head.list(.cdnCacheControl), TargetedControl.isValid(list) {
            return (CacheControl(list), true)
        }
        return (CacheControl(head.list(.cacheControl)), false)
    }

    private static func lifetime(
        _ answer: ResponseHead, _ control: CacheControl, _ isTargeted: Bool, _ rules: AnswerCacheRules, date: Int
    ) -> (seconds: Int, isExplicit: Bool) {
        if let shared = control.sharedMaxAge { return (shared, true) }
        if let most = control.maxAge { return (most, true) }
        if !isTargeted, answer.head.has(.expires) {
            // More than one, or what is no date, has passed already.
            var found: [ArraySlice<UInt8>] = []
            for field in answer.head.fields where field.id == .expires { found.append(answer.head.value(field)) }
            guard found.count == 1, let time = HTTPDate.seconds(found[0]) else { return (0, true) }
            return (min(max(0, time - date), 1 << 31), true)
        }
        guard heuristic.contains(answer.status) || control.isPublic else { return (0, false) }
        if rules.isHeuristic, let modified = answer.head.first(.lastModified).flatMap({ HTTPDate.seconds($0) }),
            modified < date
        {
            return (min((date - modified) / 10, 86_400), false)
        }
        return (rules.defaultTTL.milliseconds / 1000, false)
    }

    private static func stored(
        _ answer: ResponseHead, _ control: CacheControl, _ rules: AnswerCacheRules, lifetime: Int, date: Int,
        askedMs: Int,
        nowMs: Int
    ) -> StoredAnswer {
        let head = answer.head
        // RFC 9111 §4.2.3.
        let apparent = max(0, nowMs / 1000 - date)
        let told = head.first(.age).flatMap { age(of: $0) } ?? 0
        let corrected = min(1 << 31, told + max(0, nowMs - askedMs) / 1000)
        let whileRevalidate = control.staleWhileRevalidate ?? rules.staleWhileRevalidate.milliseconds / 1000
        let ifError = control.staleIfError ?? rules.staleIfError.milliseconds / 1000
        return StoredAnswer(
            status: answer.status, atMs: nowMs, ageSeconds: max(apparent, corrected), lifetimeSeconds: lifetime,
            staleWhileRevalidate: control.forbidsStale ? 0 : whileRevalidate,
            staleIfError: control.forbidsStale ? 0 : ifError, mustRevalidate: control.forbidsStale,
            alwaysRevalidate: control.noCache, noTransform: CacheControl(head.list(.cacheControl)).noTransform,
            etag: head.first(.etag).map { Array($0) } ?? [],
            lastModified: head.first(.lastModified).flatMap { HTTPDate.seconds($0) },
            fields: fields(of: answer, without: control.noCacheFields, nowMs: nowMs), body: [])
    }

    /// The first number of a list; nil for none.
    private static func age(of value: ArraySlice<UInt8>) -> Int? {
        let first = value.prefix { $0 != 0x2C }.filter { !$0.isBlank }
        return CacheControl.seconds(first[...])
    }

    private static func fields(of answer: ResponseHead, without dropped: [[UInt8]], nowMs: Int) -> [UInt8] {
        var lines: [UInt8] = []
        let bytes = answer.head.bytes
        var hasDate = false
        for field in answer.head.fields where answer.passesOn(field) {
            guard field.id != .age, field.id != .cacheStatus, field.id != .trailer else { continue }
            if !dropped.isEmpty, dropped.contains(bytes.span.extracting(field.name).lowercasedBytes) { continue }
            if field.id == .date { hasDate = true }
            lines.append(contentsOf: bytes[field.name])
            lines.append(contentsOf: ": ".utf8)
            lines.append(contentsOf: bytes[field.value])
            lines.append(contentsOf: "\r\n".utf8)
        }
        if !hasDate { lines.append(field: "Date", HTTPDate.text(nowMs / 1000)) }
        return lines
    }

    // MARK: Using

    enum Use: Equatable {
        case fresh
        /// It may be used although its time is over, and is to be asked about meanwhile.
        case staleWhileAsking
        /// It may be used although its time is over, because the client says so.
        case staleAllowed
        case mustAsk(WhyAsk)
    }

    /// As `Cache-Status` names it (RFC 9211 §2.2).
    enum WhyAsk: String, Equatable {
        case stale
        case request
    }

    static func use(_ stored: StoredAnswer, for request: RequestHead, nowMs: Int) -> Use {
        var asked = CacheControl(request.head.list(.cacheControl))
        if !asked.isThere, request.head.has(.pragma),
            Directives.read(request.head.list(.pragma) ?? []).contains(where: { $0.name == "no-cache" })
        {
            asked.noCache = true
        }
        if asked.noCache { return .mustAsk(.request) }
        if stored.alwaysRevalidate { return .mustAsk(.stale) }
        let (age, remaining) = (stored.age(nowMs: nowMs), stored.remaining(nowMs: nowMs))
        let mayBeStale = !stored.mustRevalidate
        if let most = asked.maxAge, age > most || most == 0, !(mayBeStale && asked.maxStale != nil) {
            return .mustAsk(.request)
        }
        if let least = asked.minFresh, remaining < least { return .mustAsk(.request) }
        if remaining > 0 { return .fresh }
        if mayBeStale {
            if let most = asked.maxStale, -remaining <= most { return .staleAllowed }
            if stored.staleWhileRevalidate > 0, -remaining < stored.staleWhileRevalidate { return .staleWhileAsking }
        }
        return .mustAsk(.stale)
    }

    /// Whether it may be used because the service failed.
    static func mayServeOnError(_ stored: StoredAnswer, for request: RequestHead, nowMs: Int) -> Bool {
        guard !stored.mustRevalidate, !stored.alwaysRevalidate else { return false }
        let asked = CacheControl(request.head.list(.cacheControl))
        let over = -stored.remaining(nowMs: nowMs)
        return over < max(stored.staleIfError, asked.staleIfError ?? 0)
    }

    // MARK: Conditions and parts

    /// Whether the client has it already (RFC 9110 §13.2.2).
    static func isNotModified(_ stored: StoredAnswer, for request: RequestHead) -> Bool {
        guard stored.status == 200 else { return false }
        if let list = request.head.list(.ifNoneMatch) {
            return EntityTags.holds(list, stored.etag)
        }
        guard let since = request.head.first(.ifModifiedSince).flatMap({ HTTPDate.seconds($0) }) else { return false }
        guard let modified = stored.lastModified ?? stored.value("date").flatMap({ HTTPDate.seconds($0) }) else {
            return false
        }
        return modified <= since
    }

    enum Part: Equatable {
        case whole
        case range(Range<Int>)
        case unsatisfiable
    }

    /// Which part of a stored answer is asked for. Several parts at once are answered with the whole.
    static func part(_ stored: StoredAnswer, for request: RequestHead) -> Part {
        guard request.method == .get, stored.status == 200, let value = request.head.first(.range),
            value.prefix(6).map(\.lowercased) == Array("bytes=".utf8)
        else { return .whole }
        if let condition = request.head.first(.ifRange) {
            if condition.first == 0x22 {
                guard Array(condition) == stored.etag else { return .whole }
            } else {
                guard let date = HTTPDate.seconds(condition), date == stored.lastModified else { return .whole }
            }
        }
        let spec = value.dropFirst(6)
        guard let dash = spec.firstIndex(of: 0x2D), !spec.contains(0x2C) else { return .whole }
        let (from, to) = (spec[..<dash], spec[(dash + 1)...])
        let count = stored.body.count
        if from.isEmpty {
            guard let last = CacheControl.seconds(to) else { return .whole }
            return last == 0 || count == 0 ? .unsatisfiable : .range(max(0, count - last)..<count)
        }
        guard let first = CacheControl.seconds(from) else { return .whole }
        var end = count
        if !to.isEmpty {
            guard let last = CacheControl.seconds(to), last >= first else { return .whole }
            end = min(count, last + 1)
        }
        return first < count ? .range(first..<end) : .unsatisfiable
    }

    // MARK: Updating

    /// What is kept after the service said that it is still good (RFC 9111 §4.3.4), or told its fields anew (§4.3.5).
    static func updated(
        _ stored: StoredAnswer, by answer: ResponseHead, _ rules: AnswerCacheRules, askedMs: Int, nowMs: Int
    ) -> StoredAnswer {
        var (merged, replaced): ([UInt8], Set<[UInt8]>) = ([], [])
        let kept: [FieldName] = [.contentEncoding, .contentType, .contentRange, .contentLength]
        let fresh = fields(of: answer, without: control(of: answer.head).control.noCacheFields, nowMs: nowMs)
        var lines: [UInt8] = []
        for line in FieldLines.split(fresh) {
            let name = fresh.span.extracting(line.name)
            if kept.contains(FieldName(name)) { continue }
            replaced.insert(name.lowercasedBytes)
            lines.append(contentsOf: fresh[line.whole])
        }
        for line in FieldLines.split(stored.fields)
        where !replaced.contains(stored.fields.span.extracting(line.name).lowercasedBytes) {
            merged.append(contentsOf: stored.fields[line.whole])
        }
        merged.append(contentsOf: lines)
        let head = ResponseHead.made(status: stored.status, fields: merged)
        let (control, isTargeted) = control(of: head.head)
        let date = head.head.first(.date).flatMap { HTTPDate.seconds($0) } ?? nowMs / 1000
        let lifetime = lifetime(head, control, isTargeted, rules, date: date)
        // Age is of the answer that has just come, which may have waited in a cache too.
        var result = self.stored(
            head, control, rules, lifetime: lifetime.seconds, date: date, askedMs: askedMs, nowMs: nowMs)
        if let told = answer.head.first(.age).flatMap({ age(of: $0) }) {
            result.ageSeconds = max(result.ageSeconds, told)
        }
        (result.fields, result.body, result.coding) = (merged, stored.body, stored.coding)
        if result.etag.isEmpty { result.etag = stored.etag }
        if result.lastModified == nil { result.lastModified = stored.lastModified }
        return result
    }

    /// Whether the answer to HEAD is about the same as what is kept.
    static func isSame(_ stored: StoredAnswer, as answer: ResponseHead) -> Bool {
        if let etag = answer.head.first(.etag) { guard Array(etag) == stored.etag else { return false } }
        if let modified = answer.head.first(.lastModified).flatMap({ HTTPDate.seconds($0) }) {
            guard modified == stored.lastModified else { return false }
        }
        if let length = answer.length { guard length == stored.body.count else { return false } }
        return answer.status == stored.status
    }
}

/// `"a", W/"b"`.
enum EntityTags {
    /// Whether a list holds a tag, weakly compared (RFC 9110 §8.8.3.2).
    static func holds(_ list: [UInt8], _ tag: [UInt8]) -> Bool {
        if list.filter({ !$0.isBlank }) == [0x2A] { return true }
        guard !tag.isEmpty else { return false }
        let wanted = strong(tag[...])
        var place = 0
        while place < list.count {
            guard let open = list[place...].firstIndex(of: 0x22),
                let close = list[(open + 1)...].firstIndex(of: 0x22)
            else { return false }
            if list[open...close].elementsEqual(wanted) { return true }
            place = close + 1
        }
        return false
    }

    private static func strong(_ tag: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        tag.starts(with: [0x57, 0x2F]) ? tag.dropFirst(2) : tag
    }
}

/// A dictionary of structured fields (RFC 8941), as far as `CDN-Cache-Control` needs it.
enum TargetedControl {
    static func isValid(_ list: [UInt8]) -> Bool {
        guard !list.isEmpty else { return false }
        for part in list.split(separator: 0x2C, omittingEmptySubsequences: false) {
            let text = part.drop { $0.isBlank }
            guard let first = text.first, (0x61...0x7A).contains(first) || first == 0x2A else { return false }
            let name = text.prefix {
                (0x61...0x7A).contains($0) || $0.isDigit || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E || $0 == 0x2A
            }
            let rest = text.dropFirst(name.count)
            guard let next = rest.first, next == 0x3D else {
                guard rest.allSatisfy(\.isBlank) || rest.first == 0x3B else { return false }
                continue
            }
            let value = rest.dropFirst().reversed().drop { $0.isBlank }.reversed()
            guard !value.isEmpty else { return false }
            if name.elementsEqual("max-age".utf8) || name.elementsEqual("s-maxage".utf8) {
                guard value.prefix(while: { $0 != 0x3B }).allSatisfy(\.isDigit) else { return false }
            }
        }
        return true
    }
}
