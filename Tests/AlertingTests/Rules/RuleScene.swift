import Alerting
import Metrics
import PromQL
import Runtime
import Synchronization
import Testing

/// A ruler with a store, a clock and a receiver that a test holds in its hands.
final class RuleScene: Sendable {
    let store = ScratchStore()
    let ruler: Ruler
    private let sink = RecordingSink()
    private let clock: TimeBox

    /// - Parameters:
    ///   - rules: the text of one rule file, `rules.yml`.
    ///   - start: milliseconds since the epoch.
    init(
        _ rules: String, start: Int64 = 0, stateFile: StateFile? = nil, _ change: (inout RulerSettings) -> Void = { _ in }
    ) async throws {
        var settings = RulerSettings()
        settings.evaluationInterval = 30_000
        change(&settings)
        let clock = TimeBox(start)
        self.clock = clock
        ruler = Ruler(
            settings, store: store, sinks: [sink], stateFile: stateFile,
            clock: RulerClock(now: { clock.now }, stopwatch: { 0 }, sleep: { _ in }))
        await ruler.load([try RuleFile.parse(rules)])
    }

    func reload(_ rules: String) async throws { await ruler.load([try RuleFile.parse(rules)]) }

    func append(_ series: String, _ value: Double, at time: Int64) throws {
        store.append([RuleSample(labels: try ScriptSeries.labels(series, at: 1), time: time, value: value)])
    }

    /// Lets everything happen that is due from the clock's time up to `end`.
    func run(until end: Int64) async {
        while true {
            let next = await ruler.step(at: clock.now)
            guard next <= end else { break }
            clock.now = next
        }
        clock.now = end
    }

    /// What was handed on since the last call.
    func sent() -> [Alert] { sink.take() }

    func ask(_ query: String, at time: Int64) throws -> [PromQL.Sample] {
        let answer = try Engine().instant(try Query(query), at: time, source: store)
        guard case .vector(let samples) = answer.value else { return [] }
        return samples
    }

    var alerts: [ActiveAlert] { ruler.snapshot.groups.flatMap(\.rules).flatMap(\.alerts) }
    var now: Int64 { clock.now }

    private final class RecordingSink: AlertSink {
        private let alerts = Mutex<[Alert]>([])

        func accept(_ alerts: [Alert]) async { self.alerts.withLock { $0 += alerts } }

        func take() -> [Alert] {
            alerts.withLock { alerts in
                defer { alerts = [] }
                return alerts
            }
        }
    }
}

private final class TimeBox: Sendable {
    private let time: Mutex<Int64>

    init(_ time: Int64) { self.time = Mutex(time) }

    var now: Int64 {
        get { time.withLock { $0 } }
        set { time.withLock { $0 = newValue } }
    }
}
