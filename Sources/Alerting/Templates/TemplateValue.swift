import Metrics
import Runtime

/// A sample that a template's `query` returned.
public struct TemplateSample: Sendable, Equatable {
    public let labels: Labels
    public let value: Double

    public init(labels: Labels, value: Double) {
        self.labels = labels
        self.value = value
    }
}

/// What templates compute with: the Go values that Prometheus hands to them.
indirect enum TemplateValue {
    /// Go's nil and its absent value alike.
    case nothing
    case bool(Bool)
    case int(Int)
    case byte(UInt8)
    case float(Double)
    case string(String)
    /// A string that `safeHtml` vouches for; in text it is a string like any other.
    case html(String)
    case map(Labels)
    /// What `args` makes: `arg0`, `arg1`, …
    case arguments([TemplateValue])
    case sample(TemplateSample)
    case vector([TemplateSample])
    case time(GoTime)
    /// Nanoseconds.
    case duration(Int64)
    /// The dot of an alert's template.
    case alert(TemplateData)

    /// The name of the Go type that stands in Prometheus' place.
    var type: String {
        switch self {
        case .nothing: "<nil>"
        case .bool: "bool"
        case .int: "int"
        case .byte: "uint8"
        case .float: "float64"
        case .string: "string"
        case .html: "template.HTML"
        case .map: "map[string]string"
        case .arguments: "map[string]interface {}"
        case .sample: "*template.sample"
        case .vector: "template.queryResult"
        case .time: "*time.Time"
        case .duration: "*time.Duration"
        case .alert:
            "struct { Labels map[string]string; ExternalLabels map[string]string; "
                + "ExternalURL string; Value interface {} }"
        }
    }

    /// Whether `if` takes the value for true: not zero and not empty.
    var isTrue: Bool {
        switch self {
        case .nothing: false
        case .bool(let value): value
        case .int(let value): value != 0
        case .byte(let value): value != 0
        case .float(let value): value != 0
        case .string(let text), .html(let text): !text.isEmpty
        case .map(let labels): !labels.isEmpty
        case .arguments(let values): !values.isEmpty
        case .vector(let samples): !samples.isEmpty
        case .sample, .time, .duration, .alert: true
        }
    }

    var isString: Bool {
        switch self {
        case .string, .html: true
        default: false
        }
    }

    /// `.name` of this value; nil where the type has no such field.
    func field(_ name: String) -> TemplateValue? {
        switch self {
        case .nothing: .nothing
        case .map(let labels): .string(labels[name] ?? "")
        case .arguments(let values): Self.argument(name, of: values)
        case .sample(let sample):
            switch name {
            case "Labels": .map(sample.labels)
            case "Value": .float(sample.value)
            default: nil
            }
        case .alert(let data):
            switch name {
            case "Labels": .map(data.labels)
            case "ExternalLabels": .map(data.externalLabels)
            case "ExternalURL": .string(data.externalURL ?? "")
            case "Value": .float(data.value)
            default: nil
            }
        case .time(let time): time.method(name)
        case .duration(let nanoseconds): GoDuration.method(name, nanoseconds: nanoseconds)
        default: nil
        }
    }

    /// The names of `arguments` in the order of Go's maps: by bytes, so `arg10` before `arg2`.
    static func argumentNames(_ values: [TemplateValue]) -> [String] {
        values.indices.map { "arg\($0)" }.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    static func argument(_ name: String, of values: [TemplateValue]) -> TemplateValue {
        guard name.hasPrefix("arg"), let index = Int(name.dropFirst(3)), values.indices.contains(index),
            name == "arg\(index)"
        else { return .nothing }
        return values[index]
    }
}
