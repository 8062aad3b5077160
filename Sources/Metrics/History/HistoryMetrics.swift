import Runtime

/// What a history tells of itself.
public struct HistoryMetrics: Sendable {
    private let series = GaugeFamily(.gauge("outrigger_history_series", "Series held in memory for rules and queries."))
    private let samples = GaugeFamily(.gauge("outrigger_history_samples", "Samples held in memory."))
    private let sampleBytes = GaugeFamily(
        .gauge("outrigger_history_sample_bytes", "Memory that the compressed samples take."))
    private let bytes = GaugeFamily(
        .gauge("outrigger_history_bytes", "Memory that samples, series and their labels take, by our own count."))
    private let limit = GaugeFamily(
        .gauge("outrigger_history_limit_bytes", "Memory that samples, series and their labels may take."))
    private let stored = CounterFamily(.counter("outrigger_history_samples_appended_total", "Samples stored."))
    private let dropped = CounterFamily(
        .counter(
            "outrigger_history_samples_dropped_total",
            "Samples not stored because their series had one as new or newer."),
        labelNames: ["reason"])
    private let refused = CounterFamily(
        .counter("outrigger_history_samples_refused_total", "Samples of new series not stored for lack of memory."))
    private let shortened = CounterFamily(
        .counter(
            "outrigger_history_retention_shortened_total", "Times that old samples were given up for lack of memory."))
    private let shortage = GaugeFamily(
        .gauge(
            "outrigger_history_retention_shortened_seconds",
            "By how much the longest history is shorter than the rules ask for, for lack of memory."))

    /// To be added to the registry.
    public var instruments: [any Instrument] {
        [series, samples, sampleBytes, bytes, limit, stored, dropped, refused, shortened, shortage]
    }

    init(limitBytes: Int) {
        limit.with([]).set(Double(limitBytes))
        for reason in ["duplicate", "out_of_order"] { dropped.with([reason]).add(0) }
    }

    func count(_ tally: HistoryState.Tally, _ footprint: HistoryFootprint, shortage seconds: Duration) {
        series.with([]).set(Double(footprint.series))
        samples.with([]).set(Double(footprint.samples))
        sampleBytes.with([]).set(Double(footprint.sampleBytes))
        bytes.with([]).set(Double(footprint.bytes))
        stored.with([]).add(tally.stored)
        dropped.with(["duplicate"]).add(tally.duplicates)
        dropped.with(["out_of_order"]).add(tally.outOfOrder)
        refused.with([]).add(tally.refused)
        shortened.with([]).add(tally.shortenings)
        shortage.with([]).set(seconds.seconds)
    }
}
