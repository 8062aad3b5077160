import Alerting
import Testing

@Suite struct EvaluationScheduleTests {
    @Test func theFirstEvaluationIsTheNextSlotAndTheOthersAnIntervalApart() throws {
        var schedule = EvaluationSchedule(group: "g", file: "f", interval: 30_000, now: 1_000_000)
        let first = schedule.next
        #expect(first > 1_000_000 && first <= 1_030_000)
        #expect(first % 30_000 == schedule.offset)
        let early = schedule.take(at: first - 1)
        #expect(early == nil)
        let taken = schedule.take(at: first + 17)
        #expect(try #require(taken) == (first, 0))
        #expect(schedule.next == first + 30_000)
    }

    @Test func slotsSurviveARestartAndDifferBetweenGroups() {
        let before = EvaluationSchedule(group: "g", file: "f", interval: 60_000, now: 5_000)
        let after = EvaluationSchedule(group: "g", file: "f", interval: 60_000, now: 9_000_000)
        #expect(before.offset == after.offset)
        let offsets = Set((0..<20).map { EvaluationSchedule(group: "g\($0)", file: "f", interval: 60_000, now: 0).offset })
        #expect(offsets.count == 20)
    }

    @Test func missedSlotsAreSkippedAndCounted() throws {
        var schedule = EvaluationSchedule(group: "g", file: "f", interval: 10_000, now: 0)
        let first = schedule.next
        let taken = schedule.take(at: first + 35_000)
        #expect(try #require(taken) == (first + 30_000, 3))
        #expect(schedule.next == first + 40_000)
    }

    @Test func aClockThatIsSetBackIsFollowed() throws {
        var schedule = EvaluationSchedule(group: "g", file: "f", interval: 10_000, now: 1_000_000)
        let taken = schedule.take(at: 500_000)
        #expect(taken == nil)
        #expect(schedule.next > 500_000 && schedule.next <= 510_000)
    }
}
