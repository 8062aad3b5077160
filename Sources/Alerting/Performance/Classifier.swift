import Metrics
import PromQL
import Runtime

/// Asks the history the questions of the indicators' table, judges every component, and shows the report: on the board, as
/// metrics and, for the levels, on disk.
///
/// It has a thread of its own, since evaluating and syncing block. `judge(at:)` does one round, so tests drive it with
/// times of their own; `run` drives it by the clock.
public actor Classifier {
    private let thread = BlockingThread("classifier")
    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    public nonisolated let board = PerformanceBoard()
    /// How far back the questions read, for the history's retention.
    public nonisolated let requirements: [HistoryRequirement]
    private nonisolated let metrics = PerformanceMetrics()
    /// To be added to the registry.
    public nonisolated var instruments: [any Instrument] { metrics.instruments }

    private let settings: PerformanceSettings
    private let source: any SeriesSource
    private let questions: Questions
    private let stateFile: StateFile?
    private let remembered: [PerformanceComponent: LevelHold]
    private var judges: [PerformanceComponent: ComponentJudge] = [:]
    private var saved: [PerformanceComponent: LevelHold] = [:]
    private var overall: (level: PerformanceLevel, since: Moment)?
    private var shown = PerformanceMetrics.Shown()
    private var hasLoggedFailure = false
    /// By how many milliseconds the time has jumped in all, and what of that was followed.
    private let clockSteps: @Sendable () -> Int64
    private var stepped: Int64

    /// A component that nothing was heard of for so long is no longer there.
    private static let forgetAfter = Duration.seconds(600)
    /// The trend, in points of the score in a quarter of an hour, that is still steady.
    private static let deadBand = 5.0

    /// - Parameter stateFile: where the levels are kept; without one a restart forgets them. Blocks to read it.
    public init(
        _ settings: PerformanceSettings, engine: Engine, source: any SeriesSource, stateFile: StateFile?,
        stepped: @escaping @Sendable () -> Int64 = { SteadyTime.shared.stepped }
    ) throws(PromQLError) {
        clockSteps = stepped
        self.stepped = stepped()
        self.settings = settings
        self.source = source
        self.stateFile = stateFile
        questions = try Questions(settings, engine: engine)
        requirements = questions.requirements(lookback: Int64(engine.lookback.milliseconds))
        remembered = Classifier.read(stateFile)
        saved = remembered
    }

    private static func read(_ file: StateFile?) -> [PerformanceComponent: LevelHold] {
        do throws(FileError) {
            return try file?.read().map { RememberedLevels.decode($0) } ?? [:]
        } catch {
            Log.error("performance levels cannot be read", ["error": "\(error)"])
            return [:]
        }
    }

    /// Judges every interval until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            judge(at: present())
            guard (try? await Task.sleep(for: settings.interval)) != nil else { return }
        }
    }

    /// The time, once everything kept has followed the clock.
    private func present() -> Moment {
        while true {
            let (steps, now) = (clockSteps(), Moment.now)
            guard steps == clockSteps() else { continue }
            follow(steps)
            return now
        }
    }

    /// Moves what is kept by what the clock has jumped since.
    func follow(_ steps: Int64) {
        let step = steps - stepped
        stepped = steps
        guard step != 0 else { return }
        for component in judges.keys { judges[component]?.move(by: step) }
        overall = overall.map { ($0.level, $0.since.moved(by: step)) }
    }

    /// One round.
    @discardableResult
    public func judge(at now: Moment) -> PerformanceReport {
        let readings = questions.indicators.compactMap { indicator, query in
            value(of: query, at: now).map { ComponentJudge.Reading(indicator: indicator, value: $0) }
        }
        let trends = trends(at: now)
        let means = Dictionary(
            samples(of: questions.mean, at: now).map { ($0.labels["component"] ?? "", $0.value) }
        ) { first, _ in first }
        var components: [ComponentReport] = []
        for component in PerformanceComponent.allCases {
            let own = readings.filter { $0.indicator.component == component }
            guard let judged = judge(component, own, at: now), let judge = judges[component] else { continue }
            components.append(
                ComponentReport(
                    name: component.rawValue, level: judged.level, score: judged.score, since: judge.hold.since,
                    current: judge.current, heldUntil: judge.hold.heldUntil(hold: settings.hold),
                    trend: trend(trends[component.rawValue], means[component.rawValue], judged.score),
                    reasons: judged.reasons, limits: limits(of: component, at: now),
                    annotations: annotations(of: component, at: now)))
        }
        let report = PerformanceReport(
            time: now, overall: overall(components, trends["overall"], means["overall"], at: now),
            components: components)
        metrics.show(report, replacing: &shown)
        board.show(report)
        save()
        return report
    }

    private func judge(
        _ component: PerformanceComponent, _ readings: [ComponentJudge.Reading], at now: Moment
    ) -> (level: PerformanceLevel, score: Double?, reasons: [PerformanceReason])? {
        if judges[component] == nil {
            // Alerts alone do not make a component.
            guard readings.contains(where: { $0.indicator.role != .objection }) || remembered[component] != nil else {
                return nil
            }
            judges[component] = ComponentJudge(
                component, remembered: remembered[component], warmUp: settings.warmUp, at: now)
        }
        let judged = judges[component]?.judge(readings, hold: settings.hold, at: now)
        if let hold = judges[component]?.hold, hold.level == .unknown, readings.isEmpty,
            now - hold.since > Classifier.forgetAfter
        {
            judges[component] = nil
        }
        return judged
    }

    // MARK: Asking

    private func value(of query: PreparedQuery, at now: Moment) -> Double? {
        samples(of: query, at: now).map(\.value).filter { $0.isFinite }.max()
    }

    private func samples(of query: PreparedQuery, at now: Moment) -> [PromQL.Sample] {
        do {
            guard case .vector(let samples) = try query.instant(at: now.milliseconds, source: source).value else {
                return []
            }
            return Array(samples)
        } catch {
            metrics.failed()
            if !hasLoggedFailure {
                Log.error(
                    "a performance level could not be asked for", ["query": query.query.text, "error": "\(error)"])
            }
            hasLoggedFailure = true
            return []
        }
    }

    private func trends(at now: Moment) -> [String: PerformanceTrend] {
        var trends: [String: PerformanceTrend] = [:]
        for sample in samples(of: questions.trend, at: now) {
            guard let component = sample.labels["component"], sample.value.isFinite else { continue }
            trends[component] =
                sample.value > Classifier.deadBand
                ? .improving : sample.value < -Classifier.deadBand ? .degrading : .steady
        }
        return trends
    }

    /// Where the score is heading from where it is now: what is better now than it was on average does not degrade.
    private func trend(_ course: PerformanceTrend?, _ mean: Double?, _ score: Double?) -> PerformanceTrend {
        guard let score, let course else { return .unknown }
        guard let mean, mean.isFinite else { return course }
        switch course {
        case .degrading where score > mean, .improving where score < mean: return .steady
        default: return course
        }
    }

    private func limits(of component: PerformanceComponent, at now: Moment) -> [TimeToLimit] {
        questions.limits.filter { $0.0.component == component }.compactMap { indicator, query in
            let soonest = samples(of: query, at: now).map(\.value).filter { $0.isFinite && $0 >= 0 }.min()
            return soonest.map { TimeToLimit(resource: indicator.name, seconds: $0) }
        }.sorted { $0.seconds < $1.seconds }
    }

    private func annotations(of component: PerformanceComponent, at now: Moment) -> [String] {
        questions.anomalies.filter { $0.0.component == component }.compactMap { anomaly, query in
            guard let deviations = value(of: query, at: now), abs(deviations) > 3 else { return nil }
            let word = deviations > 0 ? "many" : "few"
            return "unusually \(word) \(anomaly.subject) against the last hour"
        }
    }

    // MARK: Overall

    private func overall(
        _ components: [ComponentReport], _ course: PerformanceTrend?, _ mean: Double?, at now: Moment
    ) -> ComponentReport {
        let level = components.map(\.level).max() ?? .unknown
        let sinceWorst = components.filter { $0.level == level }.map(\.since).min() ?? now
        let since = overall.map { $0.level == level ? $0.since : now } ?? sinceWorst
        overall = (level, since)
        let reasons = components.flatMap { component in
            component.reasons.filter { $0.level >= min(level, .fair) }.map { reason in
                PerformanceReason(
                    indicator: "\(component.name).\(reason.indicator)", level: reason.level, value: reason.value,
                    unit: reason.unit, threshold: reason.threshold, since: reason.since, advice: reason.advice)
            }
        }
        let score = components.compactMap(\.score).min()
        return ComponentReport(
            name: "overall", level: level, score: score, since: since,
            current: components.map(\.current).max() ?? .unknown,
            heldUntil: components.filter { $0.level == level }.compactMap(\.heldUntil).max(),
            trend: trend(course, mean, score),
            reasons: Array(reasons.sorted { $0.level > $1.level }.prefix(ComponentJudge.mostReasons)),
            limits: components.flatMap(\.limits).sorted { $0.seconds < $1.seconds },
            annotations: components.flatMap(\.annotations))
    }

    // MARK: On disk

    private func save() {
        let holds = judges.mapValues(\.hold)
        guard let stateFile, holds != saved else { return }
        do throws(FileError) {
            try stateFile.write(RememberedLevels.encode(holds))
            saved = holds
        } catch {
            Log.error("performance levels cannot be written", ["error": "\(error)"])
        }
    }
}

/// Everything the classifier asks, parsed once. Used by one thread.
private struct Questions {
    let indicators: [(Indicator, PreparedQuery)]
    let limits: [(Indicator, PreparedQuery)]
    let anomalies: [(Anomaly, PreparedQuery)]
    let trend: PreparedQuery
    /// Of the score, over the time of the trend.
    let mean: PreparedQuery

    /// Further away than this, a limit is nobody's concern.
    private static let horizonSeconds = 30 * 86400
    /// Before which nothing is said about limits.
    private static let leastMinutes = 10

    init(_ settings: PerformanceSettings, engine: Engine) throws(PromQLError) {
        func prepared(_ text: String) throws(PromQLError) -> PreparedQuery {
            try PreparedQuery(try Query(text), engine: engine)
        }
        var indicators: [(Indicator, PreparedQuery)] = []
        var limits: [(Indicator, PreparedQuery)] = []
        for row in Indicator.table(settings) {
            indicators.append((row, try prepared(row.expression)))
            guard row.role == .saturation else { continue }
            // What only began, or was only just started, says little about where it is going.
            let quarter = "(\(row.expression))[15m:1m]"
            let question = """
                (1 - (\(row.expression))) / (deriv(\(quarter)) > 0) < \(Self.horizonSeconds) \
                and count_over_time(\(quarter)) >= \(Self.leastMinutes)
                """
            limits.append((row, try prepared(question)))
        }
        var anomalies: [(Anomaly, PreparedQuery)] = []
        for anomaly in Anomaly.table { anomalies.append((anomaly, try prepared(anomaly.deviations))) }
        self.indicators = indicators
        self.limits = limits
        self.anomalies = anomalies
        // Points in a quarter of an hour, once five minutes of it are known.
        trend = try prepared(
            "deriv(outrigger_performance_score[15m]) * 900 and count_over_time(outrigger_performance_score[15m:1m]) >= 5"
        )
        mean = try prepared("avg_over_time(outrigger_performance_score[15m])")
    }

    func requirements(lookback: Int64) -> [HistoryRequirement] {
        let queries = indicators.map(\.1) + limits.map(\.1) + anomalies.map(\.1) + [trend, mean]
        return queries.flatMap(\.query.expression.reads).historyRequirements(lookback: lookback)
    }
}
