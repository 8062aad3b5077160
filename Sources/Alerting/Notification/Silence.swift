import Metrics
import Runtime

/// A time during which alerts that match are kept quiet.
public struct Silence: Sendable, Equatable {
    public enum State: String, Sendable {
        case expired, active, pending
    }

    /// A UUID.
    public var id: String
    /// All must match. At least one, and not only such as match an empty text.
    public var matchers: [Matcher]
    public var startsAt: Moment
    public var endsAt: Moment
    public var updatedAt: Moment
    public var createdBy: String
    public var comment: String

    public init(
        id: String = "", matchers: [Matcher], startsAt: Moment, endsAt: Moment, updatedAt: Moment, createdBy: String,
        comment: String
    ) {
        self.id = id
        self.matchers = matchers
        self.startsAt = startsAt
        self.endsAt = endsAt
        self.updatedAt = updatedAt
        self.createdBy = createdBy
        self.comment = comment
    }

    public func state(at now: Moment) -> State {
        if now < startsAt { return .pending }
        return now < endsAt ? .active : .expired
    }

    /// Whether it can be meant so.
    func check() throws(SilenceError) {
        guard !matchers.isEmpty else { throw .noMatchers }
        guard !matchers.allSatisfy({ $0.matches("") }) else { throw .matchesEverything }
        guard startsAt < endsAt else { throw .endsBeforeItStarts }
    }

    func silences(_ labels: Labels, at now: Moment) -> Bool { state(at: now) == .active && matchers.matches(labels) }
}

/// Why a silence was not taken.
public enum SilenceError: Error, Equatable, CustomStringConvertible {
    case noMatchers
    case matchesEverything
    case endsBeforeItStarts
    case endsInThePast
    case notFound(String)
    /// It stands in the configuration and can be changed only there.
    case isConfigured(String)
    case tooMany(limit: Int)
    /// It is in force, and the disk did not take it.
    case notKept

    public var description: String {
        switch self {
        case .noMatchers: "silence invalid: at least one matcher required"
        case .matchesEverything: "silence invalid: at least one matcher must not match the empty string"
        case .endsBeforeItStarts: "start time must be before end time"
        case .endsInThePast: "end time can't be in the past"
        case .notFound(let id): "silence not found: \(id)"
        case .isConfigured(let id): "silence \(id) stands in the configuration: change it there and reload"
        case .tooMany(let limit): "more than \(limit) silences"
        case .notKept: "the change is in force, but could not be written to disk: a restart forgets it"
        }
    }
}

/// Every silence by its id: those that were posted, which are kept on disk and for some time after they expired, and those
/// of the configuration, which come and go with it.
public struct Silences: Sendable {
    /// How long an expired silence can still be looked at.
    public static let retention = Duration.seconds(120 * 3600)
    public static let limit = 10_000

    private var silences: [String: Silence] = [:]
    private var configured: [String: Silence] = [:]

    public init(_ silences: [Silence] = []) { for silence in silences { self.silences[silence.id] = silence } }

    public var count: Int { silences.count }

    public subscript(id: String) -> Silence? { silences[id] ?? configured[id] }

    private var all: [Silence] { Array(silences.values) + configured.values }

    /// Takes the place of all that were configured before.
    mutating func configure(_ fresh: [Silence]) {
        configured = Dictionary(fresh.map { ($0.id, $0) }) { first, _ in first }
    }

    /// Active ones first, then pending, then expired ones; the next to change before the others.
    public func sorted(at now: Moment) -> [Silence] {
        let order: [Silence.State: Int] = [.active: 0, .pending: 1, .expired: 2]
        return all.sorted { left, right in
            let (first, second) = (left.state(at: now), right.state(at: now))
            guard first == second else { return (order[first] ?? 0) < (order[second] ?? 0) }
            let keys: (Moment, Moment) =
                switch first {
                case .active: (left.endsAt, right.endsAt)
                case .pending: (left.startsAt, right.startsAt)
                case .expired: (right.endsAt, left.endsAt)
                }
            return keys.0 == keys.1 ? left.id < right.id : keys.0 < keys.1
        }
    }

    /// The ids of the silences that keep an alert quiet, sorted.
    public func silencing(_ labels: Labels, at now: Moment) -> [String] {
        all.filter { $0.silences(labels, at: now) }.map(\.id).sorted()
    }

    /// Takes a silence. Without an id it is new; with one it changes the silence of that id where that can be done in
    /// place, and otherwise ends it and makes a new one.
    ///
    /// - Parameter newID: for a silence that is made.
    /// - Returns: the id it goes by.
    public mutating func set(_ silence: Silence, newID: String, at now: Moment) throws(SilenceError) -> String {
        guard configured[silence.id] == nil else { throw .isConfigured(silence.id) }
        var silence = silence
        silence.updatedAt = now
        try silence.check()
        guard silence.endsAt >= now else { throw .endsInThePast }
        if !silence.id.isEmpty {
            guard let known = silences[silence.id] else { throw .notFound(silence.id) }
            if Self.canChange(known, to: silence, at: now) {
                silences[silence.id] = silence
                return silence.id
            }
            try expire(known.id, at: now)
        }
        guard silences.count < Self.limit else { throw .tooMany(limit: Self.limit) }
        silence.id = newID
        silence.startsAt = max(silence.startsAt, now)
        silences[newID] = silence
        return newID
    }

    /// Ends a silence now; one that is over stays as it is.
    public mutating func expire(_ id: String, at now: Moment) throws(SilenceError) {
        guard configured[id] == nil else { throw .isConfigured(id) }
        guard var silence = silences[id] else { throw .notFound(id) }
        switch silence.state(at: now) {
        case .expired: return
        case .active: silence.endsAt = now
        case .pending: (silence.startsAt, silence.endsAt) = (now, now)
        }
        silence.updatedAt = now
        silences[id] = silence
    }

    /// Forgets those that expired long ago. Whether there were any.
    public mutating func removeOld(at now: Moment) -> Bool {
        let before = silences.count
        silences = silences.filter { $0.value.endsAt > now - Self.retention }
        return silences.count < before
    }

    /// What has been kept quiet so far must stay true: only the end of an active silence and the times of a pending one
    /// may change.
    private static func canChange(_ known: Silence, to silence: Silence, at now: Moment) -> Bool {
        guard known.matchers == silence.matchers else { return false }
        return switch known.state(at: now) {
        case .active: silence.startsAt == known.startsAt && silence.endsAt >= now
        case .pending: silence.startsAt >= now
        case .expired: false
        }
    }
}

// MARK: On disk

extension Silences {
    public var encoded: [UInt8] {
        var writer = JSONWriter()
        writer.array { for silence in silences.values.sorted(by: { $0.id < $1.id }) { silence.write(to: &$0) } }
        return writer.bytes
    }

    /// Nil for what `encoded` did not write.
    public init?(encoded: [UInt8]) {
        guard let elements = (try? JSON.parse(encoded))?.array else { return nil }
        var silences: [Silence] = []
        for element in elements {
            guard let id = element["id"]?.string, let updated = element["updatedAt"]?.string.flatMap({ Moment($0) }),
                var silence = try? Silence(json: element)
            else { return nil }
            silence.id = id
            silence.updatedAt = updated
            silences.append(silence)
        }
        self.init(silences)
    }
}

extension Silence {
    /// As Alertmanager's API shows it, with the state in front of the rest where a moment is given.
    func write(to writer: inout JSONWriter, at now: Moment? = nil) {
        writer.object {
            $0.key("id")
            $0.string(id)
            if let now {
                $0.key("status")
                $0.object {
                    $0.key("state")
                    $0.string(state(at: now).rawValue)
                }
            }
            $0.key("updatedAt")
            $0.string(updatedAt.withMilliseconds)
            $0.key("comment")
            $0.string(comment)
            $0.key("createdBy")
            $0.string(createdBy)
            $0.key("endsAt")
            $0.string(endsAt.withMilliseconds)
            $0.key("matchers")
            $0.array { for matcher in matchers { matcher.write(to: &$0) } }
            $0.key("startsAt")
            $0.string(startsAt.withMilliseconds)
        }
    }

    /// Reads what a client posts. Members it does not know are passed over.
    init(json: JSON) throws(APIError) {
        func text(_ name: String) throws(APIError) -> String {
            guard let value = json[name]?.string else { throw .unprocessable("\(name) in body is required") }
            return value
        }
        func time(_ name: String) throws(APIError) -> Moment {
            let value = try text(name)
            guard let moment = Moment(value) else {
                throw .unprocessable("\(name) in body must be of type date-time: \(GoQuote.quoted(value))")
            }
            return moment
        }
        guard let list = json["matchers"]?.array else { throw .unprocessable("matchers in body is required") }
        var matchers: [Matcher] = []
        for element in list { matchers.append(try Matcher(json: element)) }
        self.init(
            id: json["id"]?.string ?? "", matchers: matchers, startsAt: try time("startsAt"),
            endsAt: try time("endsAt"), updatedAt: Moment(milliseconds: 0), createdBy: try text("createdBy"),
            comment: try text("comment"))
    }
}

extension Matcher {
    func write(to writer: inout JSONWriter) {
        writer.object {
            $0.key("isEqual")
            $0.bool(operation.isEqual)
            $0.key("isRegex")
            $0.bool(operation.isRegex)
            $0.key("name")
            $0.string(name)
            $0.key("value")
            $0.string(value)
        }
    }

    /// `isEqual` may be absent and is true then.
    init(json: JSON) throws(APIError) {
        guard let name = json["name"]?.string, let value = json["value"]?.string, let isRegex = json["isRegex"]?.bool
        else { throw .unprocessable("a matcher needs name, value and isRegex") }
        let operation: Operator =
            switch (json["isEqual"]?.bool ?? true, isRegex) {
            case (true, false): .equal
            case (true, true): .matches
            case (false, false): .notEqual
            case (false, true): .matchesNot
            }
        guard !name.isEmpty else { throw .invalid("invalid label name \"\"") }
        do {
            try self.init(name, operation, value)
        } catch {
            throw .invalid("\(error)")
        }
    }
}
