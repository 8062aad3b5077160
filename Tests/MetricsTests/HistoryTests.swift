import TestTools
import Testing

@testable import Metrics

private let minute: Int64 = 60_000

extension History {
    /// A history of the sidecar alone.
    static func ofItself(limitBytes: Int = 32 << 20) -> History {
        History(targets: [.own(instance: "box:9847")], limitBytes: limitBytes)
    }

    /// `labels value@seconds …` of every series under a name, sorted: what a reader of a test can check by eye.
    func text(_ name: String? = nil) -> [String] {
        series(named: name, from: .min, through: .max).map { series in
            var line = "\(series.labels)"
            series.forEach(after: .min, through: .max) { time, value in
                let text = value.bitPattern == Double.staleMarkerBits ? "stale" : "\(value)"
                line += " \(text)@\(Double(time) / 1000)"
            }
            return line
        }.sorted()
    }
}

@Suite struct HistoryTests {
    private let requests = Metric.counter("requests_total", "Requests.")
    private let lag = Metric.gauge("lag_seconds", "Lag.")

    @Test func samplesGetNameJobAndInstance() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(requests, 3, Labels(["code": "200"]))]), at: 1000)
        history.append(Snapshot(families: [Family(requests, 5, Labels(["code": "200"]))]), at: 2000)
        #expect(
            history.text("requests_total") == [
                #"{__name__="requests_total",code="200",instance="box:9847",job="outrigger"} 3.0@1.0 5.0@2.0"#
            ])
    }

    @Test func labelsNamedJobOrInstanceAreKeptAsExported() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(lag, 1, Labels(["instance": "a", "job": "b"]))]), at: 1000)
        let labels = history.series(named: "lag_seconds", from: 0, through: 5000)[0].labels
        #expect(labels["exported_instance"] == "a")
        #expect(labels["exported_job"] == "b")
        #expect(labels["instance"] == "box:9847")
    }

    @Test func histogramsBecomeTheirParts() {
        let history = History.ofItself()
        var family = Family(Metric("wait_seconds", .histogram, "Waiting."))
        family.addHistogram(.none, bounds: [HistogramBound(0.5)], counts: [2, 1], sum: 4)
        history.append(Snapshot(families: [family]), at: 1000)
        #expect(history.names().sorted() == ["up", "wait_seconds_bucket", "wait_seconds_count", "wait_seconds_sum"])
        #expect(
            history.text("wait_seconds_bucket") == [
                #"{__name__="wait_seconds_bucket",instance="box:9847",job="outrigger",le="+Inf"} 3.0@1.0"#,
                #"{__name__="wait_seconds_bucket",instance="box:9847",job="outrigger",le="0.5"} 2.0@1.0"#,
            ])
    }

    @Test func aSeriesThatVanishesIsMarkedOnceAndGoesOnWhenItReturns() {
        let history = History.ofItself()
        let both = Snapshot(families: [Family(requests, 3), Family(lag, 1)])
        history.append(both, at: 1000)
        history.append(Snapshot(families: [Family(requests, 4)]), at: 2000)
        history.append(Snapshot(families: [Family(requests, 5)]), at: 3000)
        history.append(both, at: 4000)
        #expect(
            history.text("lag_seconds") == [
                #"{__name__="lag_seconds",instance="box:9847",job="outrigger"} 1.0@1.0 stale@2.0 1.0@4.0"#
            ])
    }

    @Test func anEmptySnapshotEndsEverythingButUp() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(requests, 3)]), at: 1000)
        history.append(Snapshot(), at: 2000)
        #expect(
            history.text() == [
                #"{__name__="requests_total",instance="box:9847",job="outrigger"} 3.0@1.0 stale@2.0"#,
                #"{__name__="up",instance="box:9847",job="outrigger"} 1.0@1.0 1.0@2.0"#,
            ])
    }

    @Test(arguments: 1...8 as ClosedRange<UInt64>) func anyOrderOfSamplesFindsItsSeries(_ seed: UInt64) {
        let history = History.ofItself()
        var dice = Seeded(seed)
        var expected: [Int: [String]] = [:]
        var present: Set<Int> = []
        for round in 1...40 as ClosedRange<Int64> {
            var family = Family(lag)
            let now = Set((0..<30).filter { _ in Int.random(in: 0..<5, using: &dice) > 0 })
            let order = seed % 2 == 0 ? now.sorted() : now.shuffled(using: &dice)
            for id in order {
                family.samples.append(Sample(Labels(["id": "\(id)"]), Double(id)))
                expected[id, default: []].append("\(Double(id))@\(Double(round))")
            }
            for id in present.subtracting(now) { expected[id, default: []].append("stale@\(Double(round))") }
            present = now
            history.append(Snapshot(families: [family]), at: round * 1000)
        }
        let lines = expected.map { id, samples in
            #"{__name__="lag_seconds",id="\#(id)",instance="box:9847",job="outrigger"} "#
                + samples.joined(separator: " ")
        }
        #expect(history.text("lag_seconds") == lines.sorted())
    }

    @Test func oneSampleTwiceInASnapshotIsStoredOnceAndCounted() {
        let history = History.ofItself()
        for time in [1000, 2000, 3000] as [Int64] {
            history.append(Snapshot(families: [Family(lag, 1), Family(lag, 2), Family(requests, 9)]), at: time)
        }
        #expect(
            history.text("lag_seconds") == [
                #"{__name__="lag_seconds",instance="box:9847",job="outrigger"} 1.0@1.0 1.0@2.0 1.0@3.0"#
            ])
        #expect(history.value(of: "outrigger_history_samples_dropped_total", ["reason": "duplicate"]) == 3)
    }

    @Test func samplesThatAreNotNewerAreDroppedAndCounted() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(lag, 1)]), at: 2000)
        history.append(Snapshot(families: [Family(lag, 2)]), at: 1000)
        history.append(Snapshot(families: [Family(lag, 3)]), at: 2000)
        #expect(
            history.text("lag_seconds") == [#"{__name__="lag_seconds",instance="box:9847",job="outrigger"} 1.0@2.0"#])
        // `up` is one more; at 2 s it is the same as before, which is no fault.
        #expect(history.value(of: "outrigger_history_samples_dropped_total", ["reason": "out_of_order"]) == 2)
        #expect(history.value(of: "outrigger_history_samples_dropped_total", ["reason": "duplicate"]) == 1)
    }

    // MARK: Targets

    private func twoServers(_ up: Metric) -> [HistoryTarget] {
        [
            HistoryTarget(job: "postgres", instance: "a:5432", upMetric: "pg_up") { $1["server"] == "a:5432" },
            HistoryTarget(job: "postgres", instance: "b:5432", upMetric: "pg_up") { $1["server"] == "b:5432" },
            .own(instance: "box:9847"),
        ]
    }

    @Test func upFollowsTheMetricOfItsTargetAndIsZeroWithoutIt() {
        let pgUp = Metric.gauge("pg_up", "Whether Postgres answers.")
        let history = History(targets: twoServers(pgUp))
        let (a, b) = (Labels(["server": "a:5432"]), Labels(["server": "b:5432"]))
        history.append(Snapshot(families: [Family(pgUp, [Sample(a, 1), Sample(b, 0)])]), at: 1000)
        history.append(Snapshot(families: [Family(pgUp, [Sample(b, 1)])]), at: 2000)
        #expect(
            history.text("up") == [
                #"{__name__="up",instance="a:5432",job="postgres"} 1.0@1.0 0.0@2.0"#,
                #"{__name__="up",instance="b:5432",job="postgres"} 0.0@1.0 1.0@2.0"#,
                #"{__name__="up",instance="box:9847",job="outrigger"} 1.0@1.0 1.0@2.0"#,
            ])
        #expect(
            history.series(named: "pg_up", where: { $0["instance"] == "b:5432" }, from: 0, through: 9000).count == 1)
    }

    @Test func newTargetsGoOnWithSeriesOfTheSameLabelsAndEndTheOthers() {
        let history = History(targets: [
            HistoryTarget(job: "postgres", instance: "a:5432", prefixes: ["pg_"]), .own(instance: "box:9847"),
        ])
        let snapshot = Snapshot(families: [Family(.gauge("pg_size_bytes", "Size."), 1), Family(lag, 2)])
        history.append(snapshot, at: 1000)
        history.append(recorded: [(Labels(["__name__": "job:lag"]), 7)], at: 1000)
        history.setTargets([
            HistoryTarget(job: "postgres", instance: "b:5432", prefixes: ["pg_"]), .own(instance: "box:9847"),
        ])
        history.append(snapshot, at: 2000)
        history.append(recorded: [(Labels(["__name__": "job:lag"]), 8)], at: 2000)
        #expect(
            history.text() == [
                #"{__name__="job:lag"} 7.0@1.0 8.0@2.0"#,
                #"{__name__="lag_seconds",instance="box:9847",job="outrigger"} 2.0@1.0 2.0@2.0"#,
                #"{__name__="pg_size_bytes",instance="a:5432",job="postgres"} 1.0@1.0 stale@2.0"#,
                #"{__name__="pg_size_bytes",instance="b:5432",job="postgres"} 1.0@2.0"#,
                #"{__name__="up",instance="a:5432",job="postgres"} 1.0@1.0 stale@2.0"#,
                #"{__name__="up",instance="b:5432",job="postgres"} 1.0@2.0"#,
                #"{__name__="up",instance="box:9847",job="outrigger"} 1.0@1.0 1.0@2.0"#,
            ])
        #expect(history.footprint.series == 7)
        #expect(history.footprint.samples == 12)
    }

    // MARK: Recorded series

    @Test func recordedSeriesKeepTheirLabelsAndEndWhenTold() {
        let history = History.ofItself()
        let labels = Labels(["__name__": "ALERTS", "alertname": "Down"])
        history.append(recorded: [(labels, 1)], at: 1000)
        history.append(recorded: [(labels, History.staleMarker)], at: 2000)
        history.append(recorded: [(Labels(["__name__": "never"]), History.staleMarker)], at: 2000)
        #expect(history.text() == [#"{__name__="ALERTS",alertname="Down"} 1.0@1.0 stale@2.0"#])
    }

    @Test func aRuleThatRecordsAScrapedSeriesWritesToTheSameOne() {
        let history = History.ofItself()
        let labels = Labels(["__name__": "lag_seconds", "instance": "box:9847", "job": "outrigger"])
        history.append(Snapshot(families: [Family(lag, 1)]), at: 1000)
        history.append(recorded: [(labels, 2)], at: 1500)
        history.append(Snapshot(families: [Family(lag, 3)]), at: 2000)
        #expect(history.text("lag_seconds") == ["\(labels) 1.0@1.0 2.0@1.5 3.0@2.0"])
    }

    // MARK: Asking

    @Test func onlySeriesWithSamplesInTheTimeAreFound() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(lag, 1)]), at: 1000)
        history.append(Snapshot(families: [Family(requests, 1, Labels(["code": "200"]))]), at: 9000)
        history.append(Snapshot(families: [Family(requests, 1, Labels(["code": "500"]))]), at: 20_000)
        #expect(history.names(from: 0, through: 8000) == ["lag_seconds", "up"])
        #expect(history.names(from: 10_000, through: 30_000) == ["requests_total", "up"])
        #expect(history.labelNames(from: 0, through: 8000) == ["__name__", "instance", "job"])
        #expect(history.labelNames() == ["__name__", "code", "instance", "job"])
        #expect(history.labelValues("code", from: 0, through: 9000) == ["200"])
        #expect(history.labelValues("code") == ["200", "500"])
        #expect(history.oldestSample(named: "requests_total") == 9000)
        #expect(history.series(named: nil, where: { $0["code"] == "500" }, from: 0, through: 30_000).count == 1)
    }

    @Test func aSeriesIsTheSameObjectInEveryAnswer() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(lag, 1)]), at: 1000)
        let first = history.series(named: "lag_seconds", from: 0, through: 9000)
        history.append(Snapshot(families: [Family(lag, 2)]), at: 2000)
        let second = history.series(named: "lag_seconds", from: 0, through: 9000)
        #expect(first[0] === second[0])
        let (times, values) = second[0].read(after: 1000, through: 2000)
        #expect(times == [2000])
        #expect(values == [2])
        #expect(second[0].newest(after: 0, through: 1999)?.value == 1)
    }

    // MARK: Retention

    @Test func samplesStayAsLongAsTheirMetricIsRead() throws {
        let history = History.ofItself()
        history.setRetention(["requests_total": .seconds(6 * 3600)])
        var value = 0.0
        for time in stride(from: 0, through: 8 * 60 * minute, by: 15_000) {
            value += Double(time / 15_000 % 7)
            history.append(Snapshot(families: [Family(requests, value), Family(lag, value)]), at: time)
        }
        let end = 8 * 60 * minute
        let long = try #require(history.oldestSample(named: "requests_total"))
        let short = try #require(history.oldestSample(named: "lag_seconds"))
        #expect(end - long >= 6 * 60 * minute)
        #expect(end - short >= 60 * minute)
        // Whole chunks go at once: of 1,024 samples at most.
        #expect(end - long <= 6 * 60 * minute + 1025 * 15_000)
        #expect(end - short <= 60 * minute + 1025 * 15_000)
        #expect(history.countedSamples == history.footprint.samples)
    }

    @Test func endedSeriesAreForgottenAfterTheirRetention() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(lag, 1), Family(requests, 1)]), at: 0)
        history.append(recorded: [(Labels(["__name__": "job:lag"]), 7)], at: 0)
        for time in stride(from: minute, through: 62 * minute, by: 60_000) {
            history.append(Snapshot(families: [Family(requests, 1)]), at: time)
        }
        #expect(history.names() == ["requests_total", "up"])
        #expect(history.footprint.series == 2)
        history.append(Snapshot(families: [Family(lag, 2)]), at: 63 * minute)
        #expect(history.text("lag_seconds").count == 1)
    }

    // MARK: Memory

    @Test func theMemoryLimitShortensTheLongestHistoriesFirstAndSaysSo() throws {
        let limit = 80_000
        let history = History.ofItself(limitBytes: limit)
        history.setRetention(["requests_total": .seconds(86_400)])
        var dice = Seeded(3)
        var family = Family(lag)
        for round in 0..<5000 as Range<Int64> {
            family.samples = (0..<20).map { Sample(Labels(["id": "\($0)"]), Double.random(in: 0...1, using: &dice)) }
            let total = Double.random(in: 0...1, using: &dice)
            history.append(Snapshot(families: [Family(requests, total), family]), at: round * 15_000)
            #expect(history.footprint.bytes <= limit)
        }
        let end: Int64 = 4999 * 15_000
        let long = try #require(history.oldestSample(named: "requests_total"))
        let short = try #require(history.oldestSample(named: "lag_seconds"))
        // A day was asked for; it had to give way, but not the hour of the others by more than its own.
        #expect(end - long < 86_400_000)
        #expect(long <= short)
        #expect(history.value(of: "outrigger_history_retention_shortened_total") ?? 0 > 0)
        #expect(history.value(of: "outrigger_history_retention_shortened_seconds") ?? 0 > 0)
        #expect(history.value(of: "outrigger_history_series") == 22)
        #expect(history.countedSamples == history.footprint.samples)
    }

    @Test func seriesWithoutRoomAreRefusedAndCounted() {
        let history = History.ofItself(limitBytes: 20_000)
        var family = Family(lag)
        family.samples = (0..<1000).map { Sample(Labels(["id": "\($0)"]), 1) }
        for round in 1...5 as ClosedRange<Int64> { history.append(Snapshot(families: [family]), at: round * 1000) }
        #expect(history.footprint.bytes <= 20_000)
        #expect(history.footprint.series > 10)
        let refused = history.value(of: "outrigger_history_samples_refused_total") ?? 0
        #expect(refused + Double(history.footprint.samples) == Double(5 * 1001))
    }

    @Test func theBooksAgreeWithTheSeries() {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(lag, 1), Family(requests, 2)]), at: 1000)
        #expect(history.countedSamples == 3)
        #expect(history.value(of: "outrigger_history_samples") == 3)
        #expect(history.value(of: "outrigger_history_samples_appended_total") == 3)
        #expect(history.value(of: "outrigger_history_limit_bytes") == Double(32 << 20))
        #expect(history.value(of: "outrigger_history_bytes") == Double(history.footprint.bytes))
    }

    @Test func readersAndTheWriterDoNotDisturbEachOther() async {
        let history = History.ofItself()
        history.append(Snapshot(families: [Family(requests, 0)]), at: 0)
        await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for round in 1...3000 as ClosedRange<Int64> {
                    history.append(Snapshot(families: [Family(self.requests, Double(round))]), at: round * 1000)
                }
                return true
            }
            for _ in 0..<3 {
                group.addTask {
                    for _ in 0..<300 {
                        for series in history.series(named: "requests_total", from: 0, through: .max) {
                            let (times, values) = series.read(after: -1, through: .max)
                            guard zip(times, values).allSatisfy({ Double($0) == $1 * 1000 }) else { return false }
                        }
                    }
                    return true
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}

extension History {
    /// Every sample, counted one by one.
    var countedSamples: Int {
        series(named: nil, from: .min, through: .max).reduce(0) { $0 + $1.read(after: .min, through: .max).times.count }
    }

    func value(of name: String, _ labels: KeyValuePairs<String, String> = [:]) -> Double? {
        metrics.instruments.map { $0.read() }.first { $0.metric.name == name }?
            .samples.first { $0.labels == Labels(labels) }?.value
    }
}
