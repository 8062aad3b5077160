import Dispatch
import Runtime
import Testing

@testable import Alerting

@Suite struct QueryThreadsTests {
    @Test func whatTakesLongDelaysNobodyElseAndOnlySoManyMayWait() async throws {
        let threads = QueryThreads(count: 2, limit: 3)
        let gate = DispatchSemaphore(value: 0)
        let stuck = (0..<3).map { number in
            Task {
                await threads.run {
                    gate.wait()
                    return number
                }
            }
        }
        let deadline = Deadline.after(.seconds(120))
        while threads.load < 3 {
            try #require(!deadline.hasPassed)
            await Task.yield()
        }
        // This test goes on, on the shared pool, and is told that there is no room.
        #expect(await threads.run { 4 } == nil)
        for _ in stuck { gate.signal() }
        for (number, task) in stuck.enumerated() { #expect(await task.value == number) }
        #expect(await threads.run { 5 } == 5)
        #expect(threads.load == 0)
    }
}
