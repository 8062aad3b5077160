import Foundation
import LocalServers
import Metrics
import Runtime

/// A page of metrics taken apart: what stands in `/metrics`, by name and labels.
struct ExporterPage {
    private(set) var types: [String: String] = [:]
    private(set) var helps: [String: String] = [:]
    /// Keyed by `name{sorted labels}`; labels with an empty value are left out, as Prometheus does.
    private(set) var values: [String: String] = [:]
    private(set) var duplicates: [String] = []

    init(_ text: String) {
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# ") {
                let words = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).map(String.init)
                if words[1] == "TYPE" { types[words[2]] = words[3] }
                if words[1] == "HELP" { helps[words[2]] = words.count > 3 ? words[3] : "" }
                continue
            }
            guard let space = line.lastIndex(of: " ") else { continue }
            let series = ExporterPage.normalised(String(line[..<space]))
            if values.updateValue(String(line[line.index(after: space)...]), forKey: series) != nil {
                duplicates.append(series)
            }
        }
    }

    /// What our collector serves, as Prometheus would read it.
    init(_ collected: [Collected]) {
        let snapshot = Snapshot(families: collected.flatMap(\.families))
        self.init(String(decoding: Exposition.encode(snapshot, as: .text).page, as: UTF8.self))
    }

    static func fetched(from url: String) async throws -> ExporterPage {
        let folder = try TemporaryFolder("outrigger-page")
        return ExporterPage(try await LocalServer.run("curl", ["-sS", "--max-time", "20", url], folder: folder))
    }

    subscript(series: String) -> String? { values[series] }

    func number(_ series: String) -> Double? { values[series].flatMap(Double.init) }

    /// The name before the labels, without what marks a part of a histogram or summary.
    func family(of series: String) -> String {
        let name = String(series.prefix { $0 != "{" })
        for suffix in ["_bucket", "_sum", "_count"] where name.hasSuffix(suffix) {
            let family = String(name.dropLast(suffix.count))
            if let type = types[family], type == "histogram" || type == "summary" { return family }
        }
        return name
    }

    private static func normalised(_ series: String) -> String {
        guard let open = series.firstIndex(of: "{") else { return series }
        var labels: [String] = []
        var current = ""
        var isQuoted = false
        var isEscaped = false
        for character in series[series.index(after: open)...].dropLast() {
            if character == ",", !isQuoted {
                labels.append(current)
                current = ""
                continue
            }
            if character == "\"", !isEscaped { isQuoted.toggle() }
            isEscaped = character == "\\" && !isEscaped
            current.append(character)
        }
        if !current.isEmpty { labels.append(current) }
        let kept = labels.filter { !$0.hasSuffix("=\"\"") }.sorted()
        return kept.isEmpty ? String(series[..<open]) : series[..<open] + "{" + kept.joined(separator: ",") + "}"
    }
}
