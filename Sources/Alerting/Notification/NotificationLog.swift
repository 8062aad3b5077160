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

    /// The last message about one group to one integration.
    public struct Entry: Sendable, Equatable {
        public let key: Key
        public let firing: Set<Fingerprint>
        public let resolved: Set<Fingerprint>
        /// Of those firing, the ones whose end was about to be told when this was written down. Only on disk: whoever
        /// reads it back does not know whether the end was heard.
        public var ending: Set<Fingerprint> = []
        public var time: Moment
        /// When the entry is forgotten: after twice the repeat interval.
        public var expiresAt: Moment

        public init(
            key: Key, firing: Set<Fingerprint>, resolved: Set<Fingerprint>, time: Moment, expiresAt: Moment
        ) {
            self.key = key
            self.firing = firing
            self.resolved = resolved
            self.time = time
            self.expiresAt = expiresAt
        }
    }

    /// How long an entry is kept at most.
    public static let retention = Duration.seconds(120 * 3600)

    private var entries: [Key: Entry] = [:]

    public init(_ entries: [Entry] = []) { for entry in entries { record(entry) } }

    public var all: [Entry] { Array(entries.values) }
    public var count: Int { entries.count }

    public subscript(key: Key) -> Entry? { entries[key] }

    /// Takes the place of the entry with the same key, unless that is newer.
    public mutating func record(_ entry: Entry) {
        if let known = entries[entry.key], known.time > entry.time { return }
        entries[entry.key] = entry
    }

    public mutating func removeExpired(at now: Moment) {
        entries = entries.filter { $0.value.expiresAt > now && $0.value.time > now - Self.retention }
    }

    /// Why a message is due.
    public enum Reason: Sendable, Equatable {
        case first, newAlerts, someResolved, allResolved, repeated
    }

    /// What to write down before a message is sent that tells the end of something; nil when it tells none.
    ///
    /// Without it, a process killed between the consumer's acceptance and the record would leave an entry that says the
    /// alert still fires, and its next beginning would count as told.
    public func intent(before entry: Entry) -> Entry? {
        guard var intent = entries[entry.key] else { return nil }
        intent.ending = intent.firing.subtracting(entry.firing)
        return intent.ending.isEmpty ? nil : intent
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
    /// An alert whose end may have been told before a crash is new when it fires again.
    public func reason(
        for key: Key, firing: Set<Fingerprint>, resolved: Set<Fingerprint>, sendsResolved: Bool,
        repeatInterval: Duration, at now: Moment
    ) -> Reason? {
        guard let last = entries[key], last.expiresAt > now else { return firing.isEmpty ? nil : .first }
        guard firing.isSubset(of: last.firing.subtracting(last.ending)) else { return .newAlerts }
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
    /// One line of JSON.
    public var encoded: [UInt8] {
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
            for (name, set) in [("firing", firing), ("resolved", resolved), ("ending", ending)] {
                $0.key(name)
                $0.array { for fingerprint in set.sorted() { $0.string(fingerprint.description) } }
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
            let ending = Self.fingerprints(json["ending"] ?? .array([])),
            let time = json["time"]?.integer, let expires = json["expires"]?.integer
        else { return nil }
        let integration = IntegrationID(receiver: receiver, kind: kind, index: Int(index))
        self.init(
            key: NotificationLog.Key(group: group, integration: integration), firing: firing, resolved: resolved,
            time: Moment(milliseconds: time), expiresAt: Moment(milliseconds: expires))
        self.ending = ending
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
}
