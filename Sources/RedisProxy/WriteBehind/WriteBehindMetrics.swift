import Metrics

/// What writing behind counts. What is pending is read when it is asked for.
struct WriteBehindMetrics: Sendable {
    /// Why a write was not acknowledged from the log.
    enum Refusal: String, CaseIterable {
        case full, large, stopping, disk
        case noRoom = "no_room"
    }

    private let acceptedFamily = CounterFamily(
        .counter("outrigger_redis_proxy_write_behind_accepted_total", "Writes that were acknowledged from the log."))
    private let flushedFamily = CounterFamily(
        .counter("outrigger_redis_proxy_write_behind_flushed_total", "Writes that Redis has taken."))
    private let coalescedFamily = CounterFamily(
        .counter(
            "outrigger_redis_proxy_write_behind_coalesced_total", "Writes that were overwritten before they were sent.")
    )
    private let returnedFamily = CounterFamily(
        .counter(
            "outrigger_redis_proxy_write_behind_returned_total",
            "Writes that were sent and have to be sent again, because Redis was gone or could not take them."))
    private let rejectedFamily = CounterFamily(
        .counter(
            "outrigger_redis_proxy_write_behind_rejected_total",
            "Acknowledged writes that Redis refused for good; they are in the file rejected.resp."))
    private let refusedFamily = CounterFamily(
        .counter(
            "outrigger_redis_proxy_write_behind_refused_total",
            "Writes that were not taken: too much pending, too large, stopping, Redis full; or refused because the disk failed."
        ),
        labelNames: ["reason"])
    private let replayedFamily = CounterFamily(
        .counter(
            "outrigger_redis_proxy_write_behind_replayed_total", "Writes found in the log at the start and sent again.")
    )
    private let damageFamily = CounterFamily(
        .counter(
            "outrigger_redis_proxy_write_behind_log_damages_total",
            "Places where the log was found damaged at the start."))
    private let syncFamily = HistogramFamily(
        Metric(
            "outrigger_redis_proxy_write_behind_sync_seconds", .histogram,
            "Time to write and sync what was accepted together."),
        bounds: [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1])

    let accepted: Counter
    let flushed: Counter
    let coalesced: Counter
    let returned: Counter
    let rejected: Counter
    let replayed: Counter
    let damages: Counter
    let sync: Histogram
    private let refused: [Refusal: Counter]

    init() {
        accepted = acceptedFamily.with([])
        flushed = flushedFamily.with([])
        coalesced = coalescedFamily.with([])
        returned = returnedFamily.with([])
        rejected = rejectedFamily.with([])
        replayed = replayedFamily.with([])
        damages = damageFamily.with([])
        sync = syncFamily.with([])
        var refused: [Refusal: Counter] = [:]
        for reason in Refusal.allCases { refused[reason] = refusedFamily.with([reason.rawValue]) }
        self.refused = refused
    }

    func refuse(_ reason: Refusal, _ count: Int) { refused[reason]?.add(count) }

    /// - Parameter counts: what has been counted since the last time.
    func add(_ counts: PendingWrites.Counts) {
        flushed.add(counts.flushed)
        coalesced.add(counts.coalesced)
        returned.add(counts.returned)
        rejected.add(counts.rejected)
    }

    /// - Parameter reading: what is pending now.
    func instruments(_ reading: @escaping @Sendable () -> WriteBehind.Reading) -> [any Instrument] {
        [
            acceptedFamily, flushedFamily, coalescedFamily, returnedFamily, rejectedFamily, refusedFamily,
            replayedFamily, damageFamily, syncFamily,
            PendingGauge(
                metric: .gauge(
                    "outrigger_redis_proxy_write_behind_pending", "Writes that were taken and are not at Redis yet.")
            ) { Double(reading().writes) },
            PendingGauge(
                metric: .gauge(
                    "outrigger_redis_proxy_write_behind_pending_bytes", "Memory that pending writes take, about.")
            ) { Double(reading().bytes) },
            PendingGauge(
                metric: .gauge(
                    "outrigger_redis_proxy_write_behind_oldest_seconds",
                    "For how long Redis has been without the oldest pending write.")
            ) { reading().age.seconds },
            PendingGauge(
                metric: .gauge("outrigger_redis_proxy_write_behind_log_bytes", "Length of the log on disk.")
            ) { Double(reading().logBytes) },
        ]
    }
}

private struct PendingGauge: Instrument {
    let metric: Metric
    let value: @Sendable () -> Double

    func read() -> Family { Family(metric, value()) }
}
