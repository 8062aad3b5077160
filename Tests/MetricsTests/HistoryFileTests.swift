import Testing

@testable import Metrics

@Suite struct HistoryFileTests {
    private let lag = Metric.gauge("lag_seconds", "Lag.")
    private let requests = Metric.counter("requests_total", "Requests.")

    /// Ten minutes of two scraped series, a recorded one and `up`.
    private func example(rounds: Int64 = 40) -> History {
        let history = History.ofItself()
        for round in 1...rounds {
            history.append(
                Snapshot(families: [Family(lag, Double(round % 3) / 10), Family(requests, 5)]), at: round * 15_000)
            history.append(recorded: [(Labels(["__name__": "job:lag"]), Double(round))], at: round * 15_000)
        }
        return history
    }

    @Test func whatWasWrittenIsReadBack() throws {
        let history = example()
        let restored = History.ofItself()
        #expect(try restored.restore(history.encode(), now: 600_000) == 4)
        #expect(restored.text() == history.text())
        #expect(restored.footprint.samples == 160)
        #expect(restored.encode().count == history.encode().count)
    }

    @Test func afterARestartSeriesGoOnBehindAGapAndThoseThatDoNotReturnEnd() throws {
        let restored = History.ofItself()
        try restored.restore(example().encode(), now: 600_000)
        restored.append(Snapshot(families: [Family(requests, 6)]), at: 900_000)
        restored.append(Snapshot(families: [Family(requests, 7)]), at: 915_000)
        let tail = { (name: String) in
            restored.series(named: name, from: 0, through: .max).map { $0.read(after: 599_999, through: .max) }
        }
        #expect(tail("requests_total").map(\.times) == [[600_000, 900_000, 915_000]])
        #expect(tail("requests_total").map(\.values) == [[5, 6, 7]])
        #expect(tail("lag_seconds").map(\.times) == [[600_000, 900_000]])
        #expect(tail("lag_seconds")[0].values[1].bitPattern == Double.staleMarkerBits)
        #expect(tail("up").map(\.times) == [[600_000, 900_000, 915_000]])
        // The rules end what they record.
        #expect(tail("job:lag").map(\.times) == [[600_000]])
        #expect(restored.footprint.series == 4)
        #expect(restored.countedSamples == restored.footprint.samples)
    }

    @Test func aSeriesThatReturnsLateIsStillTheSame() throws {
        let restored = History.ofItself()
        try restored.restore(example().encode(), now: 600_000)
        restored.append(Snapshot(), at: 900_000)
        restored.append(Snapshot(families: [Family(lag, 9)]), at: 915_000)
        let series = restored.series(named: "lag_seconds", from: 0, through: .max)
        #expect(series.count == 1)
        #expect(series[0].read(after: 599_999, through: .max).times == [600_000, 900_000, 915_000])
    }

    @Test func samplesOlderThanTheirRetentionOrOfTheFutureAreNotRestored() throws {
        let bytes = example().encode()
        let late = History.ofItself()
        try late.restore(bytes, now: 600_000 + 3_600_001)
        late.append(Snapshot(), at: 600_000 + 3_600_001)
        #expect(late.text().allSatisfy { $0.contains("up") } && late.countedSamples == 1)
        let early = History.ofItself()
        try early.restore(bytes, now: 300_000)
        #expect(early.countedSamples == 0)
    }

    /// Rules are loaded after the history, and only then is it known how long they want what kept.
    @Test func longRetentionsAreHonouredWhenTheyAreSetAfterTheRestart() throws {
        let restored = History.ofItself()
        let now: Int64 = 600_000 + 3_600_001
        try restored.restore(example().encode(), now: now)
        restored.setRetention(["requests_total": .seconds(7200)])
        restored.append(Snapshot(families: [Family(requests, 6)]), at: now)
        let kept = restored.series(named: "requests_total", from: 0, through: .max)
        #expect(kept.map { $0.read(after: 0, through: .max).times.count } == [41])
        #expect(restored.series(named: "lag_seconds", from: 0, through: .max).isEmpty)
        #expect(restored.oldestSample() == 15_000)
    }

    @Test func aHistoryTornAtAnyByteIsRefusedAndChangesNothing() throws {
        let bytes = example(rounds: 12).encode()
        for length in 0..<bytes.count {
            let history = History.ofItself()
            #expect(throws: HistoryFileError.self) { try history.restore(Array(bytes[..<length]), now: 600_000) }
            #expect(history.footprint.series == 0)
        }
        #expect(throws: HistoryFileError.self) { try History.ofItself().restore(bytes + [0], now: 600_000) }
    }

    @Test func aChangedByteIsRefusedOrReadButNeverFatal() {
        let bytes = example(rounds: 12).encode()
        for place in bytes.indices {
            for change in [0x01, 0x80, 0xFF] as [UInt8] {
                var damaged = bytes
                damaged[place] ^= change
                let history = History.ofItself()
                // The file's checksum finds this; here it only must not bring us down.
                guard (try? history.restore(damaged, now: 600_000)) != nil else { continue }
                #expect(history.countedSamples <= history.footprint.samples)
            }
        }
    }

    @Test func aForeignVersionIsRefused() {
        let bytes = [UInt8]("outrigger history 2\n".utf8) + example().encode().dropFirst(20)
        #expect(throws: HistoryFileError.foreign) { try History.ofItself().restore(bytes, now: 600_000) }
    }

    @Test func theKeeperCarriesAHistoryOverARestart() async throws {
        let disk = Disk()
        let before = example()
        let keeper = HistoryKeeper(before, read: { await disk.bytes }, write: { await disk.put($0) })
        await keeper.save()
        let after = History.ofItself()
        await HistoryKeeper(after, read: { await disk.bytes }, write: { await disk.put($0) }).load(now: 600_000)
        #expect(after.text() == before.text())
        let saves = keeper.instruments[0].read().samples
        #expect(saves.map { "\($0.labels) \($0.value)" } == [#"{result="failed"} 0.0"#, #"{result="ok"} 1.0"#])
    }

    @Test func aDiskThatFailsIsCountedAndTheHistoryBeginsAnew() async {
        struct Full: Error {}
        let history = History.ofItself()
        let keeper = HistoryKeeper(history, read: { throw Full() }, write: { _ in throw Full() })
        await keeper.load(now: 0)
        await keeper.save()
        #expect(keeper.instruments[0].read().samples.map(\.value) == [1, 0])
        #expect(history.footprint.series == 0)
    }

    private actor Disk {
        private(set) var bytes: [UInt8]?
        func put(_ new: [UInt8]) { bytes = new }
    }
}
