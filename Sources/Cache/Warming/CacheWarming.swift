import Runtime

/// What a fetch brought.
public struct FetchedValue: Sendable {
    public let bytes: [UInt8]
    /// Nil for the class's.
    public let ttl: Duration?
    public let tags: [CacheTag]

    public init(_ bytes: [UInt8], ttl: Duration? = nil, tags: [CacheTag] = []) {
        self.bytes = bytes
        self.ttl = ttl
        self.tags = tags
    }
}

/// How warming went.
public struct WarmingResult: Sendable, Equatable {
    public var stored = 0
    /// There is no such thing any more, or the class is gone, or it was not kept.
    public var skipped = 0
    public var failed = 0
}

extension LocalCache {
    /// Fetches hot keys before they are asked for, a few at once, the hottest first. Requests that come meanwhile
    /// share the fetches.
    ///
    /// - Parameter fetch: the value of a key, nil if there is none.
    public func warm(
        _ list: HotKeyList, atOnce: Int = 8, now: @escaping @Sendable () -> Int = { MonotonicClock.nowMs },
        fetch: @escaping @Sendable (CacheClass.ID, [UInt8]) async throws -> FetchedValue?
    ) async -> WarmingResult {
        await withTaskGroup(of: WarmingStep.self) { group in
            var result = WarmingResult()
            var rest = list.entries[...]
            var running = 0
            while true {
                while running < max(1, atOnce), let entry = rest.popFirst(), !Task.isCancelled {
                    running += 1
                    group.addTask { await self.warm(entry, now, fetch) }
                }
                guard let step = await group.next() else { return result }
                running -= 1
                switch step {
                case .stored: result.stored += 1
                case .skipped: result.skipped += 1
                case .failed: result.failed += 1
                }
            }
        }
    }

    private func warm(
        _ entry: HotKeyList.Entry, _ now: @Sendable () -> Int,
        _ fetch: @Sendable (CacheClass.ID, [UInt8]) async throws -> FetchedValue?
    ) async -> WarmingStep {
        guard let id = cacheClass(named: entry.className),
            case .lead(let token) = beginFill(entry.key.span, in: id, waitUntilMs: now(), nowMs: now())
        else { return .skipped }
        do {
            guard let value = try await fetch(id, entry.key) else {
                abandon(token, entry.key.span)
                return .skipped
            }
            let result = fill(
                token, entry.key.span, value.bytes.span, ttl: value.ttl, tags: value.tags, isKnownHot: true,
                nowMs: now())
            return result == .stored ? .stored : .skipped
        } catch {
            // Counted in the result; the next request for the key fetches it and reports the error to its client.
            abandon(token, entry.key.span)
            return .failed
        }
    }
}

private enum WarmingStep: Sendable { case stored, skipped, failed }
