import Glibc
import Testing

@testable import Runtime

@Suite struct LogTests {
    private static let second = 1_000_000_000

    @Test func aLineIsWrittenOnceASecondAndSaysHowOftenItWasHeldBack() {
        var log = LogRepetitions()
        let (full, other) = (Array("level=error msg=full".utf8), Array("level=info msg=other".utf8))
        #expect(log.lines(for: full, nowNs: 0) == [full])
        for step in 1...9 { #expect(log.lines(for: full, nowNs: step * 100_000_000).isEmpty) }
        #expect(log.lines(for: other, nowNs: 950_000_000) == [other])
        #expect(log.lines(for: full, nowNs: Self.second) == [full + Array(" repeated=9".utf8)])
        #expect(log.lines(for: full, nowNs: Self.second + 1).isEmpty)
        // Whoever writes anything later brings what was held back.
        #expect(log.lines(for: other, nowNs: 3 * Self.second).contains(full + Array(" repeated=1".utf8)))
        #expect(log.heldBack == 10)
    }

    @Test func moreLinesThanFitAreWrittenAllTheSame() {
        var log = LogRepetitions()
        for number in 0..<1000 { #expect(log.lines(for: Array("\(number)".utf8), nowNs: 0).count == 1) }
    }

    @Test func aPipeThatNobodyReadsHoldsNobodyUpAndLosesNothingUntold() throws {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        let line = [UInt8](repeating: UInt8(ascii: "x"), count: 1023) + [UInt8(ascii: "\n")]
        do {
            let outlet = LogOutlet(ends[1])
            // The pipe takes 64 of them, and 256 are kept.
            for _ in 0..<400 { outlet.write(line) }
            #expect((60...80).contains(outlet.dropped))
            _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
            var (read, chunk) = ([UInt8](), [UInt8](repeating: 0, count: 64 << 10))
            let deadline = Deadline.after(.seconds(30))
            while !read.suffix(80).contains(UInt8(ascii: "=")), !deadline.hasPassed {
                outlet.flush(by: .after(.milliseconds(1)))
                let got = Glibc.read(ends[0], &chunk, chunk.count)
                if got > 0 { read += chunk[..<got] }
            }
            #expect(read.filter { $0 == UInt8(ascii: "\n") }.count == 401 - outlet.dropped)
            #expect(String(decoding: read.suffix(80), as: UTF8.self).hasSuffix("count=\(outlet.dropped)\n"))
        }
        close(ends[0])
        close(ends[1])
    }
}
