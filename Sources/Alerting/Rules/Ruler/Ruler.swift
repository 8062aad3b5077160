import Metrics
import PromQL
import Runtime
import Synchronization

/// Loads rule files, evaluates their groups on time, keeps the alerts' states on disk and hands alerts on.
///
/// It has a thread of its own, since evaluating and syncing block. `step` does everything that is due at a time, so
/// tests drive it with times of their own; `run` drives it by the clock.
public actor Ruler {
    private let thread = BlockingThread("rules", stackBytes: BlockingThread.deepStackBytes)
    public nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe thread.asUnownedSerialExecutor() }

    private var settings: RulerSettings
    private let engine: Engine
    private let store: any SeriesStore
    private let sinks: [any AlertSink]
    private let stateFile: StateFile?
    private let clock: RulerClock
    public nonisolated let metrics = RulerMetrics()

    private var groups: [RuleGroupKey: RunningGroup] = [:]

    /// Alerts of the last run, until their groups are loaded.
    private var saved: SavedAlerts
    private var lastSaved = SavedAlerts()

    /// Series of groups that a reload took out, and when they may be ended.
    private var retired: [RetiredSeries] = []
    private var sleeper: Task<Void, Never>?
    private let shared = Mutex(Shared())

    private struct Shared {
        var snapshot = RulesSnapshot()
        var requirements: [HistoryRequirement] = []
    }

    /// What of the clock's steps this ruler has followed.
    private var stepped: Int64

    private struct RetiredSeries {
        let series: Set<Labels>
        var stoppedAt: Int64
        var due: Int64
    }

    /// - Parameter stateFile: where the alerts' states are kept; without one a restart forgets them. Blocks to read it.
    public init(
        _ settings: RulerSettings, engine: Engine = Engine(), store: any SeriesStore, sinks: [any AlertSink] = [],
        stateFile: StateFile? = nil, clock: RulerClock = .system
    ) {
        self.settings = settings
        self.engine = engine
        self.store = store
        self.sinks = sinks
        self.stateFile = stateFile
        self.clock = clock
        stepped = clock.stepped()
        saved = Ruler.read(stateFile)
    }

    /// All rules and alerts after the latest evaluation. Never waits for one under way.
    public nonisolated var snapshot: RulesSnapshot { shared.withLock { $0.snapshot } }

    /// How much history the loaded rules need.
    public nonisolated var requirements: [HistoryRequirement] { shared.withLock { $0.requirements } }

    // MARK: Loading

    /// Reads the rule files anew. Rules that stay keep their state; if any file is at fault, all rules stay as they are.
    public func load(_ settings: RulerSettings? = nil) throws(RuleLoadError) {
        let files = try Ruler.read((settings ?? self.settings).files)
        load(files, settings ?? self.settings)
    }

    /// Reads and checks the rule files that these settings name, on the ruler's own thread, and changes nothing.
    public func read(_ settings: RulerSettings) throws(RuleLoadError) -> [RuleFile] { try Ruler.read(settings.files) }

    /// Takes these files in the place of all others.
    public func load(_ files: [RuleFile], _ settings: RulerSettings? = nil) {
        let now = present()
        self.settings = settings ?? self.settings
        var old = groups
        groups = [:]
        for file in files {
            for definition in file.groups {
                var group = RunningGroup(
                    file: file.path, definition, settings: self.settings, engine: engine, now: now)
                if let known = old.removeValue(forKey: group.key) {
                    if known.isSame(as: group) { group = known } else { group.takeOver(known) }
                } else if let place = saved.groups.firstIndex(where: {
                    $0.file == file.path && $0.name == definition.name
                }) {
                    group.restore(saved.groups.remove(at: place))
                }
                groups[group.key] = group
                metrics.noteLoaded(group)
            }
        }
        // Alerts of groups that no longer exist are forgotten, as a reload forgets them.
        saved = SavedAlerts()
        for group in old.values {
            metrics.forget(group.key)
            retired.append(
                RetiredSeries(series: group.series, stoppedAt: now, due: now + 2 * group.schedule.interval))
        }
        let rules = groups.values.flatMap(\.definition.rules)
        let offset = groups.values.map { $0.definition.queryOffset ?? self.settings.queryOffset }.max() ?? 0
        let needed = rules.historyRequirements(lookback: Int64(engine.lookback.milliseconds), queryOffset: offset)
        shared.withLock { $0.requirements = needed }
        publish()
        sleeper?.cancel()
    }

    /// The rule files that patterns name, read and checked. Blocks.
    public static func read(_ patterns: [String]) throws(RuleLoadError) -> [RuleFile] {
        var files: [RuleFile] = []
        var problems: [String] = []
        for pattern in patterns {
            for path in Files.matching(pattern) where !files.contains(where: { $0.path == path }) {
                do throws(RuleFileError) {
                    let file = try RuleFile.load(path)
                    for warning in file.warnings { Log.warn("rule file: \(warning)", ["file": path]) }
                    files.append(file)
                } catch {
                    problems.append("\(error)")
                }
            }
        }
        guard problems.isEmpty else { throw RuleLoadError(problems: problems) }
        return files
    }

    // MARK: Evaluating

    /// Evaluates until the task is cancelled.
    public func run() async {
        while !Task.isCancelled {
            let next = await step(at: present())
            let sleeper = Task { [clock] in await clock.sleep(next) }
            self.sleeper = sleeper
            await withTaskCancellationHandler {
                await sleeper.value
            } onCancel: {
                sleeper.cancel()
            }
        }
    }

    /// The time, once everything kept has followed the clock.
    private func present() -> Int64 {
        while true {
            let (steps, now) = (clock.stepped(), clock.now())
            guard steps == clock.stepped() else { continue }
            let step = steps - stepped
            stepped = steps
            if step != 0 { move(by: step) }
            return now
        }
    }

    private func move(by step: Int64) {
        for key in groups.keys { groups[key]?.move(by: step) }
        for index in retired.indices {
            retired[index].stoppedAt += step
            retired[index].due += step
        }
    }

    /// Does everything that is due at `now`, in milliseconds since the epoch.
    ///
    /// - Returns: when something is due next.
    @discardableResult
    public func step(at now: Int64) async -> Int64 {
        var context = EvaluationContext(
            store: store, engine: engine, settings: settings, now: clock.now, stopwatch: clock.stopwatch)
        context.queryOffset = settings.queryOffset
        var due: [(key: RuleGroupKey, time: Int64, alerts: [DueAlert])] = []
        for key in groups.keys.sorted() {
            guard var group = groups.removeValue(forKey: key) else { continue }
            if let (time, missed) = group.schedule.take(at: now) {
                group.evaluate(at: time, missed: missed, context)
                metrics.noteEvaluation(of: group, missed: missed)
                let alerts = group.due(at: time, settings)
                if !alerts.isEmpty { due.append((key, time, alerts)) }
            }
            groups[key] = group
        }
        endRetired(at: now)
        publish()
        // When each alert began is on disk before anybody hears of it, so a crash in between changes no `startsAt`.
        save()
        if !due.isEmpty {
            await handOn(due)
            save()
        }
        return groups.values.map(\.schedule.next).min() ?? now + 60_000
    }

    private func handOn(_ due: [(key: RuleGroupKey, time: Int64, alerts: [DueAlert])]) async {
        let settings = settings
        let alerts = due.flatMap { group in group.alerts.compactMap { Alert($0, at: group.time, settings) } }
        for sink in sinks { await sink.accept(alerts) }
        for (key, time, alerts) in due { groups[key]?.noteSent(alerts, at: time) }
    }

    private func endRetired(at now: Int64) {
        guard retired.contains(where: { $0.due <= now }) else { return }
        let alive = groups.values.reduce(into: Set<Labels>()) { $0.formUnion($1.series) }
        for old in retired where old.due <= now {
            // The marks are dated back, so that a group which has begun to write the same series is not disturbed.
            store.append(
                old.series.subtracting(alive).map {
                    RuleSample(labels: $0, time: old.stoppedAt, value: StaleNaN.value)
                })
        }
        retired.removeAll { $0.due <= now }
    }

    private func publish() {
        var fresh = RulesSnapshot()
        fresh.groups = groups.sorted { $0.key < $1.key }.map { RulesSnapshot.Group($0.value) }
        shared.withLock { [fresh] in $0.snapshot = fresh }
        metrics.noteAlerts(groups.values)
    }

    // MARK: Keeping

    private func save() {
        guard let stateFile else { return }
        var current = saved
        for (key, group) in groups.sorted(by: { $0.key < $1.key }) {
            if let entry = SavedAlerts.Group(key, group) { current.groups.append(entry) }
        }
        guard !current.hasSameStates(as: lastSaved) else { return }
        do throws(FileError) {
            try stateFile.write(current.encoded)
            lastSaved = current
        } catch {
            metrics.noteSaveFailure()
            Log.error("alerts' states were not saved", ["error": "\(error)"])
        }
    }

    private static func read(_ file: StateFile?) -> SavedAlerts {
        guard let file else { return SavedAlerts() }
        do {
            guard let bytes = try file.read() else { return SavedAlerts() }
            return try SavedAlerts(bytes)
        } catch {
            Log.error("saved alerts cannot be read and were ignored", ["path": file.path, "error": "\(error)"])
            return SavedAlerts()
        }
    }
}

/// Where the ruler's time comes from.
public struct RulerClock: Sendable {
    /// Milliseconds since the epoch.
    public let now: @Sendable () -> Int64

    /// Seconds from any start on.
    public let stopwatch: @Sendable () -> Double

    /// Returns at that time, or earlier when the task is cancelled.
    public let sleep: @Sendable (_ until: Int64) async -> Void

    /// By how many milliseconds the time has jumped in all.
    public let stepped: @Sendable () -> Int64

    public init(
        now: @escaping @Sendable () -> Int64, stopwatch: @escaping @Sendable () -> Double,
        sleep: @escaping @Sendable (_ until: Int64) async -> Void,
        stepped: @escaping @Sendable () -> Int64 = { 0 }
    ) {
        self.stepped = stepped
        self.now = now
        self.stopwatch = stopwatch
        self.sleep = sleep
    }

    public static let system: RulerClock = {
        let start = ContinuousClock.now
        return RulerClock(
            now: { SteadyTime.shared.now }, stopwatch: { (ContinuousClock.now - start).seconds },
            sleep: { until in
                let wait = max(1, until - SteadyTime.shared.now)
                // Cut short by cancelling, which is how it is woken.
                try? await Task.sleep(for: .milliseconds(min(wait, 60_000)))
            }, stepped: { SteadyTime.shared.stepped })
    }()
}

/// Why rule files were not loaded.
public struct RuleLoadError: Error, Sendable, CustomStringConvertible {
    /// One or more lines for each file at fault.
    public let problems: [String]

    public var description: String { problems.joined(separator: "\n") }
}

extension SavedAlerts.Group {
    /// Nil if the group has no alerts.
    fileprivate init?(_ key: RuleGroupKey, _ group: RunningGroup) {
        let rules = group.rules.filter { !$0.alerts.alerts.isEmpty || !$0.alerts.endedBefore.isEmpty }
        guard !rules.isEmpty else { return nil }
        self.init(
            file: key.file, name: key.name,
            rules: rules.map { running in
                let identity = running.rule.identity
                return SavedAlerts.Rule(
                    name: identity.name, labels: identity.labels, alerts: running.alerts.alerts,
                    endedBefore: running.alerts.endedBefore)
            })
    }
}
