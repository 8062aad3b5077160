import Metrics
import PromQL
import Testing

@testable import Alerting

/// Rates of the first minutes after a start, as levels and pages see them.
@Suite struct FittedWindowTests {
    @Test func aSteadyRateIsSteadyFromTheSecondSampleOn() throws {
        let start: Int64 = 1_800_000_000_000
        let history = History(targets: [.own(instance: "i")])
        let store = HistoryStore(history, now: start)
        let metric = Metric.counter("work_total", "Work.")
        let query = try Query("rate(work_total[5m])")
        var fitted = Engine()
        fitted.fitsWindows = true
        for number in 1...40 {
            let time = start + Int64(number) * 15_000
            history.append(Snapshot(families: [Family(metric, 1000 + Double(number) * 30)]), at: time)
            guard number > 1 else { continue }
            guard case .vector(let samples) = try fitted.instant(query, at: time, source: store).value,
                case .vector(let plain) = try Engine().instant(query, at: time, source: store).value
            else { continue }
            let rate = try #require(samples.first?.value)
            #expect(abs(rate - 2) < 1e-6, "after \(number) samples")
            // As written it climbs, which is what Prometheus says and rules are told.
            let written = try #require(plain.first?.value)
            #expect(
                number < 18 ? written < 1.9 : number < 22 || abs(written - 2) < 0.2,
                "after \(number) samples: \(written)")
        }
    }
}
