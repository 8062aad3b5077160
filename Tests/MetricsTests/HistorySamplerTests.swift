import Runtime
import Synchronization
import Testing

@testable import Metrics

@Suite struct HistorySamplerTests {
    // MARK: The schedule

    @Test func samplesFallOnWholeMultiplesOfTheInterval() {
        var schedule = SamplingSchedule(interval: 15_000, now: 1_000_001)
        #expect(schedule.step(now: 1_000_001) == .wait(milliseconds: 4999))
        #expect(schedule.step(now: 1_005_000) == .sample(at: 1_005_000, missed: 0))
        #expect(schedule.step(now: 1_005_000) == .wait(milliseconds: 15_000))
    }

    @Test func aLittleLateIsStampedWithItsSlotAndMoreWithTheTruth() {
        var schedule = SamplingSchedule(interval: 15_000, now: 0)
        #expect(schedule.step(now: 15_150) == .sample(at: 15_000, missed: 0))
        #expect(schedule.step(now: 30_151) == .sample(at: 30_151, missed: 0))
        #expect(schedule.step(now: 30_152) == .wait(milliseconds: 14_848))
    }

    @Test func slotsThatWentByAreCountedAndSkipped() {
        var schedule = SamplingSchedule(interval: 1000, now: 0)
        #expect(schedule.step(now: 4003) == .sample(at: 4000, missed: 3))
        #expect(schedule.step(now: 4003) == .wait(milliseconds: 997))
    }

    @Test func aClockThatIsSetBackBeginsAnew() {
        var schedule = SamplingSchedule(interval: 1000, now: 1_000_000)
        #expect(schedule.step(now: 500_300) == .wait(milliseconds: 700))
    }

    // MARK: The sampler

    @Test func everyIntervalTheRegistryIsAskedAndItsAnswerKept() async {
        let history = History.ofItself()
        let time = FakeTime(start: 1_000_000, end: 1_050_000)
        let metric = Metric.gauge("lag_seconds", "Lag.")
        let sampler = HistorySampler(history, every: .seconds(15), clock: time.clock) { deadline in
            #expect(deadline.remaining <= .seconds(10))
            return Snapshot(families: [Family(metric, Double(time.now))])
        }
        await sampler.run()
        let series = history.series(named: "lag_seconds", from: 0, through: .max)
        #expect(
            series.map { $0.read(after: 0, through: .max).times } == [[1_005_000, 1_020_000, 1_035_000, 1_050_000]])
        #expect(sampler.instruments[0].read().samples.map(\.value) == [0])
    }

    @Test func aCollectionLongerThanTheIntervalCostsSlots() async {
        let history = History.ofItself()
        let time = FakeTime(start: 0, end: 10_500)
        let metric = Metric.gauge("lag_seconds", "Lag.")
        let sampler = HistorySampler(history, every: .seconds(1), clock: time.clock) { _ in
            if time.now < 5000 { time.pass(2500) }
            return Snapshot(families: [Family(metric, 1)])
        }
        await sampler.run()
        // 2 s went by during the first collection; 4 s and 5 s during the second.
        #expect(sampler.instruments[0].read().samples.map(\.value) == [3])
        let series = history.series(named: "lag_seconds", from: 0, through: .max)
        #expect(
            series.map { $0.read(after: 0, through: .max).times } == [
                [1000, 3500, 6000, 7000, 8000, 9000, 10_000, 11_000]
            ])
    }

    @Test func whenTheClockIsSetTheHistoryMovesAlongAndSamplingGoesOn() async {
        let history = History.ofItself()
        let time = FakeTime(start: 1_000_000_000, end: 1_000_060_000)
        let steps = FakeSteps()
        let metric = Metric.counter("work_total", "Work.")
        let clock = HistorySampler.Clock(
            now: { time.now + steps.offset }, sleep: { try await time.clock.sleep($0) }, look: { steps.look($0) })
        let sampler = HistorySampler(history, every: .seconds(15), clock: clock) { _ in
            // In the middle of the run, back by an hour.
            if time.now == 1_000_035_000 { steps.set(-3_600_000) }
            return Snapshot(families: [Family(metric, Double(time.now))])
        }
        await sampler.run()
        let series = history.series(named: "work_total", from: 0, through: .max)
        let times = series.first?.read(after: 0, through: .max).times ?? []
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 - $0 <= 15_000 && $1 > $0 })
        #expect(times.count >= 4 && times.allSatisfy { $0 <= time.now - 3_600_000 })
        #expect(history.moved == -3_600_000)
        let told = sampler.instruments.map { $0.read() }
        #expect(told[1].samples.map(\.value).reduce(0, +) == 1 && told[2].samples.map(\.value) == [-3600])
        #expect(told[0].samples.map(\.value) == [0])
    }

    /// A time of day that somebody sets, noticed at the next look.
    private final class FakeSteps: Sendable {
        private let state = Mutex<(offset: Int64, set: Int64)>((0, 0))

        var offset: Int64 { state.withLock { $0.offset } }

        func set(_ offset: Int64) { state.withLock { $0.set = offset } }

        func look(_ move: (Int64) -> Void) {
            let step = state.withLock { state in
                defer { state.offset = state.set }
                return state.set - state.offset
            }
            if step != 0 { move(step) }
        }
    }

    /// A clock that jumps to the end of every sleep, and ends the last.
    private final class FakeTime: Sendable {
        private let time: Atomic<Int64>
        private let end: Int64

        init(start: Int64, end: Int64) {
            time = Atomic(start)
            self.end = end
        }

        var now: Int64 { time.load(ordering: .sequentiallyConsistent) }

        func pass(_ milliseconds: Int64) { time.add(milliseconds, ordering: .sequentiallyConsistent) }

        var clock: HistorySampler.Clock {
            HistorySampler.Clock(
                now: { self.now },
                sleep: { duration in
                    guard self.now < self.end else { throw CancellationError() }
                    self.pass(Int64(duration.milliseconds))
                })
        }
    }
}
