import Testing

/// The judge of the staleness proof, told the time.
@Suite struct KeyHistoryTests {
    private let history = KeyHistory(skew: .milliseconds(5))

    private func write(_ sent: Int, _ acknowledged: Int, grace: Duration = .zero) -> Int {
        let number = history.begin(at: sent)
        history.acknowledge(number, grace: grace, at: acknowledged)
        return number
    }

    /// What is wrong with having been told that value.
    private func judge(
        _ value: Int?, asked: Int, told: Int, _ side: KeyHistory.Side = .inside, after: Int? = nil,
        isPlain: Bool = false
    ) -> String? {
        let question = KeyHistory.Question(side: side, asked: asked, after: after, isPlain: isPlain)
        return history.judge(value, question, at: told)?.description
    }

    @Test func beforeTheFirstWriteThereIsNothing() {
        #expect(judge(nil, asked: 1, told: 2) == nil)
        #expect(judge(7, asked: 1, told: 2) == "7, which was never written")
    }

    @Test func aReadThatOverlapsAWriteMayBeToldEither() {
        let first = write(10, 20)
        let second = history.begin(at: 30)
        #expect(judge(first, asked: 31, told: 40) == nil)
        #expect(judge(second, asked: 31, told: 40) == nil)
    }

    @Test func whatWasAcknowledgedInsideIsOwedAtOnce() {
        let (first, second) = (write(10, 20), write(30, 40))
        #expect(judge(first, asked: 39, told: 60) == nil)
        #expect(judge(first, asked: 41, told: 60)?.contains("though \(second) was owed") == true)
        #expect(judge(nil, asked: 41, told: 60) != nil)
    }

    @Test func whatOthersWroteIsOwedInsideAfterTheGraceAndOutsideAtOnce() {
        let first = write(10, 20)
        _ = write(30, 40, grace: .nanoseconds(100))
        #expect(judge(first, asked: 139, told: 150) == nil)
        #expect(judge(first, asked: 141, told: 150) != nil)
        #expect(judge(first, asked: 41, told: 50, .outside) != nil)
    }

    @Test func plainReadsDoNotGoBackInTime() {
        let first = write(10, 20)
        let second = write(30, 40, grace: .seconds(1))
        #expect(judge(second, asked: 41, told: 50, isPlain: true) == nil)
        #expect(judge(first, asked: 49, told: 60, isPlain: true) == nil)
        #expect(judge(first, asked: 51, told: 60, isPlain: true) != nil)
        #expect(judge(first, asked: 51, told: 60) == nil)
    }

    @Test func whoHasWrittenIsOwedItOnTheSameConnection() {
        let first = write(10, 20)
        let own = history.begin(at: 30)
        #expect(judge(first, asked: 30, told: 40, after: own) != nil)
        #expect(judge(own, asked: 30, told: 40, after: own) == nil)
    }

    @Test func nobodyIsOwedAnOwnWriteThatWasAnsweredWithAnError() {
        let first = write(10, 20)
        let own = history.begin(at: 30)
        history.fail(own, at: 35)
        #expect(judge(first, asked: 30, told: 40, after: own) == nil)
        #expect(judge(own, asked: 30, told: 40, after: own) == nil)
    }

    @Test func whatFailedMayHaveBeenCarriedOutSoonOrNever() {
        let first = write(10, 20)
        let lost = history.begin(at: 30)
        history.fail(lost, at: 40)
        #expect(judge(first, asked: 50, told: 60) == nil)
        #expect(judge(lost, asked: 50, told: 60) == nil)
        #expect(judge(first, asked: 61, told: 70) == nil)
        _ = write(1_000_000_050, 1_000_000_060)
        #expect(judge(lost, asked: 1_000_000_061, told: 1_000_000_070) != nil)
    }

    @Test func aRemovedKeyIsGoneAndDoesNotComeBack() {
        let first = write(10, 20)
        let removal = history.begin(removes: true, at: 30)
        #expect(judge(nil, asked: 31, told: 32) == nil)
        history.acknowledge(removal, removes: true, grace: .zero, at: 40)
        #expect(judge(first, asked: 41, told: 50)?.contains("its removal was owed") == true)
        #expect(judge(nil, asked: 41, told: 50) == nil)
        _ = write(60, 70)
        #expect(judge(nil, asked: 71, told: 80) != nil)
    }

    @Test func aValueIsNotToldAfterItsLifeNorMissedBefore() {
        let ms = 1_000_000
        let number = history.begin(life: .milliseconds(100), at: 10 * ms)
        history.acknowledge(number, grace: .zero, at: 20 * ms)
        #expect(judge(nil, asked: 30 * ms, told: 40 * ms) != nil)
        #expect(judge(nil, asked: 105 * ms, told: 111 * ms) == nil)
        #expect(judge(number, asked: 124 * ms, told: 130 * ms) == nil)
        #expect(judge(number, asked: 126 * ms, told: 130 * ms)?.contains("after it expired") == true)
    }
}
