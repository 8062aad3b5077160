import Network
import Runtime
import Synchronization
import Testing

@testable import Gateway

/// The steps as values, told the time.
@Suite struct StepTests {
    @Test func theWindowSlides() {
        var window = SlidingWindow(count: 10, windowMs: 60_000, nowMs: 0)
        for _ in 0..<10 {
            #expect(window.look(1, nowMs: 0).isAllowed)
            window.add(1, nowMs: 0)
        }
        let full = window.look(1, nowMs: 30_000)
        #expect(!full.isAllowed)
        // Ten a minute ago count for nine after six seconds of the next window.
        #expect(full.resetSeconds == 36)
        #expect(!window.look(1, nowMs: 65_000).isAllowed)
        #expect(window.look(1, nowMs: 66_001).isAllowed)
        #expect(window.look(2, nowMs: 30_000).remaining == 10)
        #expect(window.look(1, nowMs: 180_000).remaining == 10)
    }

    @Test func theWindowForgetsTheOldestKeysBeyondItsBound() {
        var window = SlidingWindow(count: 1, windowMs: 60_000, mostKeys: 3, nowMs: 0)
        for key in 1...5 { window.add(UInt64(key), nowMs: 0) }
        #expect(window.keys == 3 && window.evictions == 2)
        #expect(window.look(1, nowMs: 0).isAllowed && !window.look(5, nowMs: 0).isAllowed)
    }

    private static func queue(_ change: (inout AdmissionQueue.Rules) -> Void) -> AdmissionQueue {
        var rules = AdmissionQueue.Rules()
        (rules.workers, rules.waiting, rules.targetMs) = (1, 100, 0)
        change(&rules)
        return AdmissionQueue(rules)
    }

    @Test func theFirstClassGoesFirstAndTheOtherGetsItsShare() {
        var queue = Self.queue {
            $0.classes = [.init(name: "high"), .init(name: "low", share: 0.25)]
        }
        #expect(queue.enter(0, nowMs: 0) == .admitted)
        var low: Set<Int> = []
        for index in 0..<40 {
            guard case .waits(let ticket) = queue.enter(index % 2, nowMs: 0) else { continue }
            if index % 2 == 1 { low.insert(ticket) }
        }
        var served: [Bool] = []
        for _ in 0..<20 {
            queue.finished(latencyMs: 1, nowMs: 1)
            served += queue.turn(nowMs: 1).admitted.map { low.contains($0) }
        }
        #expect(served.count == 20)
        #expect(served.count { $0 } == 5)
        #expect(served.first == false)
    }

    @Test func deadlinesAndFullQueuesTurnAway() {
        var queue = Self.queue {
            $0.waiting = 2
            $0.classes = [.init(name: "default", deadlineMs: 100)]
        }
        #expect(queue.enter(0, nowMs: 0) == .admitted)
        #expect(queue.enter(0, nowMs: 0) == .waits(ticket: 1))
        #expect(queue.enter(0, nowMs: 50) == .waits(ticket: 2))
        #expect(queue.enter(0, nowMs: 50) == .full)
        let turn = queue.turn(nowMs: 100)
        #expect(turn.admitted.isEmpty && turn.leaving.map(\.ticket) == [1])
        queue.left(ticket: 2)
        queue.finished(latencyMs: 1, nowMs: 101)
        #expect(queue.turn(nowMs: 101).admitted.isEmpty)
        #expect(queue.waiting == 0 && queue.inFlight == 0)
    }

    @Test func aStandingQueueShedsTheOldest() {
        var queue = Self.queue {
            $0.targetMs = 5
            $0.intervalMs = 100
        }
        #expect(queue.enter(0, nowMs: 0) == .admitted)
        var shed = 0
        for step in 1...100 {
            let nowMs = step * 10
            _ = queue.enter(0, nowMs: nowMs - 9)
            _ = queue.enter(0, nowMs: nowMs - 9)
            queue.finished(latencyMs: 10, nowMs: nowMs)
            let turn = queue.turn(nowMs: nowMs)
            #expect(turn.admitted.count == 1)
            shed += turn.leaving.count { $0.why == .shed }
        }
        // Half of those who come can be served.
        #expect(shed > 60 && queue.waiting < 20)
    }

    @Test func theLimitFollowsTheLatency() {
        var limit = AdaptiveLimit(start: 10, most: 40)
        for step in 0..<2000 { limit.answered(inMs: 10, nowMs: step * 10) }
        #expect(limit.value == 40)
        for step in 2000..<2300 { limit.answered(inMs: 100, nowMs: step * 10) }
        #expect(limit.value < 20 && limit.value >= 1)
    }

    @Test func theBreakerOpensTriesAndCloses() {
        var rules = RatioBreaker.Rules()
        (rules.least, rules.probes, rules.pauseMs) = (10, 2, 1000)
        var breaker = RatioBreaker(rules)
        for index in 0..<10 { breaker.answered(failed: index % 2 == 0, tookMs: 1, nowMs: 0) }
        #expect(breaker.admits(nowMs: 999) == false)
        #expect(breaker.retryAfter(nowMs: 0) == 1)
        #expect(breaker.admits(nowMs: 1000) && breaker.admits(nowMs: 1000) && !breaker.admits(nowMs: 1000))
        breaker.answered(failed: true, tookMs: 1, nowMs: 1001)
        #expect(breaker.admits(nowMs: 1500) == false)
        #expect(breaker.admits(nowMs: 2001) && breaker.admits(nowMs: 2001))
        breaker.answered(failed: false, tookMs: 1, nowMs: 2002)
        breaker.gaveUp()
        #expect(breaker.admits(nowMs: 2003) == true)
        breaker.answered(failed: false, tookMs: 1, nowMs: 2004)
        #expect(breaker.state == .closed)
        #expect(breaker.openings == 1)
    }

    @Test(
        arguments: [
            (nil, nil), ("", nil), ("gzip", "gzip"), ("br", "br"), ("gzip, br", "br"), ("br;q=0.5, gzip", "gzip"),
            ("br;q=0, gzip;q=0", nil), ("*", "br"), ("*;q=0", nil), ("gzip;q=0, *", "br"),
            ("identity, gzip;q=0.5", nil),
            ("deflate", nil), ("GZIP", "gzip"), ("gzip;q=0.001", "gzip"), ("gzip;q=2", nil), ("x-gzip", "gzip"),
        ] as [(String?, String?)])
    func codingsAreChosenByTheirWeight(_ list: String?, _ coding: String?) {
        #expect(AcceptedCoding.best(list.map { Array($0.utf8) })?.rawValue == coding)
    }

    @Test func jsonIsAsDeepAsItsBrackets() {
        func fits(_ text: String, _ most: Int) -> Bool {
            var depth = JSONDepth(most: most)
            return text.utf8.allSatisfy { byte in
                let one = [byte]
                return depth.look(at: one.span)
            }
        }
        #expect(fits("[[1],{\"a\":[2]}]", 3) && !fits("[[1],{\"a\":[2]}]", 2))
        #expect(fits("{\"[[[[\": \"]\\\"[[[\"}", 1))
    }

    @Test func bytesOfBase64HaveOneForm() {
        #expect(Base64URL.bytes("AQIDBA") == [1, 2, 3, 4])
        for text in ["AQIDBA==", "AQIDBB", "AQID BA", "A", "AQ+/", "AQIDBA\n"] {
            #expect(Base64URL.bytes(text) == nil, "\(text)")
        }
        let bytes = (0...255).map { UInt8($0) }
        #expect(Base64URL.bytes(Base64URL.text(bytes)) == bytes)
    }

    @Test func datesAreReadInTheirThreeForms() {
        for text in ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
            #expect(HTTPDate.seconds(Array(text.utf8)[...]) == 784_111_777, "\(text)")
        }
        #expect(String(decoding: HTTPDate.text(784_111_777), as: UTF8.self) == "Sun, 06 Nov 1994 08:49:37 GMT")
        for text in ["0", "-1", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994", "Sun, 36 Nov 1994 08:49:37 GMT"] {
            #expect(HTTPDate.seconds(Array(text.utf8)[...]) == nil, "\(text)")
        }
    }
}
