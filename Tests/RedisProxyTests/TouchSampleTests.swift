import RedisTesting
import Runtime
import Testing

@testable import RedisProxy

@Suite struct TouchSampleTests {
    private let identity = Identity()

    private func key(_ number: Int) -> [UInt8] { Array("key:\(number)".utf8) }

    @Test func oneInSoManyUsesIsTold() {
        var sample = TouchSample(every: 50)
        let due = (0..<500_000).count { _ in sample.isDue() }
        // The mean of 10,000 steps of 1 to 99, within ten times its deviation.
        #expect((9430...10_570).contains(due), "\(due)")
    }

    @Test(arguments: [(1, 1000), (0, 0)]) func allAndNoneAreExact(_ every: Int, _ wanted: Int) {
        var sample = TouchSample(every: every)
        let due = (0..<1000).count { _ in sample.isDue() }
        #expect(due == wanted)
    }

    @Test func aKeyIsToldOnceForEachIdentityAndThenForgotten() {
        var sample = TouchSample(every: 1)
        var other = identity
        other.database = 3
        for _ in 0..<5 { sample.add(key(1).span, for: identity) }
        sample.add(key(1).span, for: other)
        sample.add(key(2).span, for: other)
        let (taken, rest) = (sample.take(), sample.take())
        #expect(taken == [identity: [key(1)], other: [key(1), key(2)]])
        #expect(rest.isEmpty)
    }

    @Test func whatDoesNotFitIsLeftOutUntilItIsTaken() {
        var sample = TouchSample(every: 1)
        for number in 0..<10_000 where sample.isDue() { sample.add(key(number).span, for: identity) }
        let (taken, isDue) = (sample.take(), sample.isDue())
        #expect(taken[identity]?.count == TouchSample.mostKeys)
        #expect(isDue)
    }
}
