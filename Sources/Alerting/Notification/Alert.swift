import Metrics
import Runtime

/// One alert as Alertmanager knows it: its labels say which it is, its times whether it fires.
public struct Alert: Sendable, Equatable {
    /// Never empty; `alertname` among them.
    public let labels: Labels
    /// Sorted by name; values may be empty.
    public var annotations: [Label]
    public var startsAt: Moment
    /// When it is over: in the past for a resolved alert, in the future for one that fires and will be taken for resolved
    /// unless it is sent again. Nil for one that ends only when somebody says so.
    public var endsAt: Moment?
    public var generatorURL: String
    public var updatedAt: Moment
    /// Whether `endsAt` was made up here because the sender gave none.
    public var endIsAssumed: Bool
    /// Whether `startsAt` was made up here because the sender gave none: the same alert begins anew after every restart.
    public var startIsAssumed = false
    /// FNV-1a, 64 bits, over the labels: how Prometheus, Alertmanager and webhook consumers identify an alert.
    public let fingerprint: Fingerprint

    public init(
        labels: Labels, annotations: [Label] = [], startsAt: Moment, endsAt: Moment? = nil, generatorURL: String = "",
        updatedAt: Moment, endIsAssumed: Bool = false
    ) {
        self.labels = labels
        self.annotations = annotations.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.generatorURL = generatorURL
        self.updatedAt = updatedAt
        self.endIsAssumed = endIsAssumed
        fingerprint = Fingerprint(labels)
    }

    public var name: String { labels["alertname"] ?? "" }

    /// With the labels that tell this Outrigger from others, where the alert has none of that name.
    public func adding(externalLabels: Labels) -> Alert {
        let missing = externalLabels.pairs.filter { labels[$0.name] == nil }
        guard !missing.isEmpty else { return self }
        var alert = Alert(
            labels: labels.adding(missing), annotations: annotations, startsAt: startsAt, endsAt: endsAt,
            generatorURL: generatorURL, updatedAt: updatedAt, endIsAssumed: endIsAssumed)
        alert.startIsAssumed = startIsAssumed
        return alert
    }

    /// The clock was set by so many milliseconds.
    func moved(by step: Int64) -> Alert {
        var alert = self
        alert.startsAt = startsAt.moved(by: step)
        alert.endsAt = endsAt?.moved(by: step)
        alert.updatedAt = updatedAt.moved(by: step)
        return alert
    }

    public func isResolved(at now: Moment) -> Bool {
        guard let endsAt else { return false }
        return endsAt <= now
    }

    /// This alert and an earlier word about the same one. Where their times overlap they are one story: it began with the
    /// earlier start, and a promised end is not withdrawn by a shorter one.
    func merged(withKnown known: Alert, at now: Moment) -> Alert {
        guard overlaps(known) else { return self }
        let (older, younger) = updatedAt < known.updatedAt ? (self, known) : (known, self)
        var merged = younger
        if older.startsAt < younger.startsAt {
            merged.startsAt = older.startsAt
            merged.startIsAssumed = older.startIsAssumed
        }
        guard let oldEnd = older.endsAt, let newEnd = younger.endsAt, oldEnd > newEnd else { return merged }
        if younger.isResolved(at: now) ? older.isResolved(at: now) : !older.endIsAssumed { merged.endsAt = oldEnd }
        return merged
    }

    private func overlaps(_ known: Alert) -> Bool {
        let endsWithin = Self.isAfter(endsAt, known.startsAt) && Self.isBefore(endsAt, known.endsAt)
        let startsWithin = startsAt > known.startsAt && Self.isAfter(known.endsAt, startsAt)
        return endsWithin || startsWithin
    }

    /// An end that is not set is later than everything.
    private static func isAfter(_ end: Moment?, _ moment: Moment) -> Bool { end.map { $0 > moment } ?? true }

    private static func isBefore(_ end: Moment?, _ other: Moment?) -> Bool {
        guard let end else { return false }
        return isAfter(other, end)
    }

    /// The order in which messages list alerts: by `job`, by `instance`, then fewer labels first, then label by label.
    static func precedes(_ left: Alert, _ right: Alert) -> Bool {
        for name in ["job", "instance"] {
            switch (left.labels[name], right.labels[name]) {
            case (nil, nil): continue
            case (nil, _): return false
            case (_, nil): return true
            case (let first?, let second?):
                if first.utf8.elementsEqual(second.utf8) { continue }
                return first.utf8.lexicographicallyPrecedes(second.utf8)
            }
        }
        return left.labels.precedes(right.labels)
    }
}

/// What identifies a set of labels, printed as 16 hexadecimal digits.
public struct Fingerprint: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let value: UInt64

    public init(_ value: UInt64) { self.value = value }

    /// Names and values in the order of the names, each followed by a byte 255, which no UTF-8 contains.
    public init(_ labels: Labels) {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for label in labels.pairs {
            for text in [label.name, label.value] {
                for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
                hash = (hash ^ 255) &* 0x100_0000_01b3
            }
        }
        value = hash
    }

    public static func < (left: Fingerprint, right: Fingerprint) -> Bool { left.value < right.value }

    public var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}

extension Labels {
    /// Alertmanager's order of label sets.
    func precedes(_ other: Labels) -> Bool {
        if pairs.count != other.pairs.count { return pairs.count < other.pairs.count }
        for (mine, theirs) in zip(pairs, other.pairs) {
            // The set that has a name the other lacks at this place is the later one.
            if !mine.name.utf8.elementsEqual(theirs.name.utf8) {
                return !mine.name.utf8.lexicographicallyPrecedes(theirs.name.utf8)
            }
            if !mine.value.utf8.elementsEqual(theirs.value.utf8) {
                return mine.value.utf8.lexicographicallyPrecedes(theirs.value.utf8)
            }
        }
        return false
    }

    /// `{a="b", c="d"}`, as group keys write it.
    var goText: String { "{" + pairs.map { "\($0.name)=\(GoQuote.quoted($0.value))" }.joined(separator: ", ") + "}" }
}
