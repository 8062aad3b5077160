import Metrics
import Runtime

/// One rule that gives StatsD names a metric's name and labels, as statsd_exporter's mappings do.
///
/// Format: <https://github.com/prometheus/statsd_exporter#metric-mapping-and-configuration>.
struct MappingRule: Sendable {
    enum Match: Sendable {
        /// Parts between the dots; nil takes any one part.
        case glob([String?])
        /// Found anywhere in the name, as statsd_exporter does: anchor it with `^` and `$`.
        case regex(Pattern)
    }

    enum Action: String, CaseIterable, Sendable {
        case map, drop
    }

    enum MetricType: String, CaseIterable, Sendable {
        case counter, gauge, observer
        /// What statsd_exporter called `observer` before.
        case timer
    }

    enum ObserverType: String, CaseIterable, Sendable {
        case histogram, summary
    }

    let match: Match
    let action: Action
    /// Nil for every type.
    let metricType: MetricType?
    let name: MappingTemplate
    let labels: [(name: String, value: MappingTemplate)]
    let observer: ObserverType
    /// Nil for the defaults.
    let buckets: [Double]?
    /// Of a summary; nil for the defaults.
    let quantiles: [Double]?
    let help: String?
    /// What values are multiplied by.
    let scale: Double
    /// How long a series is served after its last sample; nil for ever.
    let timeToLive: Duration?

    var isGlob: Bool { if case .glob = match { true } else { false } }

    /// The metric's name and labels when the rule applies to this name; nil when it does not.
    func apply(to name: String, kind: StatsDKind) -> MappingRules.Found? {
        guard applies(to: kind) else { return nil }
        let expand: (MappingTemplate) -> String
        switch match {
        case .glob(let parts):
            guard let captures = Self.captures(of: name, glob: parts) else { return nil }
            expand = { $0.expand(captures) }
        case .regex(let pattern):
            guard let found = pattern.firstMatch(in: name) else { return nil }
            expand = { pattern.expand($0.text, found, in: name) }
        }
        return MappingRules.Found(
            rule: self, name: expand(self.name), labels: labels.map { Label($0.name, expand($0.value)) })
    }

    private func applies(to kind: StatsDKind) -> Bool {
        switch metricType {
        case nil: true
        case .counter: kind == .counter
        case .gauge: kind == .gauge || kind == .set
        case .observer, .timer: kind == .timer || kind == .histogram || kind == .distribution
        }
    }

    private static func captures(of name: String, glob: [String?]) -> [Substring]? {
        var captures = [name[...]]
        var rest = name[...]
        for (index, part) in glob.enumerated() {
            let dot = rest.utf8.firstIndex(of: UInt8(ascii: ".")) ?? rest.endIndex
            let isLast = index == glob.count - 1
            guard (dot == rest.endIndex) == isLast else { return nil }
            let found = rest[..<dot]
            if let part {
                guard found == part else { return nil }
            } else {
                captures.append(found)
            }
            if !isLast { rest = rest[rest.utf8.index(after: dot)...] }
        }
        return captures
    }
}

/// A text with `$1` and `${1}` for what a glob's wildcards took. Regular expressions read the text their own way, as Go
/// does: there `$1_total` names a group `1_total`, and `${1}_total` is what was meant.
struct MappingTemplate: Sendable {
    let text: String

    private enum Part: Sendable {
        case text(String)
        case capture(Int)
    }

    private var parts: [Part] = []

    /// A number reaches as far as its digits do. A number that the pattern has no capture for stays as it is written.
    init(_ text: String, captures: Int) {
        self.text = text
        var plain = ""
        var rest = text[...]
        while let first = rest.first {
            if first == "$", let (number, after) = Self.reference(in: rest), number <= captures {
                if !plain.isEmpty { parts.append(.text(plain)) }
                plain = ""
                parts.append(.capture(number))
                rest = after
            } else {
                plain.append(first)
                rest = rest.dropFirst()
            }
        }
        if !plain.isEmpty { parts.append(.text(plain)) }
    }

    func expand(_ captures: [Substring]) -> String {
        var text = ""
        for part in parts {
            switch part {
            case .text(let plain): text += plain
            case .capture(let number): text += number < captures.count ? captures[number] : ""
            }
        }
        return text
    }

    private static func reference(in text: Substring) -> (number: Int, after: Substring)? {
        let isBraced = text.hasPrefix("${")
        let inside = text.dropFirst(isBraced ? 2 : 1)
        let digits = inside.prefix { $0.isASCII && $0.isNumber }
        guard let number = Int(digits) else { return nil }
        let after = inside[digits.endIndex...]
        if !isBraced { return (number, after) }
        return after.first == "}" ? (number, after.dropFirst()) : nil
    }
}
