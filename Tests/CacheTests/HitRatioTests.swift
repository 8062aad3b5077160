import Runtime
import Testing

@testable import Cache

/// The policies on recorded loads, beside the reference table in ../shared and beside caches as plain as their
/// definition.
@Suite(.serialized, .enabled(if: Trace.areThere, Trace.absence)) struct HitRatioTests {
    struct Case: Sendable, CustomStringConvertible {
        let trace: String
        var requests = Int.max
        let capacities: [Int]
        var row: String { trace == "orm-busy" ? "orm-busy-1M" : trace }
        var description: String { trace }
    }

    static let cases = [
        Case(trace: "web07", capacities: [204, 1024, 2048]),
        Case(trace: "web12", capacities: [137, 687, 1375]),
        // Seconds a run without optimisation; `make bench` has its other rows.
        Case(trace: "orm-busy", requests: 1_000_000, capacities: [441]),
    ]

    @Test(arguments: cases) func lruFIFOAndLFUGiveTheReferenceRatiosAndTheOthersAtLeastTheirs(_ example: Case)
        async throws
    {
        let trace = try await Trace.load(example.trace, requests: example.requests)
        for capacity in example.capacities {
            let row = try Trace.row(example.row, capacity)
            #expect(percent(hits(.fifo, trace, capacity), trace) == row["FIFO"])
            #expect(percent(hits(.lru, trace, capacity), trace) == row["LRU"])
            if trace.keys.count < 200_000 { #expect(percent(hits(.lfu, trace, capacity), trace) == row["LFU"]) }
            #expect(percent(hits(.s3fifo, trace, capacity), trace) >= row["S3FIFO"]!)
            #expect(percent(hits(.wtinylfu, trace, capacity), trace) >= row["WTLFU"]!)
        }
    }

    struct Variant: Sendable, CustomStringConvertible {
        let trace: String
        let sized: Bool
        let ttlMs: Int
        var description: String { "\(trace)\(sized ? ", sized" : "")\(ttlMs < .max ? ", \(ttlMs / 1000) s" : "")" }
    }

    static let variants = ["web07", "web12"].flatMap { trace in
        [
            Variant(trace: trace, sized: true, ttlMs: .max), Variant(trace: trace, sized: false, ttlMs: 160_000),
            Variant(trace: trace, sized: true, ttlMs: 160_000),
        ]
    }

    @Test(arguments: variants) func hitsAreThoseOfThePlainDefinition(_ variant: Variant) async throws {
        let trace = try await Trace.load(variant.trace)
        let capacity = variant.sized ? 1_400_000 : 700
        func reference(_ policy: ReferenceCache.Policy) -> Int {
            var cache = ReferenceCache(policy, capacity: capacity)
            return replay(trace, variant) { key, size, ttl, now in
                if cache.lookup(key, now: now) { return true }
                cache.insert(key, size: size, deadline: now + ttl, now: now)
                return false
            }
        }
        func real(_ eviction: Eviction) -> Int {
            hits(eviction, trace, capacity, variant)
        }
        #expect(real(.fifo) == reference(.fifo))
        #expect(real(.lru) == reference(.lru))
        #expect(real(.s3fifo) == reference(.s3fifo))
        #expect(real(.wtinylfu) >= reference(.wtinylfu))
        #expect(real(.s3fifo) > reference(.lru))
        #expect(real(.wtinylfu) > reference(.lru))
    }

    private func percent(_ hits: Int, _ trace: Trace) -> Double {
        (10_000 * Double(hits) / Double(trace.keys.count)).rounded() / 100
    }

    private func hits(
        _ eviction: Eviction, _ trace: Trace, _ capacity: Int,
        _ variant: Variant = Variant(trace: "", sized: false, ttlMs: .max)
    ) -> Int {
        let rules = CacheRules(
            weighing: variant.sized ? .bytes(overhead: 0) : .entries, ttlMs: CacheRules.longestMs,
            maxAgeMs: CacheRules.longestMs, estimates: false)
        let partition = eviction.partition(
            rules, bounds: Bounds(weight: capacity, entries: variant.sized ? .max : capacity), seed: 1, nowMs: 0)
        var output: [UInt8] = []
        let filler = [UInt8](repeating: 7, count: 8192)
        return replay(trace, variant) { key, size, ttl, now in
            let bytes = (0..<4).map { UInt8(truncatingIfNeeded: key >> (8 * $0)) }
            let hash = KeyHash.hash(bytes.span, seed: 1)
            output.removeAll(keepingCapacity: true)
            if case .hit = partition.lookup(hash, bytes.span, nowMs: now, into: &output) { return true }
            let value = filler.span.extracting(0..<(variant.sized ? size - 4 : 0))
            let entry = NewEntry(ttlMs: min(ttl, CacheRules.longestMs))
            _ = partition.put(hash, bytes.span, value, entry, nowMs: now)
            return false
        }
    }

    /// A request every 16 ms, the width of the timer's finest buckets.
    private func replay(_ trace: Trace, _ variant: Variant, _ request: (Int, Int, Int, Int) -> Bool) -> Int {
        var hits = 0
        for (index, key) in trace.keys.enumerated() {
            let size = variant.sized ? 40 + (key &* 2_654_435_761 >> 7) % 4000 : 1
            let ttl = variant.ttlMs == .max ? ReferenceCache.never : variant.ttlMs
            if request(key, size, ttl, variant.ttlMs == .max ? 0 : 16 * (index + 1)) { hits += 1 }
        }
        return hits
    }
}
