import Metrics
import Runtime

/// An alert as a client posts it, of which everything but the labels may be missing.
struct PostedAlert {
    private let labels: [Label]
    private let annotations: [Label]
    private let startsAt: Moment?
    private let endsAt: Moment?
    private let generatorURL: String

    init(_ json: JSON) throws(APIError) {
        guard json["labels"] != nil else { throw .unprocessable("labels in body is required") }
        labels = try Self.pairs(json["labels"], "labels")
        annotations = try Self.pairs(json["annotations"], "annotations")
        startsAt = try Self.time(json["startsAt"], "startsAt")
        endsAt = try Self.time(json["endsAt"], "endsAt")
        generatorURL = json["generatorURL"]?.string ?? ""
    }

    /// The alert with what was missing put in; what is invalid is refused.
    func alert(resolveTimeout: Duration, at now: Moment) throws(APIError) -> Alert {
        let labels = Labels(self.labels)
        for label in labels.pairs where !Metric.isValidLabelName(label.name) {
            throw .invalid("invalid label set: invalid name \(GoQuote.quoted(label.name))")
        }
        for annotation in annotations where !Metric.isValidLabelName(annotation.name) {
            throw .invalid("invalid annotations: invalid name \(GoQuote.quoted(annotation.name))")
        }
        guard !labels.isEmpty else { throw .invalid("at least one label pair required") }
        let start = startsAt ?? endsAt ?? now
        if let endsAt, endsAt < start { throw .invalid("start time must be before end time") }
        var alert = Alert(
            labels: labels, annotations: annotations, startsAt: start, endsAt: endsAt ?? now + resolveTimeout,
            generatorURL: generatorURL, updatedAt: now, endIsAssumed: endsAt == nil)
        alert.startIsAssumed = startsAt == nil
        return alert
    }

    private static func pairs(_ json: JSON?, _ name: String) throws(APIError) -> [Label] {
        guard let json, !json.isNull else { return [] }
        guard let members = json.members else { throw .unreadable("parsing alerts body failed: \(name) is no object") }
        var pairs: [Label] = []
        for member in members {
            guard let text = member.value.string else {
                throw .unreadable("parsing alerts body failed: \(name).\(member.key) is no string")
            }
            pairs.append(Label(member.key, text))
        }
        return pairs
    }

    /// Go's way of saying nothing is a moment in the year 1.
    private static func time(_ json: JSON?, _ name: String) throws(APIError) -> Moment? {
        guard let json, !json.isNull, json.string != "" else { return nil }
        guard let text = json.string, let moment = Moment(text) else {
            throw .unprocessable("\(name) in body must be of type date-time")
        }
        return moment.description == Moment.unsetText ? nil : moment
    }
}
