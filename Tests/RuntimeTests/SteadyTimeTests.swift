import Synchronization
import Testing

@testable import Runtime

@Suite struct SteadyTimeTests {
    private final class Clocks: Sendable {
        let wall = Atomic<Int64>(1_000_000)
        let running = Atomic<Int64>(5000)

        func pass(_ milliseconds: Int64) {
            wall.add(milliseconds, ordering: .relaxed)
            running.add(milliseconds, ordering: .relaxed)
        }

        func makeTime() -> SteadyTime {
            SteadyTime(
                wall: { self.wall.load(ordering: .relaxed) }, running: { self.running.load(ordering: .relaxed) })
        }
    }

    @Test(arguments: [-3_600_000, 3_600_000] as [Int64])
    func timeGoesOnUntilSomebodyLooksAndIsThenThatOfTheMachine(_ step: Int64) {
        let clocks = Clocks()
        let time = clocks.makeTime()
        clocks.pass(1000)
        clocks.wall.add(step, ordering: .relaxed)
        #expect(time.now == 1_001_000 && time.stepped == 0)
        var moved: [Int64] = []
        time.look { moved.append($0) }
        time.look { moved.append($0) }
        #expect(moved == [step] && time.now == 1_001_000 + step && time.stepped == step)
        clocks.wall.add(-step, ordering: .relaxed)
        time.look { moved.append($0) }
        #expect(moved == [step, -step] && time.now == 1_001_000 && time.stepped == 0)
    }

    @Test func aDifferenceWithinToleranceIsLeft() {
        let clocks = Clocks()
        let time = clocks.makeTime()
        clocks.wall.add(SteadyTime.tolerance, ordering: .relaxed)
        time.look { _ in Issue.record("moved") }
        #expect(time.now == 1_000_000)
    }

    @Test func theProcessesTimeIsThatOfTheMachine() {
        #expect(abs(SteadyTime.shared.now - WallClock.nowMilliseconds) < 60_000)
    }
}
