import Runtime
import Synchronization

/// The recent samples of everything in the registry and of what rules record, compressed, in memory.
///
/// One thread at a time appends; any number read, each series under a lock of its own, so a rule never waits for more
/// than one sample's coding. Times are milliseconds since 1970.
public final class History: Sendable {
    let state: Mutex<HistoryState>
    public let metrics: HistoryMetrics

    /// - Parameters:
    ///   - targets: whose series there are. Each series belongs to the first that owns it; the last should own all.
    ///   - limitBytes: memory for samples and series, by our own count.
    public init(targets: [HistoryTarget], limitBytes: Int = 32 << 20) {
        precondition(!targets.isEmpty, "a history without a target")
        state = Mutex(HistoryState(targets: targets, limitBytes: limitBytes))
        metrics = HistoryMetrics(limitBytes: limitBytes)
    }

    /// Adds everything that was true at `time`. Series that the snapshot before had and this one has not are marked as
    /// ended. A sample that is not newer than its series' last is dropped and counted.
    public func append(_ snapshot: Snapshot, at time: Int64) {
        change(at: time) { $0.append(snapshot, at: time) }
    }

    /// Adds what a rule made. The labels hold the name as `__name__`; who records also marks the ends, with
    /// `History.staleMarker`.
    public func append(recorded samples: [(labels: Labels, value: Double)], at time: Int64) {
        change(at: time) { $0.append(recorded: samples, at: time) }
    }

    /// The value that marks the end of a series, as Prometheus has it.
    public static var staleMarker: Double { .staleMarker }

    /// Gives all series to new targets: what a reload does. Series whose labels stay the same go on.
    public func setTargets(_ targets: [HistoryTarget]) {
        precondition(!targets.isEmpty, "a history without a target")
        state.withLock { $0.setTargets(targets) }
    }

    /// How long samples stay: at least `least`, and longer for the series of these names, such as `x_bucket`.
    public func setRetention(_ byName: [String: Duration], least: Duration = .seconds(3600)) {
        state.withLock { $0.retention = HistoryRetention(byName, least: least) }
    }

    /// Gives all samples other times, so many milliseconds later: for a clock that was set. What was measured a minute ago
    /// stays a minute ago, so that no window sees a gap, and nothing lies in the future and keeps out what comes.
    public func move(by milliseconds: Int64) { state.withLock { $0.move(by: milliseconds) } }

    /// By how many milliseconds samples were moved, all moves together.
    public var moved: Int64 { state.withLock { $0.moved } }

    /// How much memory the samples take.
    public var footprint: HistoryFootprint { state.withLock { HistoryFootprint($0) } }

    func change(at time: Int64, _ body: (inout HistoryState) -> Void) {
        let (tally, footprint, shortage) = state.withLock { state in
            state.tally = HistoryState.Tally()
            body(&state)
            return (state.tally, HistoryFootprint(state), state.shortage(at: time))
        }
        metrics.count(tally, footprint, shortage: shortage)
    }
}

extension HistoryState {
    /// By how much the longest history is shorter than asked for, because memory is short.
    func shortage(at time: Int64) -> Duration {
        guard let shortenedBefore else { return .zero }
        return .milliseconds(max(0, shortenedBefore - (time - retention.longest)))
    }
}

/// How many samples a history holds and what they cost.
public struct HistoryFootprint: Sendable {
    public let series: Int
    public let samples: Int
    /// Compressed samples with the arrays that hold them.
    public let sampleBytes: Int
    /// The series themselves: objects, labels, indexes. An estimate, see `HistorySeries.ownBytes`.
    public let seriesBytes: Int

    public var bytes: Int { sampleBytes + seriesBytes }
    public var bytesPerSample: Double { samples == 0 ? 0 : Double(sampleBytes) / Double(samples) }
    public var bytesPerSampleWithSeries: Double { samples == 0 ? 0 : Double(bytes) / Double(samples) }

    init(_ state: HistoryState) {
        series = state.seriesCount
        samples = state.sampleCount
        sampleBytes = state.sampleBytes
        seriesBytes = state.seriesBytes
    }
}
