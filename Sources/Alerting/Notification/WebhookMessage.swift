import Metrics
import Runtime

/// The body of a webhook: Alertmanager's format, version 4, byte for byte.
public struct WebhookMessage: Sendable {
    public let receiver: String
    /// In the order they are listed.
    public let alerts: [Alert]
    public let groupLabels: Labels
    public let groupKey: String
    /// Where the one who sends is reached.
    public let externalURL: String
    /// Alerts left out because there were more than the receiver takes.
    public let truncatedAlerts: Int
    /// By which an alert's end tells whether it is over.
    public let time: Moment

    /// - Parameter maxAlerts: 0 for all.
    public init(
        receiver: String, alerts: [Alert], groupLabels: Labels, groupKey: String, externalURL: String,
        maxAlerts: Int = 0, time: Moment
    ) {
        self.receiver = receiver
        self.alerts = maxAlerts > 0 ? Array(alerts.prefix(maxAlerts)) : alerts
        truncatedAlerts = alerts.count - self.alerts.count
        self.groupLabels = groupLabels
        self.groupKey = groupKey
        self.externalURL = externalURL
        self.time = time
    }

    /// Ends with a line feed.
    public var body: [UInt8] {
        let isFiring = alerts.contains { !$0.isResolved(at: time) }
        var writer = JSONWriter()
        writer.object {
            $0.key("receiver")
            $0.string(Self.quotingMeta(receiver))
            $0.key("status")
            $0.string(isFiring ? "firing" : "resolved")
            $0.key("alerts")
            $0.array { for alert in alerts { write(alert, to: &$0) } }
            $0.key("groupLabels")
            $0.map(groupLabels.pairs)
            $0.key("commonLabels")
            $0.map(Self.common(alerts.map(\.labels.pairs)))
            $0.key("commonAnnotations")
            $0.map(Self.common(alerts.map(\.annotations)))
            $0.key("externalURL")
            $0.string(externalURL)
            $0.key("version")
            $0.string("4")
            $0.key("groupKey")
            $0.string(groupKey)
            $0.key("truncatedAlerts")
            $0.integer(truncatedAlerts)
        }
        writer.newline()
        return writer.bytes
    }

    private func write(_ alert: Alert, to writer: inout JSONWriter) {
        let isResolved = alert.isResolved(at: time)
        writer.object {
            $0.key("status")
            $0.string(isResolved ? "resolved" : "firing")
            $0.key("labels")
            $0.map(alert.labels.pairs)
            $0.key("annotations")
            $0.map(alert.annotations)
            $0.key("startsAt")
            $0.string(alert.startsAt.description)
            $0.key("endsAt")
            // What fires has no end yet, whatever was promised.
            $0.string(isResolved ? alert.endsAt?.description ?? Moment.unsetText : Moment.unsetText)
            $0.key("generatorURL")
            $0.string(alert.generatorURL)
            $0.key("fingerprint")
            $0.string(alert.fingerprint.description)
        }
    }

    /// Pairs that all have.
    private static func common(_ lists: [[Label]]) -> [Label] {
        guard let first = lists.first else { return [] }
        return first.filter { pair in
            lists.dropFirst().allSatisfy { list in
                list.contains { $0.name == pair.name && $0.value.utf8.elementsEqual(pair.value.utf8) }
            }
        }
    }

    /// The name as a regular expression that matches it: Go's `regexp.QuoteMeta`.
    static func quotingMeta(_ text: String) -> String {
        var quoted = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if #"\.+*?()|[]{}^$"#.unicodeScalars.contains(scalar) { quoted.append("\\") }
            quoted.append(scalar)
        }
        return String(quoted)
    }
}

extension JSONWriter {
    /// A map whose keys are sorted already.
    mutating func map(_ pairs: [Label]) {
        object {
            for pair in pairs {
                $0.key(pair.name)
                $0.string(pair.value)
            }
        }
    }
}
