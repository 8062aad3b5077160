import Runtime

/// What the pages tell of the cache and of the proxy in front of Redis. Counts are since the start; ratios and rates are
/// those of the last five minutes, null while there is nothing to divide.
struct CacheFacts: Sendable {
    let facts: Facts

    private static let counts: KeyValuePairs = [
        "hits": "outrigger_cache_hits_total", "absent_hits": "outrigger_cache_absent_hits_total",
        "misses": "outrigger_cache_misses_total", "evictions": "outrigger_cache_evictions_total",
        "expirations": "outrigger_cache_expirations_total", "invalidations": "outrigger_cache_invalidations_total",
        "entries": "outrigger_cache_entries", "used_bytes": "outrigger_cache_used_bytes",
        "limit_bytes": "outrigger_cache_limit_bytes", "resident_bytes": "outrigger_cache_resident_bytes",
    ]

    private static func hitRatio(_ sum: String) -> String {
        let hits =
            "(\(sum) (rate(outrigger_cache_hits_total[5m])) + \(sum) (rate(outrigger_cache_absent_hits_total[5m])))"
        return "\(hits) / (\(hits) + \(sum) (rate(outrigger_cache_misses_total[5m])) > 0)"
    }

    static let summarySchema = Schema.object([
        "hits": .nullable(.number), "absent_hits": .nullable(.number), "misses": .nullable(.number),
        "evictions": .nullable(.number), "expirations": .nullable(.number), "invalidations": .nullable(.number),
        "entries": .nullable(.number), "used_bytes": .nullable(.number), "limit_bytes": .nullable(.number),
        "resident_bytes": .nullable(.number), "hit_ratio": .nullable(.number),
        "replies": .map(.number), "replies_per_second": .nullable(.number),
        "saved_round_trips_per_second": .nullable(.number), "clients": .nullable(.number),
        "tracking_up": .nullable(.number), "breaker_open": .nullable(.number),
    ])

    /// All classes together, and the proxy.
    var summary: JSON {
        .object(
            Self.counts.map { JSON.Member($0.key, facts.json("sum(\($0.value))")) } + [
                JSON.Member("hit_ratio", facts.json(Self.hitRatio("sum"))),
                JSON.Member("replies", facts.map("source", "sum by (source) (outrigger_redis_proxy_replies_total)")),
                JSON.Member(
                    "replies_per_second", facts.json("sum(rate(outrigger_redis_proxy_replies_total[5m]))")),
                JSON.Member(
                    "saved_round_trips_per_second",
                    facts.json("sum(rate(outrigger_redis_proxy_replies_total{source!=\"redis\"}[5m]))")),
                JSON.Member("clients", facts.json("sum(outrigger_redis_proxy_clients)")),
                JSON.Member("tracking_up", facts.json("min(outrigger_redis_proxy_tracking_up)")),
                JSON.Member("breaker_open", facts.json("max(outrigger_circuit_breaker_open{breaker=\"redis_proxy\"})")),
            ])
    }

    static let classesSchema = Schema.array(
        .object([
            "class": .string, "hits": .nullable(.number), "absent_hits": .nullable(.number),
            "misses": .nullable(.number), "evictions": .nullable(.number), "expirations": .nullable(.number),
            "invalidations": .nullable(.number), "entries": .nullable(.number), "used_bytes": .nullable(.number),
            "limit_bytes": .nullable(.number), "resident_bytes": .nullable(.number), "hit_ratio": .nullable(.number),
        ]))

    var classes: JSON {
        facts.rows(
            ["class"],
            Self.counts.map { ($0.key, "sum by (class) (\($0.value))") }
                + [("hit_ratio", Self.hitRatio("sum by (class)"))], limit: 200)
    }
}
