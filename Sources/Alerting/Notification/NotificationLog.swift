import Metrics
import Runtime

/// What each receiver was told last about each group. It decides whether there is news.
public struct NotificationLog: Sendable {
    /// A group and the integration of a receiver.
    public struct Key: Sendable, Hashable {
        public let group: String
        public let integration: IntegrationID

        public init(group: String, integration: IntegrationID) {
            self.group = group
            self.integration = integration
        }
    }

    /// The last message about one group to one integration, and the one that may be on its way.
    public struct Entry: Sendable, Equatable {
        public let key: Key
        public let firing: Set<Fingerprint>
        public let resolved: Set<Fingerprint>
        /// The alerts whose beginning was told and whose end was not, as they were told: with them the end can still be told
        /// when nobody else remembers it. Empty in files of versions that did not write them.
        public internal(set) var begun: [Fingerprint: Alert] = [:]
        /// The alerts of a message that is sent, or was about to be when this was written down: whoever reads it back does
        /// not know whether it was heard. What was over has an end, what fired has none.
        public internal(set) var underWay: [Alert]?
        /// Of the last message; `neverTold` before the first.
        public var time: Moment
        /// When the entry is forgotten: after twice the repeat interval.
        public var expiresAt: Moment

        static let neverTold = Moment(milliseconds: 0)

        public init(
            key: Key, firing: Set<Fingerprint>, resolved: Set<Fingerprint>, time: Moment, expiresAt: Moment
        ) {
            self.key = key
            self.firing = firing
            self.resolved = resolved
            self.time = time
            self.expiresAt = expiresAt
        }

        /// The beginning that was told last of an alert that has begun anew since: its end is missing. A start that was only
        /// made up when the alert arrived says nothing.
        func unendedBeginning(before alert: Alert) -> Alert? {
            guard let told = begun[alert.fingerprint], !alert.startIsAssumed, told.startsAt < alert.startsAt else {
                return nil
            }
            return told
        }

        /// The clock was set by so many milliseconds.
        func moved(by step: Int64) -> Entry {
            var entry = self
            if time != Entry.neverTold { entry.time = time.moved(by: step) }
            entry.expiresAt = expiresAt.moved(by: step)
            entry.begun = begun.mapValues { $0.moved(by: step) }
            entry.underWay = underWay?.map { $0.moved(by: step) }
            return entry
        }

        /// As it would be had the clock never been ahead of `now`.
        func noLater(than now: Moment) -> Entry {
            time > now ? moved(by: now.milliseconds - time.milliseconds) : self
        }

        /// As if these alerts had not been told.
        fileprivate func forgetting(_ alerts: Set<Fingerprint>) -> Entry {
            var entry = Entry(
                key: key, firing: firing.subtracting(alerts), resolved: resolved, time: time, expiresAt: expiresAt)
            entry.begun = begun.filter { !alerts.contains($0.key) }
            entry.underWay = underWay
            return entry
        }
    }

    /// How long an entry is kept at most.
    public static let retention = Duration.seconds(120 * 3600)

    private var entries: [Key: Entry] = [:]

    /// Keys whose entries are another process's, and whose alerts have not all been seen going on since. Only there can
    /// something be in arrears; what this process tells is deduplicated as in Alertmanager, by labels alone.
    private var recalled: Set<Key> = []

    /// - Parameter entries: what another process wrote down, in that order.
    public init(_ entries: [Entry] = []) {
        for entry in entries { record(entry) }
        self.entries = self.entries.filter { $0.value.time != Entry.neverTold || $0.value.underWay != nil }
        recalled = Set(self.entries.keys)
    }

    public var all: [Entry] { Array(entries.values) }
    public var count: Int { entries.count }

    public subscript(key: Key) -> Entry? { entries[key] }

    /// Takes the place of the entry with the same key, unless that is newer.
    public mutating func record(_ entry: Entry) {
        if let known = entries[entry.key], known.time > entry.time { return }
        entries[entry.key] = entry
    }

    /// The clock was set by so many milliseconds.
    mutating func move(by step: Int64) { entries = entries.mapValues { $0.moved(by: step) } }

    public mutating func removeExpired(at now: Moment) {
        entries = entries.filter {
            $0.value.expiresAt > now && ($0.value.time > now - Self.retention || $0.value.underWay != nil)
        }
        recalled = recalled.filter { entries[$0] != nil }
    }

    /// Why a message is due.
    public enum Reason: Sendable, Equatable {
        case first, newAlerts, someResolved, allResolved, repeated
        /// Another process left something untold.
        case inArrears
    }

    /// The entry for a message with these alerts.
    ///
    /// What was told before a restart and has not been heard of since stays in mind, for twice the repeat interval.
    func entry(for key: Key, telling alerts: [Alert], repeatInterval: Duration, at now: Moment) -> Entry {
        let firing = alerts.filter { !$0.isResolved(at: now) }
        let expiresAt = now + repeatInterval * 2
        var entry = Entry(
            key: key, firing: Set(firing.map(\.fingerprint)),
            resolved: Set(alerts.filter { $0.isResolved(at: now) }.map(\.fingerprint)), time: now, expiresAt: expiresAt)
        for alert in firing { entry.begun[alert.fingerprint] = alert }
        guard recalled.contains(key), let last = entries[key] else { return entry }
        for (fingerprint, alert) in last.begun where alert.updatedAt + repeatInterval * 2 > now {
            guard !entry.firing.contains(fingerprint), !entry.resolved.contains(fingerprint) else { continue }
            entry.begun[fingerprint] = alert
        }
        return entry
    }

    // MARK: Messages on their way

    /// Notes that a message is sent for the first time.
    ///
    /// - Parameter entry: to be recorded when it is accepted.
    /// - Returns: what to write down before; nil for a mere reminder, and where the process before this one did it.
    mutating func announce(_ alerts: [Alert], before entry: Entry, at now: Moment) -> Entry? {
        var last =
            entries[entry.key]
            ?? Entry(key: entry.key, firing: [], resolved: [], time: Entry.neverTold, expiresAt: now)
        if last.expiresAt <= now {
            last = Entry(key: entry.key, firing: [], resolved: [], time: last.time, expiresAt: entry.expiresAt)
        } else if last.underWay == alerts || last.firing == entry.firing && last.resolved == entry.resolved {
            return nil
        }
        last.underWay = alerts
        entries[entry.key] = last
        return last
    }

    /// Notes that a message was given up: the next one is made anew. One in arrears is owed as before.
    ///
    /// - Returns: what to write down; nil for nothing.
    mutating func withdraw(_ key: Key) -> Entry? {
        guard !recalled.contains(key), var entry = entries[key], entry.underWay != nil else { return nil }
        entry.underWay = nil
        entries[key] = entry.time == Entry.neverTold ? nil : entry
        return entry
    }

    /// What has to be told first because another process was killed before it could; nil for nothing.
    ///
    /// That is the very message that was on its way, which the consumer may have heard and then knows by its key. Else, of
    /// alerts that ended and began anew while nobody could tell of it, the end, in a message in which they have not begun
    /// again: what is new comes in the next. It may have to be asked several times.
    ///
    /// - Parameters:
    ///   - alerts: of the group, in the order in which they are told.
    ///   - ends: earlier beginnings of some of them, with their ends.
    ///   - mayHear: whether the consumer is to hear of an alert.
    mutating func arrears(
        for key: Key, among alerts: [Alert], knowing ends: [Fingerprint: Alert], sendsResolved: Bool, at now: Moment,
        mayHear: (Alert) -> Bool
    ) -> [Alert]? {
        guard recalled.contains(key), let last = entries[key], last.expiresAt > now else { return nil }
        let underWay = (last.underWay ?? []).filter(mayHear)
        guard underWay.isEmpty else { return underWay }
        let begunAnew = Set(alerts.filter { last.unendedBeginning(before: $0) != nil }.map(\.fingerprint))
        guard !begunAnew.isEmpty else {
            let present = Set(alerts.map(\.fingerprint))
            if last.underWay == nil, last.begun.keys.allSatisfy(present.contains) { recalled.remove(key) }
            return nil
        }
        guard sendsResolved else {
            entries[key] = last.forgetting(begunAnew)
            return nil
        }
        return alerts.map { alert in
            guard var ended = last.unendedBeginning(before: alert) else { return alert }
            let known = ends[alert.fingerprint].flatMap { $0.startsAt == ended.startsAt ? $0.endsAt : nil }
            ended.endsAt = min(known ?? alert.startsAt, now)
            return ended
        }
    }

    /// What tells a message from every other about the same group: which alerts it says have begun and ended, and after
    /// which message it comes. 32 hexadecimal digits.
    ///
    /// A process killed between the consumer's acceptance and the record tells the same again, which no order of the two
    /// could avoid. It does so with the same key, so that a consumer who remembers keys hears it once.
    func idempotencyKey(for key: Key, telling alerts: [Alert], at now: Moment) -> String {
        var lines = [key.group, key.integration.description, "\(entries[key]?.time.milliseconds ?? 0)"]
        for alert in alerts {
            lines.append(
                "\(alert.fingerprint) \(alert.startsAt.milliseconds) \(alert.isResolved(at: now) ? "ended" : "fires")")
        }
        let digest = HMAC.sha256(key: Array("outrigger".utf8), Array(lines.joined(separator: "\n").utf8))
        return String(digest.hexadecimal.prefix(32))
    }

    /// Whether an integration must be told about a group's alerts, as Alertmanager's deduplication decides it; nil for no.
    public func reason(
        for key: Key, firing: Set<Fingerprint>, resolved: Set<Fingerprint>, sendsResolved: Bool,
        repeatInterval: Duration, at now: Moment
    ) -> Reason? {
        guard let last = entries[key], last.expiresAt > now else { return firing.isEmpty ? nil : .first }
        guard firing.isSubset(of: last.firing) else { return .newAlerts }
        // Told whether resolved alerts are sent or not, so that the log forgets what fired.
        if firing.isEmpty { return last.firing.isEmpty ? nil : .allResolved }
        if sendsResolved, !resolved.isSubset(of: last.resolved) { return .someResolved }
        return last.time < now - repeatInterval ? .repeated : nil
    }
}

/// One way to reach a receiver: its name, the kind and the place in the receiver's list.
public struct IntegrationID: Sendable, Hashable, CustomStringConvertible {
    public let receiver: String
    /// `webhook`.
    public let kind: String
    public let index: Int

    public init(receiver: String, kind: String, index: Int) {
        self.receiver = receiver
        self.kind = kind
        self.index = index
    }

    public var description: String { "\(receiver)/\(kind)[\(index)]" }
}

// MARK: On disk

extension NotificationLog.Entry {
    /// Longest text in bytes with the alerts themselves; a longer one says only which they are. A group of some ten
    /// thousand alerts reaches it.
    static let detailLimit = 8 << 20

    /// One line of JSON.
    public var encoded: [UInt8] {
        let whole = encoded(withAlerts: true)
        return whole.count <= Self.detailLimit ? whole : encoded(withAlerts: false)
    }

    private func encoded(withAlerts: Bool) -> [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.key("group")
            $0.string(key.group)
            $0.key("receiver")
            $0.string(key.integration.receiver)
            $0.key("kind")
            $0.string(key.integration.kind)
            $0.key("index")
            $0.integer(key.integration.index)
            for (name, set) in [("firing", firing), ("resolved", resolved)] {
                $0.key(name)
                $0.array { for fingerprint in set.sorted() { $0.string(fingerprint.description) } }
            }
            if withAlerts {
                $0.key("begun")
                $0.array { for (_, alert) in begun.sorted(by: { $0.key < $1.key }) { alert.write(to: &$0) } }
                if let underWay {
                    $0.key("underWay")
                    $0.array { for alert in underWay { alert.write(to: &$0) } }
                }
            }
            $0.key("time")
            $0.integer(time.milliseconds)
            $0.key("expires")
            $0.integer(expiresAt.milliseconds)
        }
        return writer.bytes
    }

    /// Nil for what `encoded` did not write.
    public init?(encoded: [UInt8]) {
        guard let json = try? JSON.parse(encoded), let group = json["group"]?.string,
            let receiver = json["receiver"]?.string, let kind = json["kind"]?.string,
            let index = json["index"]?.integer,
            let firing = Self.fingerprints(json["firing"]), let resolved = Self.fingerprints(json["resolved"]),
            let begun = Self.alerts(json["begun"] ?? .array([])),
            let time = json["time"]?.integer, let expires = json["expires"]?.integer
        else { return nil }
        let integration = IntegrationID(receiver: receiver, kind: kind, index: Int(index))
        self.init(
            key: NotificationLog.Key(group: group, integration: integration), firing: firing, resolved: resolved,
            time: Moment(milliseconds: time), expiresAt: Moment(milliseconds: expires))
        for alert in begun { self.begun[alert.fingerprint] = alert }
        guard let message = json["underWay"] else { return }
        guard let alerts = Self.alerts(message) else { return nil }
        underWay = alerts
    }

    private static func fingerprints(_ json: JSON?) -> Set<Fingerprint>? {
        guard let elements = json?.array else { return nil }
        var set: Set<Fingerprint> = []
        for element in elements {
            guard let text = element.string, let value = UInt64(text, radix: 16) else { return nil }
            set.insert(Fingerprint(value))
        }
        return set
    }

    private static func alerts(_ json: JSON) -> [Alert]? {
        guard let elements = json.array else { return nil }
        var alerts: [Alert] = []
        for element in elements {
            guard let alert = Alert(saved: element) else { return nil }
            alerts.append(alert)
        }
        return alerts
    }
}

extension Alert {
    fileprivate func write(to writer: inout JSONWriter) {
        writer.object {
            $0.key("labels")
            $0.map(labels.pairs)
            $0.key("annotations")
            $0.map(annotations)
            $0.key("url")
            $0.string(generatorURL)
            $0.key("starts")
            $0.integer(startsAt.milliseconds)
            $0.key("startIsAssumed")
            $0.bool(startIsAssumed)
            if let endsAt {
                $0.key("ends")
                $0.integer(endsAt.milliseconds)
            }
            $0.key("endIsAssumed")
            $0.bool(endIsAssumed)
            $0.key("updated")
            $0.integer(updatedAt.milliseconds)
        }
    }

    /// Nil for what `write` did not write.
    fileprivate init?(saved json: JSON) {
        guard let labels = Self.pairs(json["labels"]), let annotations = Self.pairs(json["annotations"]),
            let url = json["url"]?.string, let starts = json["starts"]?.integer,
            let startIsAssumed = json["startIsAssumed"]?.bool, let endIsAssumed = json["endIsAssumed"]?.bool,
            let updated = json["updated"]?.integer
        else { return nil }
        self.init(
            labels: Labels(labels), annotations: annotations, startsAt: Moment(milliseconds: starts),
            endsAt: json["ends"]?.integer.map { Moment(milliseconds: $0) }, generatorURL: url,
            updatedAt: Moment(milliseconds: updated), endIsAssumed: endIsAssumed)
        self.startIsAssumed = startIsAssumed
    }

    private static func pairs(_ json: JSON?) -> [Label]? {
        guard let members = json?.members else { return nil }
        var pairs: [Label] = []
        for member in members {
            guard let value = member.value.string else { return nil }
            pairs.append(Label(member.key, value))
        }
        return pairs
    }
}
