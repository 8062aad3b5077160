import Glibc
import Metrics
import PromQL
import Runtime
import TestTools
import Testing

@testable import Alerting

@Suite struct ScaleTests {
    private let rising = Scale([0.5, 0.7, 0.85, 0.95])
    private let falling = Scale([0.94, 0.85, 0.7, 0.5], isRising: false, margin: 0.03)

    @Test(arguments: [
        (0.0, PerformanceLevel.excellent, 100.0), (0.25, .excellent, 90), (0.5, .good, 80), (0.6, .good, 70),
        (0.7, .fair, 60), (0.85, .poor, 40), (0.9, .poor, 30), (0.95, .critical, 0), (7, .critical, 0),
    ])
    func aShareOfSomethingThatFillsUp(_ value: Double, _ level: PerformanceLevel, _ score: Double) {
        #expect(rising.level(value) == level)
        #expect(abs(rising.score(value) - score) < 0.001)
    }

    @Test(arguments: [
        (1.0, PerformanceLevel.excellent), (0.94, .excellent), (0.9, .good), (0.8, .fair), (0.6, .poor),
        (0.4, .critical),
    ])
    func apdexHasThePublishedBorders(_ value: Double, _ level: PerformanceLevel) {
        #expect(falling.level(value) == level)
    }

    @Test func aLevelIsLeftByTheMarginOnly() {
        #expect(rising.level(0.84, held: .poor) == .poor)
        #expect(rising.level(0.76, held: .poor) == .fair)
        #expect(falling.level(0.86, held: .fair) == .fair)
        #expect(falling.level(0.88, held: .fair) == .good)
    }

    @Test func theAlertThresholdMovesSaturation() {
        var settings = PerformanceSettings()
        settings.alertThreshold = 0.4
        let connections = Indicator.table(settings).first { $0.key == "postgres.connections" }
        #expect(connections?.scale.good == 0.25 && connections?.scale.critical == 0.475)
        settings.alertThreshold = 1
        #expect(Indicator.table(settings).first { $0.key == "postgres.connections" }?.scale.critical == 0.99)
    }

    @Test func ofEveryIndicatorAWorseValueNeverGivesABetterLevelOrScore() {
        var random = Seeded(20_261_124)
        for indicator in Indicator.table(PerformanceSettings()) {
            let scale = indicator.scale
            for _ in 0..<500 {
                let values = [Double.random(in: 0...40, using: &random), Double.random(in: 0...1.2, using: &random)]
                let (better, worse) = scale.isRising ? (values.min()!, values.max()!) : (values.max()!, values.min()!)
                for held in PerformanceLevel.allCases {
                    #expect(scale.level(better, held: held) <= scale.level(worse, held: held), "\(indicator.key)")
                }
                #expect(scale.score(better) >= scale.score(worse), "\(indicator.key) \(better) \(worse)")
            }
        }
    }
}

@Suite struct LevelHoldTests {
    private let start = Moment(milliseconds: 1_000_000_000)
    private let hold = Duration.seconds(60)

    /// The level after each look, fifteen seconds apart.
    private func levels(_ seen: [PerformanceLevel], from first: PerformanceLevel, outage: Bool = false)
        -> [PerformanceLevel]
    {
        var level = LevelHold(level: first, since: start, patience: 1)
        return seen.enumerated().map { index, seen in
            level.see(seen, isOutage: outage, hold: hold, at: start + .seconds(15 * index))
            return level.level
        }
    }

    @Test func worseIsBelievedAtTheSecondLook() {
        #expect(
            levels([.fair, .excellent, .fair, .poor], from: .excellent) == [.excellent, .excellent, .excellent, .fair])
    }

    @Test func anOutageIsBelievedAtOnce() {
        #expect(levels([.critical], from: .excellent, outage: true) == [.critical])
    }

    @Test func betterComesOneStepAtATimeAfterTheHold() {
        let seen = [PerformanceLevel](repeating: .excellent, count: 10)
        #expect(
            levels(seen, from: .poor) == [.poor, .poor, .poor, .poor, .fair, .fair, .fair, .fair, .good, .good])
    }

    @Test func nothingKnownTwiceIsUnknown() {
        #expect(
            levels([.unknown, .good, .unknown, .unknown, .fair], from: .good) == [.good, .good, .good, .unknown, .fair])
    }

    /// In either direction, whatever the period in looks, the phase, the threshold, and how far to each side it swings.
    @Test(arguments: [2, 3, 5, 7, 8, 9, 11, 12, 16, 20, 40, 150])
    func aSineAcrossAThresholdChangesTheLevelAtMostOncePerHold(
        _ period: Int
    ) {
        let scale = Scale([0.5, 0.7, 0.85, 0.95], margin: 0)
        var changes = 0
        for (threshold, milder) in [(0.5, PerformanceLevel.excellent), (0.7, .good), (0.85, .fair), (0.95, .poor)] {
            for phase in stride(from: 0.0, to: 1, by: 0.13) {
                for amplitude in [0.001, 0.02, 0.049] {
                    for first in [milder, .unknown] {
                        var level = LevelHold(level: first, since: start, patience: 1)
                        var lastChange: Moment?
                        for step in 0..<500 {
                            let now = start + .seconds(15 * step)
                            let angle = 2 * Double.pi * (Double(step) / Double(period) + phase)
                            let before = level.level
                            level.see(
                                scale.level(threshold + amplitude * sin(angle)), isOutage: false, hold: hold, at: now)
                            guard level.level != before, before != .unknown else { continue }
                            if let lastChange {
                                #expect(now - lastChange >= hold, "\(before) to \(level.level), phase \(phase)")
                            }
                            lastChange = now
                            changes += 1
                        }
                    }
                }
            }
        }
        #expect(changes > 0 || period == 2, "a period of \(period) looks never changed the level")
    }

    @Test func toAndFroLengthensTheHold() {
        var level = LevelHold(level: .good, since: start, patience: 1)
        var now = start
        func look(_ seen: PerformanceLevel, for seconds: Int) {
            for _ in 0..<seconds / 15 {
                now = now + .seconds(15)
                level.see(seen, isOutage: false, hold: hold, at: now)
            }
        }
        look(.fair, for: 60)
        #expect(level.level == .fair && level.patience == 1)
        look(.good, for: 75)
        #expect(level.level == .good && level.since == now)
        look(.fair, for: 45)
        #expect(level.level == .good && level.patience == 1)
        look(.fair, for: 15)
        #expect(level.level == .fair && level.patience == 1.5)
    }

    /// From fair to good a moment ago.
    private func risen() -> LevelHold { LevelHold(level: .good, since: start, patience: 1, left: .fair) }

    @Test func whatIsWorseThanTheLevelJustLeftIsBelievedAsEver() {
        func levels(_ seen: [PerformanceLevel], isOutage: Bool = false) -> [PerformanceLevel] {
            var level = risen()
            return seen.enumerated().map { index, seen in
                level.see(seen, isOutage: isOutage, hold: hold, at: start + .seconds(15 * (index + 1)))
                return level.level
            }
        }
        #expect(levels([.poor, .critical]) == [.good, .poor])
        #expect(levels([.fair, .fair, .poor, .poor]) == [.good, .good, .good, .poor])
        #expect(levels([.fair, .poor, .fair, .fair]) == [.good, .good, .good, .fair])
        #expect(levels([.critical], isOutage: true) == [.critical])
        #expect(levels([.fair], isOutage: true) == [.fair])
    }

    @Test func aRestartForgetsNeitherTheLevelJustLeftNorWhen() throws {
        let written = RememberedLevels.encode([.redis: risen(), .host: LevelHold(at: start)])
        let read = RememberedLevels.decode(written)
        #expect(read == [.redis: risen(), .host: LevelHold(at: start)] && read[.redis]?.left == .fair)
        var level = try #require(read[.redis])
        for second in [15, 30, 45] { level.see(.fair, isOutage: false, hold: hold, at: start + .seconds(second)) }
        #expect(level.level == .good)
        level.see(.fair, isOutage: false, hold: hold, at: start + hold)
        #expect(level.level == .fair)
    }

    /// After the same history, however wild.
    @Test func fromThereOnAWorseInputNeverGivesABetterLevel() {
        var random = Seeded(20_261_128)
        let levels = PerformanceLevel.allCases.filter { $0 != .unknown }
        for _ in 0..<3000 {
            var level = LevelHold(at: start)
            var now = start
            var seen = PerformanceLevel.good
            for _ in 0..<Int.random(in: 1...40, using: &random) {
                if Int.random(in: 0..<4, using: &random) == 0 { seen = levels.randomElement(using: &random) ?? seen }
                now = now + .seconds(15)
                level.see(seen, isOutage: Int.random(in: 0..<50, using: &random) == 0, hold: hold, at: now)
            }
            // The future brings one level again and again, for each of the levels.
            var futures = levels.map { (seen: $0, level: level) }
            for _ in 0..<60 {
                now = now + .seconds(15)
                for index in futures.indices {
                    futures[index].level.see(futures[index].seen, isOutage: false, hold: hold, at: now)
                }
                for (better, worse) in zip(futures, futures.dropFirst()) {
                    #expect(better.level.level <= worse.level.level)
                }
            }
        }
    }
}

@Suite struct ClassifierTests {
    private static let start = Moment(milliseconds: 1_700_000_000_000)
    private static let step = Duration.seconds(15)

    /// Series by name and labels, each with a value as a function of the sample's number; 200 samples.
    private static func source(_ series: [(String, [String: String], (Int) -> Double)]) -> MemorySource {
        MemorySource(
            series.map { name, labels, value in
                MemorySource.MemorySeries(
                    labels: Labels([Label("__name__", name)] + labels.map { Label($0.key, $0.value) }),
                    points: ContiguousArray(
                        (0..<200).map { Point(time: (start + .seconds(15 * $0)).milliseconds, value: value($0)) }))
            })
    }

    private static let target = ["job": "postgres", "instance": "db"]

    private static func postgres(up: Double = 1, connections: @escaping (Int) -> Double, lockWaits: Double = 0)
        -> [(String, [String: String], (Int) -> Double)]
    {
        [
            ("pg_up", target, { _ in up }),
            ("pg_stat_activity_count", target.merging(["state": "idle"]) { $1 }, connections),
            (
                "pg_stat_activity_count", target.merging(["wait_event_type": "Lock"]) { $1 }, { _ in lockWaits }
            ),
            ("pg_settings_max_connections", target, { _ in 100 }),
        ]
    }

    /// Judges at every sample from the 20th to the last one given.
    private func judge(
        _ source: MemorySource, through last: Int, settings: PerformanceSettings = PerformanceSettings(),
        file: StateFile? = nil, from first: Int = 20
    ) async throws -> [PerformanceReport] {
        let classifier = try Classifier(settings, engine: Engine(), source: source, stateFile: file)
        var reports: [PerformanceReport] = []
        for number in first...last { reports.append(await classifier.judge(at: Self.start + .seconds(15 * number))) }
        return reports
    }

    @Test func aLevelThatIsHeldTellsTheValueOfNowAndUntilWhen() async throws {
        let source = Self.source(Self.postgres(connections: { $0 < 26 ? 97 : 10 }))
        let reports = try await judge(source, through: 29)
        let held = try #require(reports.last { $0.overall.heldUntil != nil }?.components.first)
        #expect(held.level == .critical && held.current == .excellent)
        #expect(held.reasons.map(\.indicator) == ["connections"] && held.reasons.map(\.value) == [0.1])
        let until = try #require(held.heldUntil)
        #expect(until > held.since)
        #expect(reports.first?.components.first?.heldUntil == nil)
        #expect(held.trend != .degrading)
    }

    @Test func waitingForTheCPUIsPoorAtWorst() throws {
        var settings = PerformanceSettings()
        settings.thresholds["host.cpu_pressure"] = [0.1, 0.2, 0.3, 0.4]
        for settings in [PerformanceSettings(), settings] {
            let indicator = try #require(Indicator.table(settings).first { $0.key == "host.cpu_pressure" })
            #expect(indicator.scale.level(1) == .poor)
        }
    }

    /// Connections of 100, sessions that wait for locks → level and the reasons' names.
    @Test(arguments: [
        (10.0, 0.0, PerformanceLevel.excellent, [String]()), (55, 0, .good, ["connections"]),
        (75, 0, .fair, ["connections"]), (90, 0, .poor, ["connections"]), (97, 0, .critical, ["connections"]),
        (10, 2, .good, ["lock_waits"]), (10, 5, .fair, ["lock_waits"]), (70, 5, .fair, ["lock_waits", "connections"]),
        (90, 5, .poor, ["connections"]), (10, 40, .critical, ["lock_waits"]),
    ])
    func theWorstIndicatorDecides(
        _ connections: Double, _ waits: Double, _ level: PerformanceLevel, _ reasons: [String]
    ) async throws {
        let source = Self.source(Self.postgres(connections: { _ in connections - waits }, lockWaits: waits))
        let report = try #require(try await judge(source, through: 30).last)
        let postgres = try #require(report.components.first { $0.name == "postgres" })
        #expect(postgres.level == level && report.overall.level == level)
        #expect(Set(postgres.reasons.map(\.indicator)) == Set(reasons))
        for reason in postgres.reasons { #expect(reason.value >= reason.threshold && !reason.advice.isEmpty) }
        #expect(report.components.map(\.name) == ["postgres"], "what is not there is not judged")
    }

    /// A cache that is well, with some of its metrics changed: by name and a label's value, each so much a step, or a level.
    private static func cache(_ changed: [String: Double]) -> MemorySource {
        let metrics: [(name: String, label: String, value: String, isCounter: Bool, usual: Double)] = [
            ("outrigger_cache_hits_total", "class", "pages", true, 1500),
            ("outrigger_cache_absent_hits_total", "class", "pages", true, 300),
            ("outrigger_cache_misses_total", "class", "pages", true, 200),
            ("outrigger_cache_evictions_total", "cause", "bytes", true, 0),
            ("outrigger_cache_evictions_total", "cause", "requested", true, 0),
            ("outrigger_cache_evicted_unused_total", "class", "pages", true, 0),
            ("outrigger_cache_memory_frees_total", "trigger", "cgroup", true, 0),
            ("outrigger_cache_memory_frees_total", "trigger", "bound", true, 0),
            ("outrigger_cache_resident_bytes", "class", "pages", false, 100),
            ("outrigger_cache_limit_bytes", "class", "pages", false, 100),
            ("outrigger_redis_proxy_tracking_up", "job", "outrigger", false, 1),
            ("outrigger_redis_proxy_upstream_timeouts_total", "job", "outrigger", true, 0),
            ("outrigger_redis_proxy_write_behind_oldest_seconds", "job", "outrigger", false, 0),
            ("outrigger_redis_proxy_write_behind_rejected_total", "job", "outrigger", true, 0),
            ("outrigger_circuit_breaker_open", "breaker", "redis_proxy", false, 0),
        ]
        return source(
            metrics.map { name, label, value, isCounter, usual in
                let now = changed[name + "/" + value] ?? changed[name] ?? usual
                return (name, [label: value], { isCounter ? now * Double($0) : now })
            })
    }

    /// What is not as it should be → level of the cache and the reasons' names.
    @Test(
        arguments: [
            ([:], PerformanceLevel.excellent, [String]()),
            (["outrigger_circuit_breaker_open": 1], .critical, ["breaker"]),
            (["outrigger_redis_proxy_tracking_up": 0], .poor, ["tracking"]),
            (["outrigger_cache_misses_total": 900], .good, ["hit_ratio"]),
            (["outrigger_cache_misses_total": 90_000], .fair, ["hit_ratio"]),
            // One lookup in 15 seconds is too few for a ratio.
            (
                [
                    "outrigger_cache_hits_total": 0, "outrigger_cache_absent_hits_total": 0,
                    "outrigger_cache_misses_total": 1,
                ], .excellent, []
            ),
            (
                ["outrigger_cache_evictions_total/bytes": 1000, "outrigger_cache_evicted_unused_total": 500],
                .excellent,
                []
            ),
            (
                ["outrigger_cache_evictions_total/bytes": 1000, "outrigger_cache_evicted_unused_total": 900], .good,
                ["evicted_unused"]
            ),
            (
                ["outrigger_cache_evictions_total/requested": 1000, "outrigger_cache_evicted_unused_total": 1000],
                .excellent, []
            ),
            (["outrigger_cache_resident_bytes": 130], .fair, ["memory"]),
            (["outrigger_cache_memory_frees_total/bound": 1], .excellent, []),
            (["outrigger_cache_memory_frees_total/cgroup": 0.2], .fair, ["memory_frees"]),
            (["outrigger_redis_proxy_upstream_timeouts_total": 0.2], .fair, ["upstream_timeouts"]),
            (["outrigger_redis_proxy_write_behind_oldest_seconds": 400], .poor, ["write_behind_age"]),
            (["outrigger_redis_proxy_write_behind_rejected_total": 0.2], .poor, ["write_behind_rejected"]),
        ] as [([String: Double], PerformanceLevel, [String])])
    func theCacheIsJudgedByWhatItCounts(
        _ changed: [String: Double], _ level: PerformanceLevel, _ reasons: [String]
    ) async throws {
        let report = try #require(try await judge(Self.cache(changed), through: 60).last)
        let cache = try #require(report.components.first { $0.name == "cache" })
        #expect(cache.level == level)
        #expect(cache.reasons.map(\.indicator) == reasons)
    }

    /// Without a hit at all, whatever the traffic.
    @Test func theHitRatioAloneNeverMakesTheCacheWorseThanFair() {
        let hitRatio = Indicator.table(PerformanceSettings()).first { $0.key == "cache.hit_ratio" }
        #expect(hitRatio?.role == .objection && hitRatio?.scale.level(0) == .fair)
    }

    @Test func anOutageIsCriticalAtOnceEvenBeforeTheWarmUp() async throws {
        let source = Self.source(Self.postgres(up: 0, connections: { _ in 1 }))
        let report = try #require(try await judge(source, through: 20).first)
        #expect(report.overall.level == .critical && report.overall.reasons.first?.indicator == "postgres.availability")
    }

    @Test func tooLittleHistoryAndTooFewOperationsAreUnknown() async throws {
        let young = Self.source(Self.postgres(connections: { _ in 1 }))
        #expect(try await judge(young, through: 22).last?.overall.level == .unknown)
        #expect(try await judge(young, through: 26).last?.overall.level == .excellent)

        func service(perStep: Double) -> MemorySource {
            Self.source(
                [("0.1", 1.0), ("0.5", 1), ("2.5", 1), ("+Inf", 1)].map { le, share in
                    ("outrigger_operation_duration_seconds_bucket", ["le": le], { Double($0) * perStep * share })
                } + [("outrigger_operations_total", [:], { Double($0) * perStep })])
        }
        let idle = try #require(try await judge(service(perStep: 0.1), through: 60).last)
        #expect(idle.components.isEmpty && idle.overall.level == .unknown)
        let busy = try #require(try await judge(service(perStep: 50), through: 60).last)
        #expect(busy.components.map(\.name) == ["service"] && busy.overall.level == .excellent)
    }

    @Test func aServiceThatIsSlowOrFailsLosesItsApdex() async throws {
        /// Of each step's hundred operations so many take up to 0.1 s, the others between 0.5 and 2 s or longer.
        func level(fast: Double, tolerable: Double, errors: Double) async throws -> PerformanceLevel? {
            let buckets = [("0.1", fast), ("0.5", fast), ("2", fast + tolerable), ("10", 100.0), ("+Inf", 100)]
            let source = Self.source(
                buckets.map { le, count in
                    ("outrigger_operation_duration_seconds_bucket", ["le": le], { Double($0) * count })
                } + [
                    ("outrigger_operations_total", [:], { Double($0) * 100 }),
                    ("outrigger_operation_errors_total", [:], { Double($0) * errors }),
                ])
            return try await judge(source, through: 60).last?.overall.level
        }
        #expect(try await level(fast: 100, tolerable: 0, errors: 0) == .excellent)
        #expect(try await level(fast: 80, tolerable: 20, errors: 0) == .good)
        #expect(try await level(fast: 50, tolerable: 50, errors: 0) == .fair)
        #expect(try await level(fast: 20, tolerable: 80, errors: 0) == .poor)
        #expect(try await level(fast: 20, tolerable: 20, errors: 0) == .critical)
        #expect(try await level(fast: 100, tolerable: 0, errors: 0.9) == .poor, "nine times the budget")
        #expect(try await level(fast: 100, tolerable: 0, errors: 3) == .critical)
    }

    /// Operations of a step, by name: all of them take up to 0.1 s or all longer than 2 s, and a share of them fails.
    private static func operations(_ done: [(name: String, count: Double, isFast: Bool, failing: Double)])
        -> MemorySource
    {
        var series: [(String, [String: String], (Int) -> Double)] = []
        for (name, count, isFast, failing) in done {
            let labels = ["operation": name]
            series.append(("outrigger_operations_total", labels, { Double($0) * count }))
            series.append(("outrigger_operation_errors_total", labels, { Double($0) * count * failing }))
            for (le, share) in [("0.1", isFast ? 1.0 : 0), ("2", isFast ? 1 : 0), ("10", 1), ("+Inf", 1)] {
                series.append(
                    (
                        "outrigger_operation_duration_seconds_bucket", ["operation": name, "le": le],
                        { Double($0) * count * share }
                    ))
            }
        }
        return source(series)
    }

    @Test func whatAProxyCarriesHidesNothingOfTheService() async throws {
        var settings = PerformanceSettings()
        settings.proxiedOperations = ["redis_string", "redis_hash"]
        func service(_ done: (name: String, count: Double, isFast: Bool, failing: Double)...) async throws
            -> ComponentReport?
        {
            let report = try await judge(Self.operations(done), through: 60, settings: settings).last
            return report?.components.first { $0.name == "service" }
        }
        let slow = try await service(("pay", 50, false, 0), ("redis_string", 100_000, true, 0))
        #expect(slow?.level == .critical && slow?.reasons.map(\.indicator) == ["apdex"])
        let failing = try await service(("pay", 50, true, 0.03), ("redis_string", 100_000, true, 0))
        #expect(
            failing?.level == .critical
                && failing?.reasons.contains { $0.indicator == "error_budget_burn_fast" } == true)
        let well = try await service(("pay", 50, true, 0), ("redis_hash", 100_000, false, 0.5))
        #expect(well?.level == .excellent)
        // Without any of its own it is judged by what it sends.
        #expect(try await service(("redis_string", 1000, true, 0), ("redis_hash", 1000, true, 0))?.level == .excellent)
        #expect(try await service(("redis_string", 1000, false, 0))?.level == .critical)
        // A few of its own are too few, and no reason to be judged by others.
        #expect(try await service(("pay", 0.5, true, 0), ("redis_string", 1000, false, 0)) == nil)
    }

    /// Severities of firing alerts about Postgres → its level.
    @Test(
        arguments: [
            ([], PerformanceLevel.excellent), (["info"], .good), (["info", "info"], .good),
            (["info", "warning"], .fair),
            (["critical"], .poor), (["critical", "critical"], .critical), (["none"], .excellent),
        ] as [([String], PerformanceLevel)])
    func aFiringAlertBoundsTheLevelByItsSeverity(_ severities: [String], _ level: PerformanceLevel) async throws {
        let alerts = severities.enumerated().flatMap { index, severity in
            // One about a level feeds nothing back.
            ["Postgres\(index)", "Performance\(index)"].map { name in
                (
                    "ALERTS", ["alertname": name, "alertstate": "firing", "severity": severity],
                    { (_: Int) -> Double in 1 }
                )
            }
        }
        let source = Self.source(Self.postgres(connections: { _ in 10 }) + alerts)
        #expect(try await judge(source, through: 60).last?.overall.level == level)
    }

    @Test func aRestartKeepsTheLevelAndSinceWhen() async throws {
        let folder = try TemporaryFolder()
        let file = StateFile(folder.path + "/performance")
        let source = Self.source(Self.postgres(connections: { $0 < 60 ? 90 : 1 }))
        let before = try #require(try await judge(source, through: 50, file: file).last?.components.first)
        #expect(before.level == .poor)
        // Better since the restart, but not for long enough.
        let after = try await judge(source, through: 64, file: file, from: 61)
        #expect(after.map(\.overall.level) == [.poor, .poor, .poor, .poor])
        #expect(after.last?.components.first?.since == before.since)
        // With nothing heard yet, what was known stands.
        let deaf = try await judge(Self.source([]), through: 62, file: file, from: 61)
        #expect(deaf.last?.components.first?.level == .poor)
    }

    @Test func whatFillsUpIsToldInTime() async throws {
        // From 20 to 60 of 100 in 40 minutes: forty more minutes to go.
        let source = Self.source(Self.postgres(connections: { 20 + Double($0) / 4 }))
        let report = try #require(try await judge(source, through: 160).last?.components.first)
        let limit = try #require(report.limits.first { $0.resource == "connections" })
        #expect(abs(limit.seconds - 2400) < 120, "\(limit.seconds)")
    }
}
