import Collectors
import Metrics
import Runtime

/// An exposition, read back line by line.
struct Page {
    let text: String
    let duplicates: Int
    /// Series as they are written, with their values.
    let values: [String: Double]
    /// Types by name.
    let types: [String: String]

    init(_ text: String, duplicates: Int = 0) {
        self.text = text
        self.duplicates = duplicates
        var values: [String: Double] = [:]
        var types: [String: String] = [:]
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                let words = line.split(separator: " ")
                types[String(words[2])] = String(words[3])
            } else if !line.hasPrefix("#"), let space = line.lastIndex(of: " ") {
                values[String(line[..<space])] = Double(line[line.index(after: space)...])
            }
        }
        self.values = values
        self.types = types
    }

    func value(_ series: String) -> Double? { values[series] }

    /// Series whose text begins so.
    func series(_ prefix: String) -> [String] { values.keys.filter { $0.hasPrefix(prefix) }.sorted() }

    static func name(of series: String) -> String { String(series.prefix { $0 != "{" }) }
}

/// One collection as its page.
func scrape(
    _ target: PostgresTarget, within patience: Duration = .seconds(10), _ selection: CollectorSelection = .all
) async throws -> Page {
    page(of: await target.collect(CollectionRound(deadline: .after(patience), selection: selection)))
}

func page(of collected: [Collected]) -> Page {
    let (bytes, duplicates) = Exposition.encode(Snapshot(families: collected.flatMap(\.families)), as: .text)
    return Page(String(decoding: bytes, as: UTF8.self), duplicates: duplicates)
}
