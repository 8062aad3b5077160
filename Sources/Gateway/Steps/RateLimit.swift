import Runtime

/// So many requests in so long, for whoever a key names.
public struct RateRule: Sendable, Equatable {
    /// Of what a key consists.
    public enum Part: Sendable, Equatable {
        /// The client's address; the /64 of IPv6.
        case address
        case claim(String)
        /// In lower case.
        case header(String)
        case route
    }

    public var name: String
    public var count: Int
    public var windowSeconds: Int
    public var key: [Part]
    /// Nobody is refused, but what would be is counted.
    public var isDryRun = false

    public init(name: String = "default", count: Int, windowSeconds: Int = 60, key: [Part] = [.address]) {
        (self.name, self.count, self.windowSeconds, self.key) = (name, count, windowSeconds, key)
    }
}

/// Counts by a sliding window that is estimated from two fixed ones: the requests of this one, and of the last one the part
/// that the window still covers, as if they had come evenly (the way of Cloudflare, 2017). Costs two look-ups and 16 bytes a
/// key; the error is bounded by how unevenly one window was filled. A value that is told the time.
struct SlidingWindow {
    struct Verdict: Equatable {
        let isAllowed: Bool
        /// Requests that are still allowed now.
        let remaining: Int
        /// Until one more is allowed, or, when one is, until the window has passed; 1 at least.
        let resetSeconds: Int
    }

    private let count: Int
    private let windowMs: Int
    private let mostKeys: Int
    private var startMs: Int
    private var current: [UInt64: Int] = [:]
    private var previous: [UInt64: Int] = [:]
    /// The keys of the current window, the oldest at `oldest`.
    private var order: [UInt64] = []
    private var oldest = 0
    private(set) var evictions = 0

    init(count: Int, windowMs: Int, mostKeys: Int = 100_000, nowMs: Int) {
        (self.count, self.windowMs, self.mostKeys) = (count, max(1, windowMs), mostKeys)
        startMs = nowMs
    }

    var keys: Int { current.count + previous.count }

    /// Whether one more may come; counts nothing.
    mutating func look(_ key: UInt64, nowMs: Int) -> Verdict {
        turn(nowMs: nowMs)
        let (before, now) = (Double(previous[key] ?? 0), current[key] ?? 0)
        let covered = 1 - Double(nowMs - startMs) / Double(windowMs)
        let estimate = before * covered + Double(now)
        let remaining = max(0, Int((Double(count) - estimate).rounded(.down)))
        guard estimate + 1 > Double(count) else {
            return Verdict(
                isAllowed: true, remaining: remaining, resetSeconds: seconds(until: startMs + windowMs, nowMs))
        }
        return Verdict(isAllowed: false, remaining: 0, resetSeconds: wait(before, now, nowMs))
    }

    mutating func add(_ key: UInt64, nowMs: Int) {
        turn(nowMs: nowMs)
        if current[key] == nil {
            if current.count >= mostKeys { evict() }
            order.append(key)
        }
        current[key, default: 0] += 1
    }

    /// When the estimate has fallen far enough.
    private func wait(_ before: Double, _ now: Int, _ nowMs: Int) -> Int {
        let room = Double(count - 1 - now)
        if room >= 0, before > 0 {
            // before · (1 - t) = room within this window.
            let share = 1 - room / before
            return seconds(until: startMs + Int(share * Double(windowMs)), nowMs)
        }
        // In the next one, this one's count falls to what is allowed.
        let share = max(0, 1 - Double(count - 1) / Double(max(1, now)))
        return seconds(until: startMs + windowMs + Int(share * Double(windowMs)), nowMs)
    }

    private func seconds(until ms: Int, _ nowMs: Int) -> Int { max(1, (ms - nowMs + 999) / 1000) }

    private mutating func turn(nowMs: Int) {
        guard nowMs - startMs >= windowMs else { return }
        let passed = (nowMs - startMs) / windowMs
        previous = passed == 1 ? current : [:]
        (current, order, oldest) = ([:], [], 0)
        startMs += passed * windowMs
    }

    private mutating func evict() {
        guard oldest < order.count else { return }
        current[order[oldest]] = nil
        oldest += 1
        evictions += 1
        if oldest > 4096, oldest * 2 > order.count {
            order.removeFirst(oldest)
            oldest = 0
        }
    }
}
