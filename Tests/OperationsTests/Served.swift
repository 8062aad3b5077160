import Metrics
import Runtime

@testable import Operations

/// The lines of `/metrics` that a source brings, without comments.
func served(_ source: some MetricSource) -> [String] {
    let collected = source.collectedWhenLate(CollectionRound(deadline: .after(.seconds(1))))
    let (page, _) = Exposition.encode(Snapshot(families: collected.flatMap(\.families)), as: .text)
    return String(decoding: page, as: UTF8.self).split(separator: "\n").filter { !$0.hasPrefix("#") }.map { String($0) }
}

extension OperationRecorder {
    func take(_ packet: String) {
        let bytes = Array(packet.utf8)
        take(bytes.span)
    }

    /// The value of a series, spelled as it is served: `name{label="value"}`.
    func value(_ series: String) -> Double? {
        served(self).first { $0.hasPrefix(series + " ") }.flatMap { Double($0.dropFirst(series.utf8.count + 1)) }
    }
}

/// Settings out of YAML text.
func configuration(_ yaml: String, environment: [String: String] = [:]) throws -> OperationsConfiguration {
    let settings = Settings(
        file: ("o.yml", try YAML.parse(Array(yaml.utf8)) ?? YAML(.mapping([]), line: 1)), environment: environment)
    let configuration = try OperationsConfiguration(settings)
    try settings.finish()
    return configuration
}
