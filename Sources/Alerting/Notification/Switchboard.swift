import Metrics
import Runtime

/// Decides who is told what and when: alerts and the time go in, messages come out. It has no clock, socket or file.
///
/// An alert goes to the branches of the routing tree that take it. In each it joins a group; a group is told after its
/// group wait and then every group interval. Inhibited and silenced alerts are left out; then, for each webhook, the
/// notification log decides whether there is news, and the retry policy paces the attempts. Alertmanagers get their
/// alerts at once instead. An empty group stays until its next telling would be due, so that an alert which comes back
/// at once is paced like the others.
public struct Switchboard: Sendable {
    public struct Configuration: Sendable {
        public var route: Route
        public var receivers: [Receiver]
        public var inhibitRules: [InhibitRule]
        public var silences: [Silence] = []
        /// Where Outrigger is reached, for the links in messages.
        public var externalURL: String
        /// For alerts posted without an end.
        public var resolveTimeout = Duration.seconds(300)
        public var limits = Limits()

        public init(route: Route, receivers: [Receiver], inhibitRules: [InhibitRule] = [], externalURL: String = "") {
            self.route = route
            self.receivers = receivers
            self.inhibitRules = inhibitRules
            self.externalURL = externalURL
        }

        /// Tells no one: what a reload without receivers leaves.
        public static let nobody = Configuration(route: Route(receiver: "nobody"), receivers: [])
    }

    public struct Limits: Sendable {
        public var alerts = 50_000
        /// Of one name, so that a flood of one leaves room for the others.
        public var alertsPerName = 10_000
        public var groups = 10_000
        /// Messages to one webhook under way at once; others wait.
        public var requestsPerIntegration = 8

        public init() {}
    }

    /// A message to be sent now.
    public struct Message: Sendable {
        public let id: Int
        public let integration: IntegrationID
        public let settings: WebhookSettings
        public let body: [UInt8]
        /// Of this attempt.
        public let deadline: Moment
        /// 1 for the first.
        public let attempt: Int
        public let reason: NotificationLog.Reason
        /// The same for the same news, also when a crash has made the sender forget that it was accepted; nil where there
        /// is nothing to repeat.
        public var idempotencyKey: String?
        /// To be written down before the message is sent, so that a process that finds it can tell the same again.
        public var intent: NotificationLog.Entry?
    }

    public enum Work: Sendable {
        case send(Message)
        /// Nothing to send, but to be written down.
        case record(NotificationLog.Entry)
        /// A message whose time ran out before it could be tried again.
        case gaveUp(IntegrationID)
    }

    /// Alerts for the Alertmanagers of one receiver.
    public struct Forward: Sendable {
        public let integration: IntegrationID
        public let alerts: [Alert]
    }

    /// What became of alerts that were handed in.
    public struct Reception: Sendable {
        public var forwards: [Forward] = []
        /// Not taken because there were as many as there may be.
        public var droppedAlerts = 0
        /// Not taken because there were as many of that name as there may be.
        public var droppedOfName = 0
        /// Alerts that found no group because there were as many as there may be.
        public var ungroupedAlerts = 0

        public var lost: Int { droppedAlerts + droppedOfName + ungroupedAlerts }
    }

    struct GroupID: Sendable, Hashable {
        let branch: Int
        let labels: Labels
    }

    private struct Delivery: Sendable {
        let group: GroupID
        /// Groups made under an older configuration hear no more.
        let generation: Int
        let settings: WebhookSettings
        let body: [UInt8]
        /// Of the group, those told and those left out because the receiver hears of no ends.
        var alerts: [Alert]
        var entry: NotificationLog.Entry
        let repeatInterval: Duration
        var deadline: Moment
        let reason: NotificationLog.Reason
        let idempotencyKey: String
        var retry: RetryPolicy
        /// When to try; nil while an attempt is under way.
        var dueAt: Moment?

        func moved(by step: Int64) -> Delivery {
            var delivery = self
            delivery.alerts = alerts.map { $0.moved(by: step) }
            delivery.entry = entry.moved(by: step)
            delivery.deadline = deadline.moved(by: step)
            delivery.retry.move(by: step)
            delivery.dueAt = dueAt?.moved(by: step)
            return delivery
        }
    }

    public private(set) var configuration: Configuration
    public private(set) var log: NotificationLog
    public internal(set) var silences: Silences
    private var tree: RouteTree
    private var receivers: [String: Receiver]
    private(set) var alerts: [Fingerprint: Alert] = [:]
    private var alertsOfName: [String: Int] = [:]
    private(set) var groups: [GroupID: AggregationGroup] = [:]
    private var deliveries: [Int: Delivery] = [:]
    private var deliveryCount = 0
    /// Still to be written down: messages that were given up.
    private var withdrawn: [NotificationLog.Entry] = []
    private var generation = 0
    /// Attempts under way.
    private var underWay: [IntegrationID: Int] = [:]
    /// Integrations that asked not to be called before a time.
    private var heldOff: [IntegrationID: Moment] = [:]
    private var nextCleaning = Moment(milliseconds: .min)

    public init(
        _ configuration: Configuration, log: NotificationLog = NotificationLog(), silences: Silences = Silences()
    ) {
        self.configuration = configuration
        self.log = log
        self.silences = silences
        self.silences.configure(configuration.silences)
        tree = RouteTree(configuration.route)
        receivers = Self.named(configuration.receivers)
    }

    // MARK: Alerts

    /// Takes alerts that are new, changed, or only sent again.
    public mutating func receive(_ arriving: [Alert], at now: Moment) -> Reception {
        var reception = Reception()
        var forwards: [IntegrationID: [Alert]] = [:]
        for alert in arriving {
            let known = alerts[alert.fingerprint]
            if known == nil {
                guard alertsOfName[alert.name, default: 0] < configuration.limits.alertsPerName else {
                    reception.droppedOfName += 1
                    continue
                }
                guard alerts.count < configuration.limits.alerts else {
                    reception.droppedAlerts += 1
                    continue
                }
                alertsOfName[alert.name, default: 0] += 1
            }
            let merged = known.map { alert.merged(withKnown: $0, at: now) } ?? alert
            alerts[alert.fingerprint] = merged
            for branch in tree.branches(for: alert.labels) {
                guard let receiver = receivers[tree.branches[branch].route.receiver] else { continue }
                for index in receiver.alertmanagers.indices {
                    let id = IntegrationID(receiver: receiver.name, kind: "alertmanager", index: index)
                    // Two branches may lead to one receiver.
                    if forwards[id]?.last?.fingerprint != alert.fingerprint { forwards[id, default: []].append(alert) }
                }
                if !receiver.webhooks.isEmpty, !join(merged, branch, at: now) { reception.ungroupedAlerts += 1 }
            }
        }
        reception.forwards = forwards.map { Forward(integration: $0.key, alerts: $0.value) }
        return reception
    }

    /// Whether there was a group or room for one.
    private mutating func join(_ alert: Alert, _ branch: Int, at now: Moment) -> Bool {
        let labels = tree.groupLabels(of: alert.labels, in: branch)
        let id = GroupID(branch: branch, labels: labels)
        if groups[id] == nil {
            // A resolved alert nobody was told of is no reason for a group.
            if alert.isResolved(at: now), !wasTold(branch, labels) { return true }
            guard groups.count < configuration.limits.groups else { return false }
            groups[id] = AggregationGroup(
                branch: branch, route: tree.branches[branch].route, labels: labels, key: key(branch, labels), at: now)
        }
        groups[id]?.insert(alert, at: now)
        return true
    }

    private func key(_ branch: Int, _ labels: Labels) -> String { "\(tree.branches[branch].key):\(labels.goText)" }

    private func wasTold(_ branch: Int, _ labels: Labels) -> Bool {
        let receiver = tree.branches[branch].route.receiver
        let group = key(branch, labels)
        return (receivers[receiver]?.webhooks ?? []).indices.contains { index in
            let integration = IntegrationID(receiver: receiver, kind: "webhook", index: index)
            return log[NotificationLog.Key(group: group, integration: integration)] != nil
        }
    }

    // MARK: Telling

    /// When there is something to do next; nil for not before something happens.
    public var nextDue: Moment? {
        var next: Moment?
        func consider(_ moment: Moment) { next = next.map { min($0, moment) } ?? moment }
        let blocked = blockedGroups
        for group in groups.values where !group.isFlushing && !blocked.contains(group.key) { consider(group.nextFlush) }
        for delivery in deliveries.values {
            guard let dueAt = delivery.dueAt else { continue }
            let integration = delivery.entry.key.integration
            consider(delivery.deadline)
            if hasRoom(integration) { consider(max(dueAt, heldOff[integration] ?? dueAt)) }
        }
        return next
    }

    /// Everything that is due. The caller sends each message and tells `finished`, in any order and at any time.
    public mutating func due(at now: Moment) -> [Work] {
        clean(at: now)
        var work: [Work] = []
        var sources: InhibitionSources?
        let blocked = blockedGroups
        for (id, group) in groups where !group.isFlushing && group.nextFlush <= now && !blocked.contains(group.key) {
            guard !group.alerts.isEmpty else {
                groups[id] = nil
                continue
            }
            let known = sources ?? InhibitionSources(configuration.inhibitRules, among: alerts.values, at: now)
            sources = known
            work += flush(id, known, at: now)
        }
        work += startDeliveries(at: now)
        defer { withdrawn = [] }
        return withdrawn.map(Work.record) + work
    }

    /// Groups about which a message is still under way from before a reload: two at once could overtake one another.
    private var blockedGroups: Set<String> {
        Set(deliveries.values.filter { $0.generation != generation }.map(\.entry.key.group))
    }

    private mutating func flush(_ id: GroupID, _ sources: InhibitionSources, at now: Moment) -> [Work] {
        guard let alerts = groups[id]?.beginFlush(at: now), let key = groups[id]?.key else { return [] }
        let silences = silences
        let isAudible = { (alert: Alert) in
            sources.inhibiting(alert).isEmpty && silences.silencing(alert.labels, at: now).isEmpty
        }
        let audible = alerts.filter(isAudible)
        let route = tree.branches[id.branch].route
        var work: [Work] = []
        var begun = 0
        if !audible.isEmpty, let receiver = receivers[route.receiver] {
            for index in receiver.webhooks.indices {
                let integration = IntegrationID(receiver: receiver.name, kind: "webhook", index: index)
                let logKey = NotificationLog.Key(group: key, integration: integration)
                let settings = receiver.webhooks[index]
                switch tell(id, audible, logKey, settings, route, at: now, isAudible: isAudible) {
                case .none: continue
                case .recorded(let entry): work.append(.record(entry))
                case .delivery(let delivery):
                    deliveryCount += 1
                    deliveries[deliveryCount] = delivery
                    begun += 1
                }
            }
        }
        groups[id]?.await(begun, at: now)
        return work
    }

    private enum Telling {
        case none
        case recorded(NotificationLog.Entry)
        case delivery(Delivery)
    }

    private mutating func tell(
        _ id: GroupID, _ alerts: [Alert], _ key: NotificationLog.Key, _ settings: WebhookSettings, _ route: Route,
        at now: Moment, isAudible: (Alert) -> Bool
    ) -> Telling {
        let arrears = log.arrears(
            for: key, among: alerts, knowing: groups[id]?.endedBefore ?? [:], sendsResolved: settings.sendsResolved,
            at: now
        ) { isAudible($0) && (settings.sendsResolved || !$0.isResolved(at: now)) }
        let alerts = arrears ?? alerts
        let entry = log.entry(for: key, telling: alerts, repeatInterval: route.repeatInterval, at: now)
        let news = log.reason(
            for: key, firing: entry.firing, resolved: entry.resolved, sendsResolved: settings.sendsResolved,
            repeatInterval: route.repeatInterval, at: now)
        guard let reason = arrears == nil ? news : .inArrears else { return .none }
        let told = settings.sendsResolved ? alerts : alerts.filter { !$0.isResolved(at: now) }
        guard !told.isEmpty else {
            log.record(entry)
            return .recorded(entry)
        }
        let message = WebhookMessage(
            receiver: route.receiver, alerts: told, groupLabels: id.labels, groupKey: key.group,
            externalURL: configuration.externalURL, maxAlerts: settings.maxAlerts, time: now)
        let deadline = now + max(route.groupInterval, .seconds(10))
        return .delivery(
            Delivery(
                group: id, generation: generation, settings: settings, body: message.body, alerts: alerts,
                entry: entry, repeatInterval: route.repeatInterval, deadline: deadline, reason: reason,
                idempotencyKey: log.idempotencyKey(for: key, telling: told, at: now),
                retry: RetryPolicy(deadline: deadline), dueAt: now))
    }

    private mutating func startDeliveries(at now: Moment) -> [Work] {
        var work: [Work] = []
        for id in deliveries.keys.sorted() {
            guard var delivery = deliveries[id], let dueAt = delivery.dueAt, dueAt <= now else { continue }
            let integration = delivery.entry.key.integration
            guard delivery.deadline > now else {
                end(id, hasFailed: true, at: now)
                work.append(.gaveUp(integration))
                continue
            }
            guard hasRoom(integration), heldOff[integration].map({ $0 <= now }) ?? true else { continue }
            delivery.dueAt = nil
            deliveries[id] = delivery
            let intent =
                delivery.retry.attempts == 0 ? log.announce(delivery.alerts, before: delivery.entry, at: now) : nil
            underWay[integration, default: 0] += 1
            let timeout = delivery.settings.timeout.map { now + $0 } ?? delivery.deadline
            work.append(
                .send(
                    Message(
                        id: id, integration: integration, settings: delivery.settings, body: delivery.body,
                        deadline: min(timeout, delivery.deadline), attempt: delivery.retry.attempts + 1,
                        reason: delivery.reason, idempotencyKey: delivery.idempotencyKey,
                        intent: intent)))
        }
        return work
    }

    private func hasRoom(_ integration: IntegrationID) -> Bool {
        underWay[integration, default: 0] < configuration.limits.requestsPerIntegration
    }

    /// What to write down once a message is accepted, before `finished` is told.
    public func entry(for id: Int, at now: Moment) -> NotificationLog.Entry? {
        guard let delivery = deliveries[id] else { return nil }
        var entry = delivery.entry
        entry.time = now
        entry.expiresAt = now + delivery.repeatInterval * 2
        return entry
    }

    /// An attempt is over.
    ///
    /// - Parameter random: 0 ..< 1, for the retry's jitter.
    public mutating func finished(
        _ id: Int, _ outcome: DeliveryOutcome, at now: Moment, random: Double
    ) -> RetryPolicy.Verdict {
        guard var delivery = deliveries[id], delivery.dueAt == nil else { return .done }
        let integration = delivery.entry.key.integration
        underWay[integration, default: 1] -= 1
        if case .refused(429, let pause?) = outcome {
            heldOff[integration] = now + min(pause, RetryPolicy.maxRetryAfter)
        }
        let verdict = delivery.retry.finished(outcome, at: now, random: random)
        switch verdict {
        case .done:
            if let entry = entry(for: id, at: now) { log.record(entry) }
            end(id, hasFailed: false, at: now)
        case .retry(let next):
            delivery.dueAt = next
            deliveries[id] = delivery
        case .giveUp: end(id, hasFailed: true, at: now)
        }
        return verdict
    }

    private mutating func end(_ id: Int, hasFailed: Bool, at now: Moment) {
        guard let delivery = deliveries.removeValue(forKey: id) else { return }
        if hasFailed { withdraw(delivery) }
        guard delivery.generation == generation else { return }
        groups[delivery.group]?.deliveryEnded(
            hasFailed: hasFailed, isInArrears: delivery.reason == .inArrears, at: now)
    }

    private mutating func withdraw(_ delivery: Delivery) {
        if let entry = log.withdraw(delivery.entry.key) { withdrawn.append(entry) }
    }

    /// Messages that wait or are under way, for each integration.
    public var queueLengths: [IntegrationID: Int] {
        deliveries.values.reduce(into: [:]) { $0[$1.entry.key.integration, default: 0] += 1 }
    }

    // MARK: Looking

    /// Who is told of an alert with these labels, in the order of the routing tree.
    func receiverNames(for labels: Labels) -> [String] { tree.branches(for: labels).map(receiverName) }

    func receiverName(of branch: Int) -> String { tree.branches[branch].route.receiver }

    // MARK: Reloading and cleaning

    /// Begins anew with another configuration and the same alerts, log and silences. Messages under way are finished; what
    /// was told is not told again.
    public mutating func reconfigure(_ fresh: Configuration, at now: Moment) {
        configuration = fresh
        silences.configure(fresh.silences)
        tree = RouteTree(fresh.route)
        receivers = Self.named(fresh.receivers)
        generation += 1
        groups = [:]
        for delivery in deliveries.values where delivery.dueAt != nil { withdraw(delivery) }
        deliveries = deliveries.filter { $0.value.dueAt == nil }
        let known = alerts.values.sorted { $0.fingerprint < $1.fingerprint }
        alerts = [:]
        alertsOfName = [:]
        _ = receive(known, at: now)
    }

    /// The clock was set by so many milliseconds: what waits goes on waiting for as long as it had left. Silences end at
    /// the times of day that people chose.
    mutating func move(by step: Int64) {
        alerts = alerts.mapValues { $0.moved(by: step) }
        for id in groups.keys { groups[id]?.move(by: step) }
        deliveries = deliveries.mapValues { $0.moved(by: step) }
        heldOff = heldOff.mapValues { $0.moved(by: step) }
        withdrawn = withdrawn.map { $0.moved(by: step) }
        if nextCleaning != Moment(milliseconds: .min) { nextCleaning = nextCleaning.moved(by: step) }
        log.move(by: step)
    }

    /// Once a minute: forgets alerts that were over a quarter of an hour ago, and what the log and silences need no more.
    private mutating func clean(at now: Moment) {
        guard now >= nextCleaning else { return }
        nextCleaning = now + .seconds(60)
        alerts = alerts.filter { !$0.value.isResolved(at: now - .seconds(900)) }
        alertsOfName = alerts.values.reduce(into: [:]) { $0[$1.name, default: 0] += 1 }
        heldOff = heldOff.filter { $0.value > now }
        underWay = underWay.filter { $0.value > 0 }
        log.removeExpired(at: now)
    }

    private static func named(_ receivers: [Receiver]) -> [String: Receiver] {
        Dictionary(receivers.map { ($0.name, $0) }) { first, _ in first }
    }
}
