import Testing

@testable import Metrics

/// Samples that move along with a clock that was set.
@Suite struct HistoryMoveTests {
    private let start: Int64 = 1_800_000_000_000

    private func samples(_ count: Int, _ value: (Int) -> Double) -> SeriesSamples {
        var samples = SeriesSamples()
        for number in 0..<count { _ = samples.append(start + Int64(number) * 15_000, value(number).bitPattern) }
        return samples
    }

    private func read(_ samples: SeriesSamples) -> [(time: Int64, value: Double)] {
        var found: [(time: Int64, value: Double)] = []
        samples.forEach(after: 0, through: .max) { found.append(($0, $1)) }
        return found
    }

    /// A run, a packed chunk, closed ones before them, a mixture.
    @Test(arguments: [1, 2, 119, 500, 3000], [-3_600_000, 7_777_777] as [Int64])
    func everySampleMovesAndNewOnesFollow(_ count: Int, _ step: Int64) {
        for value in [{ _ in 1 }, { Double($0) * 1.37 }, { Double($0 / 700) }] as [(Int) -> Double] {
            var moved = samples(count, value)
            let before = read(moved)
            moved.move(by: step)
            #expect(read(moved).map(\.time) == before.map { $0.time + step })
            #expect(read(moved).map(\.value) == before.map(\.value))
            let next = start + Int64(count) * 15_000 + step - 4000
            #expect(moved.append(next, value(count).bitPattern) == .stored)
            #expect(read(moved).last?.time == next && read(moved).last?.value == value(count))
            #expect(moved.newest(after: 0, through: .max)?.time == next)
        }
    }

    @Test func whatARuleMadeAheadOfTheStepKeepsNobodyOut() {
        let history = History.ofItself()
        let metric = Metric.gauge("lag_seconds", "Lag.")
        let labels = Labels(["__name__": "recorded"])
        history.append(Snapshot(families: [Family(metric, 1)]), at: start)
        history.move(by: -3_600_000)
        history.append(recorded: [(labels, 1)], at: start + 100)
        history.append(recorded: [(labels, 2)], at: start - 3_599_000)
        let series = history.series(named: "recorded", from: 0, through: .max)
        #expect(series.map { $0.read(after: 0, through: .max).values } == [[2]])
    }
}
