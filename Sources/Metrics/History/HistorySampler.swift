import Runtime

/// Asks the registry every interval and adds what it says to a history.
///
/// The registry gives the same collection to scrapes that come within its minimum age, so sampling asks the servers
/// nothing that a scrape has just asked.
public actor HistorySampler {
    /// The time of day and how to wait; a test brings its own.
    public struct Clock: Sendable {
        let now: @Sendable () -> Int64
        let sleep: @Sendable (Duration) async throws -> Void

        /// - Parameters:
        ///   - now: milliseconds since 1970.
        ///   - sleep: throws when the task is cancelled.
        public init(
            now: @escaping @Sendable () -> Int64, sleep: @escaping @Sendable (Duration) async throws -> Void
        ) {
            self.now = now
            self.sleep = sleep
        }

        public static let wall = Clock(now: { WallClock.nowMilliseconds }, sleep: { try await Task.sleep(for: $0) })
    }

    private let history: History
    private let interval: Duration
    private let clock: Clock
    private let gather: @Sendable (Deadline) async -> Snapshot
    private let missed = CounterFamily(
        .counter(
            "outrigger_history_rounds_missed_total",
            "Rounds of sampling skipped because the one before took too long or the process did not run."))

    /// To be added to the registry.
    public nonisolated var instruments: [any Instrument] { [missed] }

    /// - Parameters:
    ///   - interval: `history.interval`, at least a millisecond.
    ///   - gather: mostly the registry's; it must answer by the deadline.
    public init(
        _ history: History, every interval: Duration, clock: Clock = .wall,
        gather: @escaping @Sendable (Deadline) async -> Snapshot
    ) {
        precondition(interval >= .milliseconds(1), "a sampling interval of \(interval)")
        self.history = history
        self.interval = interval
        self.clock = clock
        self.gather = gather
    }

    /// Leaves a tenth of the interval, so that a server that never answers does not make us miss the next slot.
    private var timeout: Duration { min(interval * 9 / 10, .seconds(10)) }

    /// Samples until the task is cancelled.
    public func run() async {
        var schedule = SamplingSchedule(interval: Int64(interval.milliseconds), now: clock.now())
        while !Task.isCancelled {
            switch schedule.step(now: clock.now()) {
            case .wait(let milliseconds):
                // Cancelled: the loop ends.
                guard (try? await clock.sleep(.milliseconds(milliseconds))) != nil else { return }
            case .sample(let time, let skipped):
                missed.with([]).add(skipped)
                history.append(await gather(.after(timeout)), at: time)
            }
        }
    }
}
