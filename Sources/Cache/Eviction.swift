/// The catalogue of eviction policies. A policy is a case here, a file beside `Policies/LRU.swift`, and a row below.
public enum Eviction: String, CaseIterable, Sendable {
    case s3fifo, wtinylfu, lru, lfu, fifo, ttl

    /// A partition with this policy. The choice is made once; from here on calls are direct.
    func partition(_ rules: CacheRules, bounds: Bounds, seed: UInt64, nowMs: Int) -> any Partition {
        switch self {
        case .s3fifo: PolicyPartition<S3FIFO>(rules, bounds: bounds, seed: seed, nowMs: nowMs)
        case .wtinylfu: PolicyPartition<WTinyLFU>(rules, bounds: bounds, seed: seed, nowMs: nowMs)
        case .lru: PolicyPartition<LRU>(rules, bounds: bounds, seed: seed, nowMs: nowMs)
        case .lfu: PolicyPartition<LFU>(rules, bounds: bounds, seed: seed, nowMs: nowMs)
        case .fifo: PolicyPartition<FIFO>(rules, bounds: bounds, seed: seed, nowMs: nowMs)
        case .ttl: PolicyPartition<SoonestExpiry>(rules, bounds: bounds, seed: seed, nowMs: nowMs)
        }
    }
}
