import Cache
import Runtime

/// The answers that are kept, and the questions that wait for one another. Only for the loop's thread, but for what purges.
final class AnswerCache {
    /// One question to the service whose answer others wait for.
    final class Flight {
        fileprivate(set) var waiting: [() -> Void] = []
        fileprivate let key: [UInt8]
        fileprivate init(_ key: [UInt8]) { self.key = key }
    }

    enum Found {
        /// - Parameter key: under which it lies.
        case answer(StoredAnswer, key: [UInt8])
        /// Nothing is kept under the URL.
        case nothing(key: [UInt8])
        /// Something is, but for other fields of requests.
        case otherVariant(key: [UInt8])
        /// What came last could not be kept.
        case pass(key: [UInt8])
    }

    private let cache: LocalCache
    private var flights: [[UInt8]: Flight] = [:]
    /// Answers that are on their way into the cache.
    private var fills: [ObjectIdentifier: CacheFill] = [:]
    let mostBodyBytes: Int
    private static let passTTL = Duration.seconds(10)
    private static let mostWaiting = 10_000

    init(_ cache: LocalCache, mostBodyBytes: Int) { (self.cache, self.mostBodyBytes) = (cache, mostBodyBytes) }

    func cacheClass(named name: String) -> CacheClass.ID {
        cache.cacheClass(named: name) ?? cache.cacheClass(for: Span())
    }

    // MARK: Keys

    /// What a URL is kept under, whatever the fields of the request are.
    static func primary(_ request: RequestHead) -> [UInt8] {
        var key = request.head.bytes.span.extracting(request.host).lowercasedBytes
        key.append(0)
        key.append(contentsOf: request.head.bytes[request.target])
        return key
    }

    static func primary(host: String, target: String) -> [UInt8] {
        Array(host.lowercased().utf8) + [0] + Array(target.utf8)
    }

    /// The key of the answers to requests whose fields of these names are the same.
    static func variant(_ primary: [UInt8], _ names: [[UInt8]], _ request: RequestHead) -> [UInt8] {
        var key = primary
        for name in names {
            key.append(contentsOf: [0, 1])
            guard let value = request.head.list(named: name) else { continue }
            key.append(2)
            for (index, part) in value.split(separator: 0x2C).enumerated() {
                if index > 0 { key.append(0x2C) }
                key.append(bytes: Array(part).span.extracting(Array(part).span.trimmed(0..<part.count)))
            }
        }
        return key
    }

    // MARK: Looking

    func find(_ request: RequestHead, _ primary: [UInt8], in id: CacheClass.ID, nowMs: Int) -> Found {
        switch record(primary, id, nowMs) {
        case .answer(let stored): return .answer(stored, key: primary)
        case .pass: return .pass(key: primary)
        case nil: return .nothing(key: primary)
        case .varies(let names):
            let key = Self.variant(primary, names, request)
            switch record(key, id, nowMs) {
            case .answer(let stored): return .answer(stored, key: key)
            case .pass: return .pass(key: key)
            default: return .otherVariant(key: key)
            }
        }
    }

    func record(_ key: [UInt8], _ id: CacheClass.ID, _ nowMs: Int) -> CacheRecord? {
        var bytes: [UInt8] = []
        guard case .hit = cache.lookup(key.span, in: id, nowMs: nowMs, into: &bytes) else { return nil }
        return CacheRecord(bytes)
    }

    // MARK: Waiting for one another

    /// Leads, where nobody asks for the same now.
    func lead(_ key: [UInt8]) -> Flight? {
        guard flights[key] == nil else { return nil }
        let flight = Flight(key)
        flights[key] = flight
        return flight
    }

    /// - Returns: false when nobody leads any more, or too many wait.
    func wait(for key: [UInt8], _ ended: @escaping () -> Void) -> Bool {
        guard let flight = flights[key], flight.waiting.count < Self.mostWaiting else { return false }
        flight.waiting.append(ended)
        return true
    }

    /// Those who waited look again.
    func end(_ flight: Flight) {
        guard flights[flight.key] === flight else { return }
        flights[flight.key] = nil
        let waiting = flight.waiting
        flight.waiting = []
        for each in waiting { each() }
    }

    // MARK: Keeping

    func begin(_ fill: CacheFill) { fills[ObjectIdentifier(fill)] = fill }
    func forget(_ fill: CacheFill) { fills[ObjectIdentifier(fill)] = nil }

    /// Keeps an answer, with what it varies by.
    func keep(
        _ stored: StoredAnswer, for request: RequestHead, _ primary: [UInt8], in id: CacheClass.ID,
        _ rules: AnswerCacheRules, wallMs: Int, nowMs: Int
    ) {
        let names = Self.names(stored.value("vary"))
        let seconds =
            max(0, stored.remaining(nowMs: wallMs))
            + max(
                stored.staleWhileRevalidate, stored.staleIfError,
                stored.canBeValidated ? rules.keep.milliseconds / 1000 : 0)
        let ttl = Duration.seconds(max(1, seconds))
        let tags = tags(primary, stored)
        var key = primary
        if !names.isEmpty {
            key = Self.variant(primary, names, request)
            _ = cache.put(
                primary.span, CacheRecord.varies(names).bytes.span, in: id, ttl: ttl, tags: tags, nowMs: nowMs)
        }
        _ = cache.put(key.span, CacheRecord.answer(stored).bytes.span, in: id, ttl: ttl, tags: tags, nowMs: nowMs)
    }

    /// Remembers for a while that answers to this cannot be kept.
    func keepPass(_ key: [UInt8], in id: CacheClass.ID, nowMs: Int) {
        _ = cache.put(key.span, CacheRecord.pass.bytes.span, in: id, ttl: Self.passTTL, nowMs: nowMs)
    }

    /// The same body, made smaller once, for all who take it so.
    func keepCoded(
        _ stored: StoredAnswer, _ key: [UInt8], _ primary: [UInt8], in id: CacheClass.ID, wallMs: Int, nowMs: Int
    ) {
        let ttl = Duration.seconds(max(1, stored.remaining(nowMs: wallMs)))
        _ = cache.put(
            Self.codedKey(key, stored).span, CacheRecord.answer(stored).bytes.span, in: id, ttl: ttl,
            tags: tags(primary, stored), nowMs: nowMs)
    }

    /// Of another answer's body under the same key, it is another one.
    static func codedKey(_ key: [UInt8], _ stored: StoredAnswer) -> [UInt8] {
        var coded = key + [0, 3]
        coded.append(contentsOf: stored.coding)
        coded.append(0x40)
        coded.append(decimal: stored.atMs)
        return coded
    }

    static func names(_ vary: ArraySlice<UInt8>?) -> [[UInt8]] {
        guard let vary else { return [] }
        return Set(vary.split(separator: 0x2C).map { Array($0.filter { !$0.isBlank }.map(\.lowercased)) })
            .filter { !$0.isEmpty }.sorted { $0.lexicographicallyPrecedes($1) }
    }

    // MARK: Purging

    private func tags(_ primary: [UInt8], _ stored: StoredAnswer) -> [CacheTag] {
        var tags = [CacheTag(Array("u".utf8) + primary)]
        tags += Self.prefixes(primary).map { CacheTag(Array("p".utf8) + $0) }
        if let keys = stored.value("surrogate-key") {
            tags += keys.split(separator: 0x20).prefix(100).map { CacheTag(Array("k".utf8) + $0) }
        }
        return tags
    }

    /// `/`, `/a/`, `/a/b/` of `/a/b/c?d`, with the host; at most twelve.
    static func prefixes(_ primary: [UInt8]) -> [[UInt8]] {
        guard let start = primary.firstIndex(of: 0) else { return [] }
        var result: [[UInt8]] = []
        for index in (start + 1)..<primary.count {
            if primary[index] == 0x3F || result.count == 12 { break }
            if primary[index] == 0x2F { result.append(Array(primary[...index])) }
        }
        return result
    }

    /// What is on its way under the URL is worth nothing either.
    @discardableResult
    func purge(url primary: [UInt8]) -> Int {
        for fill in fills.values where fill.primary == primary { fill.isWorthless = true }
        return cache.invalidate(CacheTag(Array("u".utf8) + primary))
    }

    func purge(prefix: [UInt8]) -> Int {
        for fill in fills.values where fill.primary.starts(with: prefix) { fill.isWorthless = true }
        return cache.invalidate(CacheTag(Array("p".utf8) + prefix))
    }

    /// - Parameter key: of `Surrogate-Key`.
    func purge(key: String) -> Int {
        for fill in fills.values { fill.isWorthless = true }
        return cache.invalidate(CacheTag(Array("k".utf8) + Array(key.utf8)))
    }

    func purgeAll(nowMs: Int) {
        for fill in fills.values { fill.isWorthless = true }
        cache.invalidateAll(nowMs: nowMs)
    }

    func tick(nowMs: Int) { cache.tick(nowMs: nowMs) }
}

/// An answer on its way into the cache: kept once it is whole, and nothing before.
final class CacheFill {
    var stored: StoredAnswer
    let request: RequestHead
    let primary: [UInt8]
    let id: CacheClass.ID
    let rules: AnswerCacheRules
    /// It was invalidated on its way, or became too long.
    var isWorthless = false
    private let most: Int

    init(
        _ stored: StoredAnswer, _ request: RequestHead, _ primary: [UInt8], in id: CacheClass.ID,
        _ rules: AnswerCacheRules,
        most: Int
    ) {
        (self.stored, self.request, self.primary, self.id, self.rules) = (stored, request, primary, id, rules)
        self.most = most
    }

    func add(_ bytes: Span<UInt8>) {
        guard !isWorthless else { return }
        guard stored.body.count + bytes.count <= most else {
            isWorthless = true
            stored.body = []
            return
        }
        stored.body.append(bytes: bytes)
    }
}
