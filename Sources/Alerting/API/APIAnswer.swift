import Metrics
import Network
import PromQL
import Runtime

/// An answer of the API: its data as JSON, and what there is to say about it.
struct APIAnswer {
    var warnings: [String] = []
    var remarks: [String] = []
    private var data = JSONWriter()

    /// - Parameter write: writes exactly one value.
    init(_ write: (inout JSONWriter) throws(QueryRefusal) -> Void) throws(QueryRefusal) {
        try write(&data)
    }

    var response: HTTPResponse {
        var writer = JSONWriter()
        writer.object { writer in
            writer.member("status", "success")
            writer.key("data")
            writer.raw(data.bytes)
            for (key, texts) in [("warnings", warnings), ("infos", remarks)] where !texts.isEmpty {
                writer.key(key)
                writer.array { writer in for text in texts { writer.string(text) } }
            }
        }
        return .json(writer.bytes)
    }
}

extension JSONWriter {
    /// `{"name":"value",…}`, sorted by name.
    mutating func labels(_ labels: Labels) {
        object { writer in
            for label in labels.pairs { writer.member(label.name, label.value) }
        }
    }

    /// `[1435781451.781,"1"]`: seconds with three digits if any, and the number as a text.
    mutating func point(_ time: Int64, _ value: Double) {
        array { writer in
            writer.timestamp(time)
            writer.string(sampleText(value))
        }
    }

    /// A number or text that is no series: Prometheus has other digits for these, `[1435781451.78,"1"]`.
    mutating func lonePoint(_ time: Int64, _ text: String) {
        array { writer in
            writer.number(Double(time) / 1000)
            writer.string(text)
        }
    }

    /// Seconds since the epoch from milliseconds.
    mutating func timestamp(_ milliseconds: Int64) {
        let (whole, rest) = milliseconds.magnitude.quotientAndRemainder(dividingBy: 1000)
        let fraction = rest == 0 ? "" : "." + String(rest + 1000).dropFirst()
        raw("\(milliseconds < 0 ? "-" : "")\(whole)\(fraction)")
    }
}

/// A sample's value as Prometheus' JSON has it: no exponent between 1e-6 and 1e21.
func sampleText(_ value: Double) -> String {
    let magnitude = value.magnitude
    let needsExponent = magnitude != 0 && (magnitude < 1e-6 || magnitude >= 1e21)
    return GoFormat.text(value, needsExponent ? .scientific : .fixed)
}
