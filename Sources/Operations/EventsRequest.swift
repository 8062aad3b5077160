import Metrics
import Network
import Runtime

/// `POST /v1/events`: operations that ended, as a JSON array.
///
/// An element is `{"name": …, "duration_seconds" | "duration_ms": …, "status": …, "tags": {…}, "count": …}`; only the name
/// must be there. A request is used whole or not at all, so that a client that is refused may mend it and send it again.
public enum EventsRequest {
    /// Of the body, in bytes.
    public static let bodyLimit = 1 << 20
    public static let eventLimit = 10_000
    static let nameLimitBytes = 512
    static let tagLimit = 32
    static let tagLimitBytes = 512
    static let countLimit: Int64 = 1_000_000

    struct Event: Equatable {
        var name: String
        var seconds: Double?
        var status = OperationRecorder.okStatus
        var tags: [Label] = []
        var count = 1
    }

    /// Why a request is refused, and where the fault lies.
    struct Refusal: Error, Equatable {
        var status = 400
        var problem: String
        /// Of the element in the array, from 0.
        var index: Int?
        var field: String?
    }

    /// Records every event of a body. 200 with `{"accepted": n}`, or 400 or 413 with the element and field at fault.
    public static func answer(_ body: [UInt8], _ recorder: OperationRecorder) -> HTTPResponse {
        do {
            let events = try parse(body)
            for event in events {
                recorder.record(
                    operation: event.name, status: event.status, seconds: event.seconds, tags: event.tags,
                    count: event.count)
            }
            recorder.posted.add(events.count)
            var writer = JSONWriter()
            writer.object {
                $0.key("accepted")
                $0.integer(events.count)
            }
            return .json(writer.bytes)
        } catch {
            recorder.refused.add()
            return .json(explain(error), status: error.status)
        }
    }

    private static func explain(_ refusal: Refusal) -> [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.key("error")
            $0.string(refusal.problem)
            if let index = refusal.index {
                $0.key("index")
                $0.integer(index)
            }
            if let field = refusal.field {
                $0.key("field")
                $0.string(field)
            }
        }
        return writer.bytes
    }

    // MARK: Reading

    static func parse(_ body: [UInt8]) throws(Refusal) -> [Event] {
        guard body.count <= bodyLimit else {
            throw Refusal(status: 413, problem: "\(body.count) bytes, more than \(bodyLimit)")
        }
        let json: JSON
        do {
            json = try JSON.parse(body, limits: JSON.Limits(bytes: bodyLimit, depth: 8, values: eventLimit * 50))
        } catch { throw Refusal(problem: "\(error)") }
        guard let elements = json.array else { throw Refusal(problem: "the body must be a JSON array of events") }
        guard elements.count <= eventLimit else {
            throw Refusal(status: 413, problem: "\(elements.count) events, more than \(eventLimit)")
        }
        var events: [Event] = []
        events.reserveCapacity(elements.count)
        for (index, element) in elements.enumerated() {
            do { events.append(try event(element)) } catch {
                var refusal = error
                refusal.index = index
                throw refusal
            }
        }
        return events
    }

    private static func event(_ json: JSON) throws(Refusal) -> Event {
        guard let members = json.members else { throw Refusal(problem: "an event must be an object") }
        var event = Event(name: "")
        for member in members {
            do { try read(member, into: &event) } catch {
                var refusal = error
                refusal.field = member.key
                throw refusal
            }
        }
        guard !event.name.isEmpty else { throw Refusal(problem: "the name is missing", field: "name") }
        guard members.filter({ $0.key.hasPrefix("duration_") }).count <= 1 else {
            throw Refusal(problem: "has two durations", field: "duration_seconds")
        }
        return event
    }

    private static func read(_ member: JSON.Member, into event: inout Event) throws(Refusal) {
        switch member.key {
        case "name": event.name = try text(member.value)
        case "duration_seconds": event.seconds = try duration(member.value)
        case "duration_ms": event.seconds = try duration(member.value) / 1000
        case "status": event.status = try status(member.value)
        case "tags": event.tags = try tags(member.value)
        case "count":
            guard let count = member.value.integer, 1...countLimit ~= count else {
                throw Refusal(problem: "must be a whole number from 1 to \(countLimit)")
            }
            event.count = Int(count)
        default: throw Refusal(problem: "unknown field")
        }
    }

    private static func text(_ json: JSON) throws(Refusal) -> String {
        guard let text = json.string, !text.isEmpty else { throw Refusal(problem: "must be text") }
        guard text.utf8.count <= nameLimitBytes else {
            throw Refusal(problem: "is longer than \(nameLimitBytes) bytes")
        }
        return text
    }

    private static func duration(_ json: JSON) throws(Refusal) -> Double {
        guard let duration = json.double, duration >= 0 else { throw Refusal(problem: "must be a number from 0") }
        return duration
    }

    /// A word, or an HTTP status as a number.
    private static func status(_ json: JSON) throws(Refusal) -> String {
        if let code = json.integer { return String(code) }
        return try text(json)
    }

    private static func tags(_ json: JSON) throws(Refusal) -> [Label] {
        guard let members = json.members else { throw Refusal(problem: "must be an object") }
        guard members.count <= tagLimit else { throw Refusal(problem: "has more than \(tagLimit) tags") }
        var labels: [Label] = []
        for member in members {
            guard let name = MetricName.label(member.key), member.key.utf8.count <= tagLimitBytes else {
                throw Refusal(problem: "\"\(member.key)\" cannot be a tag's name")
            }
            guard let value = scalar(member.value), value.utf8.count <= tagLimitBytes else {
                throw Refusal(
                    problem: "\(member.key) must be text, a number, true or false, of \(tagLimitBytes) bytes at most")
            }
            labels.append(Label(name, value))
        }
        return labels
    }

    private static func scalar(_ json: JSON) -> String? {
        switch json {
        case .string(let text): text
        case .integer(let value): String(value)
        case .number(let value): GoFormat.text(value)
        case .bool(let value): value ? "true" : "false"
        case .null, .array, .object: nil
        }
    }
}
