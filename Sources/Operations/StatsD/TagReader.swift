import Metrics

/// DogStatsD's tags as labels: `region:eu,canary` is region="eu", canary="true".
enum TagReader {
    /// - Returns: nil when the bytes are not UTF-8. Tags without a name are left out.
    static func labels(_ bytes: Span<UInt8>, _ range: Range<Int>) -> [Label]? {
        guard !range.isEmpty else { return [] }
        guard let text = Self.text(bytes, range) else { return nil }
        var labels: [Label] = []
        for tag in text.split(separator: ",") {
            let colon = tag.utf8.firstIndex(of: UInt8(ascii: ":")) ?? tag.endIndex
            guard let name = MetricName.label(String(tag[..<colon])) else { continue }
            let value = colon == tag.endIndex ? "true" : String(tag[tag.utf8.index(after: colon)...])
            labels.append(Label(name, value))
        }
        return labels
    }

    static func text(_ bytes: Span<UInt8>, _ range: Range<Int>) -> String? {
        var copy: [UInt8] = []
        copy.reserveCapacity(range.count)
        for index in range { copy.append(bytes[index]) }
        return String(validating: copy, as: UTF8.self)
    }
}
