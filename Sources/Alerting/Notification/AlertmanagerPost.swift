import Metrics
import Runtime

/// The body of `POST /api/v2/alerts`, in the order of fields in which Prometheus writes it.
public enum AlertmanagerPost {
    /// Most alerts in one post.
    public static let batchLimit = 256

    public static func body(_ alerts: some Sequence<Alert>) -> [UInt8] {
        var writer = JSONWriter()
        writer.array { for alert in alerts { write(alert, to: &$0) } }
        return writer.bytes
    }

    private static func write(_ alert: Alert, to writer: inout JSONWriter) {
        writer.object {
            $0.key("annotations")
            $0.map(alert.annotations)
            if let endsAt = alert.endsAt {
                $0.key("endsAt")
                $0.string(endsAt.withMilliseconds)
            }
            $0.key("startsAt")
            $0.string(alert.startsAt.withMilliseconds)
            $0.key("generatorURL")
            $0.string(alert.generatorURL)
            $0.key("labels")
            $0.map(alert.labels.pairs)
        }
    }
}
