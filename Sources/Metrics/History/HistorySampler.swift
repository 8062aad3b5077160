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
        let look: @Sendable (_ move: (Int64) -> Void) -> Void

        /// - Parameters:
        ///   - now: milliseconds since 1970.
        ///   - sleep: throws when the task is cancelled.
        ///   - look: notices that the time was set, as `SteadyTime.look` does.
        public init(
            now: @escaping @Sendable () -> Int64, sleep: @escaping @Sendable (Duration) async throws -> Void,
            look: @escaping @Sendable (_ move: (Int64) -> Void) -> Void = { _ in }
        ) {
            self.now = now
            self.sleep = sleep
            self.look = look
        }

        public static let wall = Clock(
            now: { SteadyTime.shared.now }, sleep: { try await Task.sleep(for: $0) },
            look: { SteadyTime.shared.look($0) })
    }

    private let history: History
    private let interval: Duration
    private let clock: Clock
    private let gather: @Sendable (Deadline) async -> Snapshot
    private let missed = CounterFamily(
        .counter(
            "outrigger_history_rounds_missed_total",
            "Rounds of sampling skipped because the one before took too long or the process did not run."))

    private let steps = CounterFamily(
        .counter(
            "outrigger_clock_steps_total",
            "Times that the clock of the machine was set while Outrigger ran, by direction."),
        labelNames: ["direction"])
    private let lastStep = GaugeFamily(
        .gauge("outrigger_clock_last_step_seconds", "By how much the clock was set last; less than 0 for back."))

    /// To be added to the registry.
    public nonisolated var instruments: [any Instrument] { [missed, steps, lastStep] }

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
        for direction in ["forward", "back"] { steps.with([direction]).add(0) }
    }

    /// Leaves a tenth of the interval, so that a server that never answers does not make us miss the next slot.
    private var timeout: Duration { min(interval * 9 / 10, .seconds(10)) }

    /// Samples until the task is cancelled.
    public func run() async {
        var schedule = SamplingSchedule(interval: Int64(interval.milliseconds), now: clock.now())
        while !Task.isCancelled {
            if followClock() { schedule = SamplingSchedule(interval: Int64(interval.milliseconds), now: clock.now()) }
            switch schedule.step(now: clock.now()) {
            case .wait(let milliseconds):
                // Cancelled: the loop ends.
                guard (try? await clock.sleep(.milliseconds(milliseconds))) != nil else { return }
            case .sample(let time, let skipped):
                missed.with([]).add(skipped)
                let moved = history.moved
                let snapshot = await gather(.after(timeout))
                history.append(snapshot, at: time + history.moved - moved)
            }
        }
    }

    /// Moves the history when the clock was set.
    private func followClock() -> Bool {
        var step: Int64 = 0
        clock.look {
            step = $0
            history.move(by: step)
        }
        guard step != 0 else { return false }
        let seconds = Double(step) / 1000
        steps.with([step > 0 ? "forward" : "back"]).add()
        lastStep.with([]).set(seconds)
        Log.warn(
            "the clock of this machine was set; what waits goes on, and the history moves along", ["by": "\(seconds) s"]
        )
        return true
    }
}
