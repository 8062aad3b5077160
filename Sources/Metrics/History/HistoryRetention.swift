import Runtime

/// How long the samples of a metric stay.
struct HistoryRetention {
    /// Milliseconds, for every metric.
    private(set) var least: Int64 = 3_600_000
    private var byName: [String: Int64] = [:]

    init() {}

    init(_ byName: [String: Duration], least: Duration) {
        self.least = Int64(least.milliseconds)
        self.byName = byName.mapValues { Int64($0.milliseconds) }
    }

    subscript(name: String) -> Int64 { max(least, byName[name] ?? 0) }

    var longest: Int64 { max(least, byName.values.max() ?? 0) }
}

extension HistoryState {
    private static let sweepEvery: Int64 = 60_000

    /// Forgets what is older than anybody wants, once a minute, and what memory has no room for.
    mutating func tidy(now: Int64) {
        // The first call, and a clock that was set back, count as a minute.
        if sweptAt == .min || now - sweptAt >= Self.sweepEvery || now < sweptAt { sweep(now: now) }
        if bytes > limitBytes { shorten() }
    }

    mutating func sweep(now: Int64) {
        sweptAt = now
        for (name, named) in names {
            let cutoff = now - retention[name]
            var gone: [HistorySeries] = []
            for series in named.series where !forget(series, before: cutoff) { gone.append(series) }
            remove(gone, named: name)
        }
        if let before = shortenedBefore, before <= now - retention.longest { shortenedBefore = nil }
    }

    /// - Returns: whether the series stays, because it has later samples or still gets some.
    private mutating func forget(_ series: HistorySeries, before cutoff: Int64) -> Bool {
        let change = change(series) { $0.forget(before: cutoff) }
        return change.lastTime >= cutoff || change.round == round
    }

    /// Gives up the oldest closed chunks of all series, whosever they are, until a tenth of the limit is free. That
    /// shortens the longest histories first. Series that ended go next; what still comes always stays.
    private mutating func shorten() {
        let goal = limitBytes / 10 * 9
        let before = endOfChunksToGiveUp(bytes: bytes - goal)
        if before > .min {
            for series in names.values.flatMap(\.series) { _ = change(series) { $0.giveUpChunks(endingBy: before) } }
            shortenedBefore = max(shortenedBefore ?? .min, before)
            tally.shortenings += 1
        }
        guard bytes > limitBytes else { return }
        for (name, named) in names { remove(named.series.filter { $0.isScraped && hasEnded($0) }, named: name) }
    }

    private func hasEnded(_ series: HistorySeries) -> Bool {
        series.state.withLock { $0.round != round }
    }

    /// The time by which enough chunks end to free that many bytes, or all of them if they are fewer.
    private func endOfChunksToGiveUp(bytes: Int) -> Int64 {
        var chunks: [(end: Int64, bytes: Int)] = []
        for series in names.values.flatMap(\.series) {
            for chunk in series.state.withLock({ $0.samples.chunks }) {
                chunks.append((chunk.last, 40 + 8 * Int(chunk.wordCount)))
            }
        }
        chunks.sort { $0.end < $1.end }
        var freed = 0
        for chunk in chunks {
            freed += chunk.bytes
            if freed >= bytes { return chunk.end }
        }
        return chunks.last?.end ?? .min
    }

    /// Changes the samples of a series and keeps the books.
    private mutating func change(
        _ series: HistorySeries, _ body: (inout SeriesSamples) -> Void
    ) -> (lastTime: Int64, round: Int32) {
        let (bytes, count, last, seen) = series.state.withLock { state in
            let (heapBytes, count) = (state.samples.heapBytes, state.samples.count)
            body(&state.samples)
            return (
                state.samples.heapBytes - heapBytes, state.samples.count - count, state.samples.lastTime ?? .min,
                state.round
            )
        }
        sampleBytes += bytes
        sampleCount += count
        return (last, seen)
    }
}
