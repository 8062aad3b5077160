import Metrics
import Network
import Runtime
import Synchronization

/// Tells people: owns the switchboard, sends what it says, and wakes it when something is due.
///
/// Every message and every Alertmanager has a task of its own, so a slow consumer holds up nobody. `stop` sends nothing
/// more; in particular it tells nobody that alerts are over.
public actor Dispatcher {
    private var switchboard: Switchboard
    private let delivery: HTTPDelivery
    private let store: NotificationStore
    public nonisolated let metrics: NotificationMetrics
    private let clock: @Sendable () -> Moment
    /// By how many milliseconds the time has jumped in all, and what of that was followed.
    private let clockSteps: @Sendable () -> Int64
    private var stepped: Int64
    private let startedAt: Moment
    private var lossToldAt: ContinuousClock.Instant?
    private var lossUntold = 0
    private var heartbeats: [Heartbeat]

    private var alarm: Task<Void, Never>?
    /// Messages being sent and state being written.
    private var tasks: [Int: Task<Void, Never>] = [:]
    private var taskCount = 0
    private var queues: [QueueID: AlertQueue] = [:]
    private var posting: [QueueID: Task<Void, Never>] = [:]
    private var beating: [Task<Void, Never>] = []
    private var isStopped = false

    /// One of a receiver's Alertmanagers.
    private struct QueueID: Hashable {
        let integration: IntegrationID
        let url: String
    }

    /// The longest sleep; the time of day may jump meanwhile.
    private static let maxSleep = Duration.seconds(10)

    /// - Parameters:
    ///   - store: whose log and silences were loaded.
    ///   - clock: the time of day.
    public init(
        _ configuration: Switchboard.Configuration, heartbeats: [Heartbeat] = [], client: HTTPClient, userAgent: String,
        store: NotificationStore = NotificationStore(nil), log: NotificationLog = NotificationLog(),
        silences: Silences = Silences(), metrics: NotificationMetrics = NotificationMetrics(),
        clock: @escaping @Sendable () -> Moment = { .now },
        stepped: @escaping @Sendable () -> Int64 = { SteadyTime.shared.stepped }
    ) {
        clockSteps = stepped
        self.stepped = stepped()
        switchboard = Switchboard(configuration, log: log, silences: silences)
        delivery = HTTPDelivery(client: client, userAgent: userAgent)
        self.heartbeats = heartbeats
        self.store = store
        self.metrics = metrics
        self.clock = clock
        startedAt = clock()
    }

    /// Begins the heartbeats. Alerts may be handed in before.
    public func start() {
        for task in beating { task.cancel() }
        beating = heartbeats.map { heartbeat in Task { await beat(heartbeat) } }
    }

    /// Takes alerts that fire, changed or ended, and tells whom it concerns when it is time.
    ///
    /// - Returns: how many were not taken, because there were as many as there may be.
    @discardableResult
    public func receive(_ alerts: [Alert]) -> Int {
        guard !isStopped, !alerts.isEmpty else { return 0 }
        let reception = switchboard.receive(alerts, at: present())
        if reception.droppedAlerts > 0 { metrics.dropped.with(["alert_limit"]).add(reception.droppedAlerts) }
        if reception.droppedOfName > 0 { metrics.dropped.with(["alert_name_limit"]).add(reception.droppedOfName) }
        if reception.ungroupedAlerts > 0 { metrics.dropped.with(["group_limit"]).add(reception.ungroupedAlerts) }
        if reception.lost > 0 { tellLoss(of: reception.lost, among: alerts) }
        for forward in reception.forwards { enqueue(forward) }
        advance()
        return reception.lost
    }

    /// At most once a minute, with all that was lost since.
    private func tellLoss(of count: Int, among alerts: [Alert]) {
        lossUntold += count
        let now = ContinuousClock.now
        if let lossToldAt, now - lossToldAt < .seconds(60) { return }
        Log.error(
            "alerts were dropped, there are as many as there may be",
            ["alerts": "\(lossUntold)", "for example": alerts.last?.name ?? ""])
        (lossToldAt, lossUntold) = (now, 0)
    }

    /// The time, once everything kept has followed the clock.
    private func present() -> Moment {
        while true {
            let (steps, now) = (clockSteps(), clock())
            guard steps == clockSteps() else { continue }
            let step = steps - stepped
            stepped = steps
            if step != 0 { switchboard.move(by: step) }
            return now
        }
    }

    /// Takes another configuration, with the same alerts, silences and memory of what was told.
    public func reconfigure(_ configuration: Switchboard.Configuration, heartbeats: [Heartbeat] = []) {
        guard !isStopped else { return }
        switchboard.reconfigure(configuration, at: present())
        self.heartbeats = heartbeats
        start()
        queues = queues.filter { settings(of: $0.key) != nil }
        advance()
    }

    /// Sends what Alertmanagers still have to hear and waits for messages under way, then gives up the rest.
    ///
    /// - Parameter patience: for all of it.
    public func stop(within patience: Duration = .seconds(5)) async {
        isStopped = true
        alarm?.cancel()
        for task in beating { task.cancel() }
        let open = Array(tasks.values) + Array(posting.values)
        let limit = Task {
            if (try? await Task.sleep(for: patience)) != nil { for task in open { task.cancel() } }
        }
        for task in open { await task.value }
        limit.cancel()
    }

    /// Looks at everything at one moment.
    public func read<Value: Sendable>(_ body: @Sendable (Switchboard, Moment) -> Value) -> Value {
        body(switchboard, present())
    }

    /// Changes the silences and keeps the change on disk before it returns.
    public func changeSilences<Value: Sendable>(
        _ change: @Sendable (inout Silences, Moment) throws(SilenceError) -> Value
    ) async throws(SilenceError) -> Value {
        let now = present()
        let value = try change(&switchboard.silences, now)
        guard await writeSilences() else { throw .notKept }
        return value
    }

    // MARK: Webhooks

    /// Does what is due and sets the alarm for what comes next.
    private func advance() {
        guard !isStopped else { return }
        for work in switchboard.due(at: present()) {
            switch work {
            case .send(let message): send(message)
            case .record(let entry): run { await $0.record(entry) }
            case .gaveUp(let integration): gaveUp(integration, .contextDeadlineExceeded, after: "its time ran out")
            }
        }
        if switchboard.silences.removeOld(at: present()) { run { _ = await $0.writeSilences() } }
        showQueues()
        setAlarm()
    }

    private func setAlarm() {
        alarm?.cancel()
        guard let next = switchboard.nextDue else { return }
        let wait = min(max(next - present(), .milliseconds(1)), Self.maxSleep)
        alarm = Task { [weak self] in
            // A cancelled sleep means that another alarm was set.
            guard (try? await Task.sleep(for: wait)) != nil else { return }
            await self?.advance()
        }
    }

    /// Starts something that `stop` waits for.
    private func run(_ work: @escaping @Sendable (isolated Dispatcher) async -> Void) {
        taskCount += 1
        let id = taskCount
        tasks[id] = Task {
            await work(self)
            tasks[id] = nil
        }
    }

    private func send(_ message: Switchboard.Message) {
        if message.attempt == 1 { metrics.notifications.with(message.integration.labelValues).add() }
        run {
            if let intent = message.intent { await $0.record(intent) }
            await $0.finished(message, await $0.attempt(message))
        }
    }

    /// One request, measured.
    private func attempt(_ message: Switchboard.Message) async -> DeliveryOutcome {
        let began = ContinuousClock.now
        let outcome = await delivery.deliver(message, at: present())
        count(message.integration, outcome, took: ContinuousClock.now - began)
        return outcome
    }

    private func count(_ integration: IntegrationID, _ outcome: DeliveryOutcome, took duration: Duration) {
        let labels = integration.labelValues
        metrics.requests.with(labels).add()
        metrics.latency.with(labels).observe(duration.seconds)
        if outcome != .accepted { metrics.failedRequests.with(labels).add() }
    }

    private func finished(_ message: Switchboard.Message, _ outcome: DeliveryOutcome) async {
        let now = present()
        let entry = outcome == .accepted ? switchboard.entry(for: message.id, at: now) : nil
        let verdict = switchboard.finished(message.id, outcome, at: now, random: .random(in: 0..<1))
        switch verdict {
        case .done: break
        case .retry:
            Log.debug(
                "notification failed, will be tried again", ["to": "\(message.integration)", "why": "\(outcome)"])
        case .giveUp(let failure): gaveUp(message.integration, failure, after: "\(outcome)")
        }
        if let entry { await record(entry) }
        advance()
    }

    private func gaveUp(_ integration: IntegrationID, _ failure: DeliveryFailure, after reason: String) {
        metrics.failed.with(integration.labelValues + [failure.rawValue]).add()
        Log.warn("notification given up until the group's next turn", ["to": "\(integration)", "why": reason])
    }

    private func record(_ entry: NotificationLog.Entry) async {
        do {
            try await store.append(entry) { await self.switchboard.log }
        } catch {
            stateFailed(error)
        }
    }

    /// - Returns: whether they are on disk, or need not be.
    @discardableResult
    private func writeSilences() async -> Bool {
        do {
            try await store.write(switchboard.silences)
            return true
        } catch {
            stateFailed(error)
            return false
        }
    }

    private func stateFailed(_ error: FileError) {
        metrics.stateErrors.with([]).add()
        Log.error("notification state was not written", ["error": "\(error)"])
    }

    private func showQueues() {
        let lengths = switchboard.queueLengths
        for receiver in switchboard.configuration.receivers {
            for index in receiver.webhooks.indices {
                let integration = IntegrationID(receiver: receiver.name, kind: "webhook", index: index)
                metrics.queueLength.with(integration.labelValues).set(Double(lengths[integration] ?? 0))
                // Each group has at most one message to an integration.
                metrics.queueCapacity.with(integration.labelValues).set(
                    Double(switchboard.configuration.limits.groups))
            }
        }
    }

    // MARK: Alertmanagers

    private func enqueue(_ forward: Switchboard.Forward) {
        guard let settings = settings(of: forward.integration) else { return }
        for url in settings.urls {
            let id = QueueID(integration: forward.integration, url: url)
            let dropped = queues[id, default: AlertQueue()].append(forward.alerts)
            if dropped > 0 { metrics.dropped.with(["alertmanager_queue"]).add(dropped) }
            showQueue(forward.integration)
            if posting[id] == nil { posting[id] = Task { await post(id) } }
        }
    }

    private func settings(of integration: IntegrationID) -> AlertmanagerSettings? {
        let receiver = switchboard.configuration.receivers.first { $0.name == integration.receiver }
        guard let receiver, receiver.alertmanagers.indices.contains(integration.index) else { return nil }
        return receiver.alertmanagers[integration.index]
    }

    private func settings(of id: QueueID) -> AlertmanagerSettings? {
        settings(of: id.integration).flatMap { $0.urls.contains(id.url) ? $0 : nil }
    }

    /// Posts batch after batch until the queue is empty. What is not accepted is dropped: it comes again while it lasts.
    private func post(_ id: QueueID) async {
        while let batch = queues[id]?.nextBatch(), !batch.isEmpty, let settings = settings(of: id), !Task.isCancelled {
            showQueue(id.integration)
            metrics.notifications.with(id.integration.labelValues).add(batch.count)
            let began = ContinuousClock.now
            let outcome = await delivery.deliver(batch, to: id.url, settings, at: present())
            count(id.integration, outcome, took: ContinuousClock.now - began)
            guard outcome != .accepted else { continue }
            let failure = outcome.failure
            metrics.failed.with(id.integration.labelValues + [failure.rawValue]).add(batch.count)
            Log.warn(
                "alerts not accepted by Alertmanager",
                ["receiver": id.integration.receiver, "alerts": "\(batch.count)", "why": "\(outcome)"])
        }
        posting[id] = nil
    }

    private func showQueue(_ integration: IntegrationID) {
        let length = queues.filter { $0.key.integration == integration }.reduce(0) { $0 + $1.value.count }
        metrics.queueLength.with(integration.labelValues).set(Double(length))
        metrics.queueCapacity.with(integration.labelValues).set(
            Double(AlertQueue.capacity * (settings(of: integration)?.urls.count ?? 1)))
    }

    // MARK: Heartbeat

    private func beat(_ heartbeat: Heartbeat) async {
        while !Task.isCancelled, !isStopped {
            let next = ContinuousClock.now + heartbeat.interval
            let receiver = switchboard.configuration.receivers.first { $0.name == heartbeat.receiver }
            await withDiscardingTaskGroup { group in
                for (index, settings) in (receiver?.webhooks ?? []).enumerated() {
                    let integration = IntegrationID(receiver: heartbeat.receiver, kind: "heartbeat", index: index)
                    group.addTask { await self.beat(heartbeat, settings, integration) }
                }
            }
            guard (try? await Task.sleep(until: next)) != nil else { return }
        }
    }

    private func beat(_ heartbeat: Heartbeat, _ settings: WebhookSettings, _ integration: IntegrationID) async {
        let message = heartbeat.message(
            to: settings, integration, externalURL: switchboard.configuration.externalURL, start: startedAt,
            at: present()
        )
        metrics.notifications.with(integration.labelValues).add()
        let outcome = await attempt(message)
        if outcome == .accepted {
            metrics.heartbeatTime.with([heartbeat.receiver]).set(Double(present().milliseconds) / 1000)
        } else {
            gaveUp(integration, outcome.failure, after: "\(outcome)")
        }
    }
}

extension IntegrationID {
    /// For the labels `receiver` and `integration`.
    var labelValues: [String] { [receiver, kind] }
}

extension DeliveryOutcome {
    /// What an attempt that is not repeated counts as.
    var failure: DeliveryFailure {
        switch self {
        case .refused(let status, _) where status / 100 == 4: .clientError
        case .refused(let status, _) where status / 100 == 5: .serverError
        case .timedOut: .contextDeadlineExceeded
        default: .other
        }
    }
}
