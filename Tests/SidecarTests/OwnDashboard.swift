import PromQL
import Runtime

/// One of the files in `dashboards/`, as far as its tests read it.
struct OwnDashboard {
    static let files = ["overview", "cache", "database", "resources", "alerts"]

    let file: String
    let json: JSON

    init(_ file: String) throws {
        self.file = file
        json = try JSON.parse(try Files.read("dashboards/\(file).json"))
    }

    static func all() throws -> [OwnDashboard] { try files.map(OwnDashboard.init) }

    /// Without rows, which only carry a heading.
    var panels: [JSON] { allPanels.filter { $0["type"]?.string != "row" } }
    var allPanels: [JSON] { json["panels"]?.array ?? [] }
    var variables: [JSON] { json["templating"]?["list"]?.array ?? [] }
    /// Without Grafana's own.
    var annotations: [JSON] { (json["annotations"]?["list"]?.array ?? []).filter { $0["builtIn"] == nil } }

    /// A question that the dashboard asks its data source.
    struct Question {
        /// Dashboard, panel and letter, for messages.
        let place: String
        let expression: String
        let isInstant: Bool

        /// Names of the metrics that it reads, with every variable standing for anything.
        func metricNames() throws -> Set<String> {
            let query = try Query(OwnDashboard.substitute(expression, [:]))
            let matchers = query.expression.reads.flatMap(\.matchers).filter { $0.name == "__name__" }
            return Set(matchers.flatMap { $0.value.split(separator: "|").map(String.init) })
        }
    }

    var questions: [Question] {
        let ofPanels = panels.flatMap { panel in
            (panel["targets"]?.array ?? []).map { target in
                Question(
                    place: "\(file): \(panel["title"]?.string ?? "") \(target["refId"]?.string ?? "")",
                    expression: target["expr"]?.string ?? "", isInstant: target["instant"]?.bool ?? false)
            }
        }
        return ofPanels
            + annotations.map {
                Question(
                    place: "\(file): annotation \($0["name"]?.string ?? "")", expression: $0["expr"]?.string ?? "",
                    isInstant: false)
            }
    }

    /// A variable whose values are asked for.
    struct Variable {
        let name: String
        let selector: String
        let label: String
    }

    /// Of `label_values(SELECTOR, LABEL)`, the only form they have.
    var askedVariables: [Variable] {
        variables.compactMap { variable in
            guard let text = variable["query"]?["query"]?.string, text.hasPrefix("label_values("), text.hasSuffix(")"),
                let comma = text.lastIndex(of: ",")
            else { return nil }
            return Variable(
                name: variable["name"]?.string ?? "",
                selector: String(text[..<comma].dropFirst("label_values(".count)),
                label: String(text[comma...].dropFirst().dropLast().drop { $0 == " " }))
        }
    }

    /// What Grafana puts in the place of its own variables for a short range of a source that is scraped every second.
    static let builtIn = ["__rate_interval": "20s", "__interval": "30s", "__range": "60s"]

    /// - Parameter values: of variables by name; one without a value stands for anything.
    static func substitute(_ text: String, _ values: [String: String]) -> String {
        var result = ""
        var rest = text[...]
        while let dollar = rest.firstIndex(of: "$") {
            result += rest[..<dollar]
            let name = rest[dollar...].dropFirst().prefix { $0.isLetter || $0.isNumber || $0 == "_" }
            result += builtIn[String(name)] ?? values[String(name)] ?? ".*"
            rest = rest[name.endIndex...]
        }
        return result + rest
    }
}
