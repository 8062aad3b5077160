import TestTools
import Testing

@testable import Metrics

/// The kinds of series that a database and its host have, and some that nobody has.
enum SeriesShape: CaseIterable {
    case constant, steadyCounter, counterWithResets, flickering, seconds, ratio, noise, anyBits, special, hugeNumbers

    func value(_ index: Int, after last: Double, _ dice: inout Seeded) -> Double {
        switch self {
        case .constant: 42.5
        case .steadyCounter: last + Double(Int.random(in: 95...105, using: &dice))
        case .counterWithResets:
            Int.random(in: 0..<40, using: &dice) == 0 ? 0 : last + Double(Int.random(in: 0...9, using: &dice))
        case .flickering: Int.random(in: 0..<10, using: &dice) == 0 ? Double(Int.random(in: 0...3, using: &dice)) : last
        case .seconds: ((last + Double(Int.random(in: 0...9000, using: &dice)) / 1000) * 1000).rounded() / 1000
        case .ratio: Double(Int.random(in: 0...1000, using: &dice)) / 1001
        case .noise: Double.random(in: -1e300...1e300, using: &dice)
        case .anyBits: Double(bitPattern: dice.next())
        case .special: Self.specials[Int.random(in: 0..<Self.specials.count, using: &dice)]
        case .hugeNumbers: Double(Int.random(in: -9_100_000_000_000_000...9_100_000_000_000_000, using: &dice))
        }
    }

    static let specials: [Double] = [
        0, -0.0, .infinity, -.infinity, .nan, .staleMarker, .signalingNaN, Double(bitPattern: 0x7FF8_0000_0000_0001),
        -.nan, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .ulpOfOne, 1e9, 9_007_199_254_740_992, 8.999e15, 0.1,
        1e-9, 123.456789012, -5,
    ]
}

/// How the samples of a series are spaced.
enum Spacing: CaseIterable {
    case even, jittering, gaps, wild

    func step(_ dice: inout Seeded) -> Int64 {
        switch self {
        case .even: 15_000
        case .jittering: 15_000 + Int64.random(in: -40...40, using: &dice)
        case .gaps:
            Int.random(in: 0..<30, using: &dice) == 0 ? 15_000 * Int64.random(in: 2...5000, using: &dice) : 15_000
        case .wild: 1 + Int64(dice.next() >> UInt64.random(in: 24...63, using: &dice))
        }
    }
}

/// What `SeriesSamples` must answer, as plain arrays.
struct PlainSamples {
    var times: [Int64] = []
    var bits: [UInt64] = []

    mutating func append(_ time: Int64, _ newBits: UInt64) -> SeriesSamples.Outcome {
        if let last = times.last, time <= last {
            if time < last { return .outOfOrder }
            return bits.last == newBits ? .repeated : .duplicate
        }
        times.append(time)
        bits.append(newBits)
        return .stored
    }
}

@Suite struct HistorySamplesTests {
    private func read(
        _ samples: SeriesSamples, after: Int64 = .min, through: Int64 = .max
    ) -> (times: [Int64], bits: [UInt64]) {
        var answer: (times: [Int64], bits: [UInt64]) = ([], [])
        samples.forEach(after: after, through: through) {
            answer.times.append($0)
            answer.bits.append($1.bitPattern)
        }
        return answer
    }

    private static let cases = SeriesShape.allCases.flatMap { shape in Spacing.allCases.map { (shape, $0) } }

    @Test(arguments: cases) func everySampleComesBackBitForBit(_ shape: SeriesShape, _ spacing: Spacing) {
        for seed in 1...6 as ClosedRange<UInt64> {
            var dice = Seeded(seed)
            var samples = SeriesSamples()
            var plain = PlainSamples()
            var time: Int64 = 1_700_000_000_123
            var value = 1000.0
            for index in 0..<Int.random(in: 1...1500, using: &dice) {
                value = shape.value(index, after: value, &dice)
                time += spacing.step(&dice)
                // One in 20 comes late, twice, or twice with another value.
                let late = Int.random(in: 0..<60, using: &dice)
                let offered = late == 0 ? time - 1_000_000 : late < 3 ? plain.times.last ?? time : time
                let bits = late == 1 ? plain.bits.last ?? value.bitPattern : value.bitPattern
                #expect(samples.append(offered, bits) == plain.append(offered, bits))
            }
            let answer = read(samples)
            #expect(answer.times == plain.times, "seed \(seed)")
            #expect(answer.bits == plain.bits, "seed \(seed)")
            #expect(samples.count == plain.times.count)
            #expect(samples.firstTime == plain.times.first)
            #expect(samples.lastTime == plain.times.last)
        }
    }

    @Test(arguments: cases) func everyWindowAnswersAsPlainArraysDo(_ shape: SeriesShape, _ spacing: Spacing) {
        var dice = Seeded(7)
        var samples = SeriesSamples()
        var plain = PlainSamples()
        var time: Int64 = 0
        var value = 0.0
        for index in 0..<700 {
            value = shape.value(index, after: value, &dice)
            time += spacing.step(&dice)
            _ = samples.append(time, value.bitPattern)
            _ = plain.append(time, value.bitPattern)
        }
        for _ in 0..<200 {
            let ends = [plain.times.randomElement(using: &dice)!, plain.times.randomElement(using: &dice)!].sorted()
            let after = ends[0] + Int64.random(in: -1...1, using: &dice)
            let through = ends[1] + Int64.random(in: -1...1, using: &dice)
            let inside = plain.times.indices.filter { plain.times[$0] > after && plain.times[$0] <= through }
            let answer = read(samples, after: after, through: through)
            #expect(answer.times == inside.map { plain.times[$0] })
            #expect(answer.bits == inside.map { plain.bits[$0] })
            let newest = samples.newest(after: after, through: through)
            #expect(newest?.time == inside.last.map { plain.times[$0] })
            #expect(newest?.value.bitPattern == inside.last.map { plain.bits[$0] })
        }
    }

    @Test(arguments: cases) func forgettingTakesFromTheFrontOnly(_ shape: SeriesShape, _ spacing: Spacing) {
        var dice = Seeded(11)
        var samples = SeriesSamples()
        var plain = PlainSamples()
        var time: Int64 = 0
        var value = 0.0
        for index in 0..<3000 {
            value = shape.value(index, after: value, &dice)
            time += spacing.step(&dice)
            _ = samples.append(time, value.bitPattern)
            _ = plain.append(time, value.bitPattern)
            if index % 250 == 249 { samples.forget(before: plain.times[index - 200]) }
        }
        let answer = read(samples)
        #expect(answer.times.count == samples.count)
        #expect(answer.times == Array(plain.times.suffix(answer.times.count)))
        #expect(answer.bits == Array(plain.bits.suffix(answer.bits.count)))
        #expect(samples.count >= 200)
        // What had to stay, and at most one chunk more.
        #expect(samples.count <= 200 + 1024)
    }

    @Test func aConstantSeriesTakesNoMemoryPerSample() {
        var samples = SeriesSamples()
        for index in 0..<100_000 as Range<Int64> { _ = samples.append(index * 15_000, (1.0).bitPattern) }
        #expect(samples.heapBytes == 0)
        #expect(samples.count == 100_000)
        samples.forget(before: 99_990 * 15_000)
        #expect(read(samples).times == (99_990..<100_000).map { $0 * 15_000 })
    }

    @Test func nothingIsReadFromNothing() {
        let samples = SeriesSamples()
        #expect(read(samples).times.isEmpty)
        #expect(samples.newest(after: .min, through: .max) == nil)
        #expect(samples.firstTime == nil)
    }
}
