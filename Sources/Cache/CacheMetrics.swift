import Metrics
import Runtime

/// What a cache counts, as metrics: a family a row, read from the statistics of every class when asked.
public final class CacheMetrics: MetricSource {
    private let cache: LocalCache
    private let keeper: CacheKeeper?

    public init(_ cache: LocalCache, keeper: CacheKeeper? = nil) {
        self.cache = cache
        self.keeper = keeper
    }

    /// What is told of one class.
    private struct Reading {
        let cacheClass: CacheClass
        let labels: Labels
        let statistics: CacheStatistics
        let usage: CacheUsage
    }

    /// One family with, for each class, values and the label that tells them apart.
    private struct Row: Sendable {
        let metric: Metric
        let values: @Sendable (Reading) -> [(label: Label?, value: Double)]

        init(_ metric: Metric, _ values: @escaping @Sendable (Reading) -> [(label: Label?, value: Double)]) {
            self.metric = metric
            self.values = values
        }

        init(_ metric: Metric, _ value: @escaping @Sendable (Reading) -> Int) {
            self.init(metric) { [(nil, Double(value($0)))] }
        }
    }

    private static let rows: [Row] = [
        Row(.counter("outrigger_cache_hits_total", "Lookups answered from memory."), { $0.statistics.hits }),
        Row(
            .counter("outrigger_cache_absent_hits_total", "Lookups answered from memory with: there is no such thing."),
            { $0.statistics.absentHits }),
        Row(
            .counter("outrigger_cache_misses_total", "Lookups that memory had no answer to."), { $0.statistics.misses }),
        Row(.counter("outrigger_cache_fills_total", "Values stored."), { $0.statistics.fills }),
        Row(.counter("outrigger_cache_fills_refused_total", "Values not stored, by reason.")) { reading in
            FillRefusal.allCases.map {
                (Label("reason", $0.label), Double(reading.statistics.fillsRefused[$0.rawValue]))
            }
        },
        Row(
            .counter("outrigger_cache_fill_waits_total", "Misses that waited for somebody else's fetch."),
            { $0.statistics.waits }),
        Row(
            .counter(
                "outrigger_cache_fill_crowded_total", "Misses that found too many fetches or waits under way to join."),
            { $0.statistics.crowded }),
        Row(
            .counter("outrigger_cache_refreshes_total", "Hot entries that were fetched anew before they expired."),
            { $0.statistics.refreshes }),
        Row(.counter("outrigger_cache_evictions_total", "Entries that had to make room, by cause.")) { reading in
            EvictionCause.allCases.map {
                (Label("cause", "\($0)"), Double(reading.statistics.evictions[$0.rawValue]))
            }
        },
        Row(
            .counter("outrigger_cache_evicted_unused_total", "Entries evicted that were never asked for."),
            { $0.statistics.evictedUnused }),
        Row(.counter("outrigger_cache_expirations_total", "Entries that expired."), { $0.statistics.expirations }),
        Row(
            .counter("outrigger_cache_invalidations_total", "Entries dropped because what they held had changed."),
            { $0.statistics.invalidations }),
        Row(
            .counter("outrigger_cache_compressed_values_total", "Values stored compressed."),
            { $0.statistics.compressedValues }),
        Row(
            .counter("outrigger_cache_compression_saved_bytes_total", "Bytes that compression saved when storing."),
            { $0.statistics.savedBytes }),
        Row(.gauge("outrigger_cache_entries", "Entries held."), { $0.usage.entries }),
        Row(
            .gauge("outrigger_cache_used_bytes", "Keys, values and overhead held: what the bound is compared with."),
            { $0.usage.bytes }),
        Row(.gauge("outrigger_cache_limit_bytes", "Bytes that may be held.")) { reading in
            reading.usage.boundBytes == .max ? [] : [(nil, Double(reading.usage.boundBytes))]
        },
        Row(
            .gauge("outrigger_cache_resident_bytes", "Memory taken, with tables and what lies dead between entries."),
            { $0.usage.residentBytes }),
        Row(.gauge("outrigger_cache_fills_in_flight", "Keys being fetched."), { $0.usage.fillsInFlight }),
        Row(.gauge("outrigger_cache_tags", "Tags that some entry carries."), { $0.usage.tags }),
        Row(
            .gauge("outrigger_cache_estimated_hit_ratio", "Hit ratio with half and with double the memory, estimated.")
        ) { reading in
            [("half", reading.usage.hitRatioAtHalf), ("double", reading.usage.hitRatioAtDouble)].compactMap {
                size, ratio in ratio.map { (Label("size", size), $0) }
            }
        },
        Row(
            Metric("outrigger_cache_class_info", .info, "Always 1; the labels tell how a class is kept.")
        ) { _ in [(nil, 1)] },
    ]

    private static let ages = Metric(
        "outrigger_cache_hit_age_seconds", .histogram, "How old entries were when they were asked for.")
    private static let ageBounds = CacheStatistics.ageBoundsMs.map { HistogramBound(Double($0) / 1000) }
    private static let frees = Metric.counter(
        "outrigger_cache_memory_frees_total", "Times that memory was given back because it was short, by trigger.")

    public func collect(_ round: CollectionRound) async -> [Collected] { collectedWhenLate(round) }

    public func collectedWhenLate(_ round: CollectionRound) -> [Collected] {
        guard round.selection.contains("cache") else { return [] }
        let readings = cache.classes.indices.map(read)
        var families = CacheMetrics.rows.map { row in
            Family(
                row.metric,
                readings.flatMap { reading in
                    row.values(reading).map { label, value in
                        Sample(labels(reading, label, isInfo: row.metric.kind == .info), value)
                    }
                })
        }
        families.append(ages(readings))
        if let frees = keeper?.frees {
            families.append(
                Family(
                    CacheMetrics.frees,
                    MemoryTrigger.allCases.map {
                        Sample(Labels(["trigger": $0.rawValue]), Double(frees[$0] ?? 0))
                    }))
        }
        return [Collected("cache", families)]
    }

    private func read(_ index: Int) -> Reading {
        let id = CacheClass.ID(index: index)
        return Reading(
            cacheClass: cache.classes[index], labels: Labels(["class": cache.classes[index].name]),
            statistics: cache.statistics(of: id), usage: cache.usage(of: id))
    }

    private func labels(_ reading: Reading, _ label: Label?, isInfo: Bool) -> Labels {
        guard isInfo else { return label.map { reading.labels.adding([$0]) } ?? reading.labels }
        return reading.labels.adding([
            Label("strategy", reading.cacheClass.eviction.rawValue),
            Label("write", reading.cacheClass.writeMode.rawValue),
        ])
    }

    private func ages(_ readings: [Reading]) -> Family {
        var family = Family(CacheMetrics.ages)
        for reading in readings {
            family.addHistogram(
                reading.labels, bounds: CacheMetrics.ageBounds, counts: reading.statistics.ages,
                sum: Double(reading.statistics.ageSumMs) / 1000)
        }
        return family
    }
}
