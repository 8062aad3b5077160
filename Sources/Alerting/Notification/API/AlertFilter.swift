import Metrics
import Network
import Runtime

/// Which alerts a request asks for: `active`, `silenced`, `inhibited`, `unprocessed`, `filter` and `receiver`.
struct AlertFilter: Sendable {
    private let matchers: [Matcher]
    private let receiver: Pattern?
    private let showsActive: Bool
    private let showsSilenced: Bool
    private let showsInhibited: Bool

    init(_ request: HTTPRequest) throws(APIError) {
        matchers = try Self.matchers(request)
        showsActive = try Self.flag("active", request)
        showsSilenced = try Self.flag("silenced", request)
        showsInhibited = try Self.flag("inhibited", request)
        guard let text = request.parameter("receiver"), !text.isEmpty else {
            receiver = nil
            return
        }
        do {
            receiver = try Pattern(text)
        } catch {
            throw .invalid("failed to parse receiver param: error parsing regexp: \(error): `^(?:\(text))$`")
        }
    }

    static func matchers(_ request: HTTPRequest) throws(APIError) -> [Matcher] {
        var matchers: [Matcher] = []
        for text in request.parameters("filter") {
            do { matchers.append(try Matcher(parsing: text)) } catch { throw .invalid("\(error)") }
        }
        return matchers
    }

    private static func flag(_ name: String, _ request: HTTPRequest) throws(APIError) -> Bool {
        guard let text = request.parameter(name) else { return true }
        guard let value = Bool(text) else {
            throw .unprocessable("\(name) in query must be of type boolean: \(GoQuote.quoted(text))")
        }
        return value
    }

    func takes(_ status: AlertStatus) -> Bool {
        guard matchers.matches(status.alert.labels) else { return false }
        if let receiver, !status.receivers.contains(where: { receiver.matches($0) }) { return false }
        if !showsSilenced, !status.silencedBy.isEmpty { return false }
        if !showsInhibited, !status.inhibitedBy.isEmpty { return false }
        return showsActive || status.isSuppressed
    }
}

/// An alert, who is told of it and what keeps it quiet.
struct AlertStatus: Sendable {
    let alert: Alert
    let receivers: [String]
    let silencedBy: [String]
    let inhibitedBy: [Fingerprint]

    var isSuppressed: Bool { !silencedBy.isEmpty || !inhibitedBy.isEmpty }

    func write(to writer: inout JSONWriter) {
        writer.object {
            $0.key("annotations")
            $0.map(alert.annotations)
            $0.key("endsAt")
            $0.string(alert.endsAt?.withMilliseconds ?? Moment.unsetText)
            $0.key("fingerprint")
            $0.string(alert.fingerprint.description)
            $0.key("receivers")
            $0.array { for receiver in receivers { $0.receiver(receiver) } }
            $0.key("startsAt")
            $0.string(alert.startsAt.withMilliseconds)
            $0.key("status")
            $0.object {
                $0.key("inhibitedBy")
                $0.array { for fingerprint in inhibitedBy { $0.string(fingerprint.description) } }
                $0.key("silencedBy")
                $0.array { for id in silencedBy { $0.string(id) } }
                $0.key("state")
                $0.string(isSuppressed ? "suppressed" : "active")
            }
            $0.key("updatedAt")
            $0.string(alert.updatedAt.withMilliseconds)
            if !alert.generatorURL.isEmpty {
                $0.key("generatorURL")
                $0.string(alert.generatorURL)
            }
            $0.key("labels")
            $0.map(alert.labels.pairs)
        }
    }
}

extension JSONWriter {
    mutating func receiver(_ name: String) {
        object {
            $0.key("name")
            $0.string(name)
        }
    }
}

extension Switchboard {
    /// Every alert that is not over.
    func statuses(at now: Moment) -> [AlertStatus] {
        let sources = InhibitionSources(configuration.inhibitRules, among: alerts.values, at: now)
        return alerts.values.filter { !$0.isResolved(at: now) }.sorted { $0.fingerprint < $1.fingerprint }
            .map { status(of: $0, receivers: receiverNames(for: $0.labels), sources, at: now) }
    }

    /// The groups with the alerts that are not over.
    func groupStatuses(at now: Moment) -> [(labels: Labels, receiver: String, alerts: [AlertStatus])] {
        let sources = InhibitionSources(configuration.inhibitRules, among: alerts.values, at: now)
        return groups.map { id, group in
            let alerts = group.alerts.values.filter { !$0.isResolved(at: now) }.sorted(by: Alert.precedes)
            let statuses = alerts.map { status(of: $0, receivers: receiverNames(for: $0.labels), sources, at: now) }
            return (id.labels, receiverName(of: id.branch), statuses)
        }.sorted {
            $0.labels == $1.labels
                ? $0.receiver.utf8.lexicographicallyPrecedes($1.receiver.utf8) : $0.labels.precedes($1.labels)
        }
    }

    private func status(
        of alert: Alert, receivers: [String], _ sources: InhibitionSources, at now: Moment
    ) -> AlertStatus {
        AlertStatus(
            alert: alert, receivers: receivers, silencedBy: silences.silencing(alert.labels, at: now),
            inhibitedBy: sources.inhibiting(alert))
    }
}
