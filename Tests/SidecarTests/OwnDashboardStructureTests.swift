import PromQL
import Runtime
import Testing

/// The files in `dashboards/` as documents: what Grafana needs to import them, and what a reader needs to trust them.
@Suite struct OwnDashboardStructureTests {
    private static let units: Set<String> = [
        "none", "short", "s", "bytes", "Bps", "ops", "pps", "percentunit",
    ]
    private static let types: Set<String> = [
        "timeseries", "stat", "state-timeline", "table", "bargauge", "heatmap",
    ]

    @Test func everyFileOfTheFolderIsADashboardWithAnAddressOfItsOwn() throws {
        let names = try Files.list("dashboards").filter { $0 != "README.md" }.sorted()
        #expect(names == OwnDashboard.files.map { $0 + ".json" }.sorted())
        for dashboard in try OwnDashboard.all() {
            let json = dashboard.json
            #expect(json["uid"]?.string == "outrigger-\(dashboard.file)")
            #expect((json["schemaVersion"]?.integer ?? 0) >= 39)
            #expect(json["title"]?.string?.hasPrefix("Outrigger / ") == true)
            #expect(json["description"]?.string?.hasSuffix(".") == true)
            #expect(json["__inputs"] == nil && json["id"] == nil)
            #expect(json["tags"]?.array?.contains(.string("outrigger")) == true)
        }
    }

    @Test(arguments: OwnDashboard.files)
    func dashboardsLinkToEachOtherAndKeepTimeAndVariables(_ file: String) throws {
        let links = try OwnDashboard(file).json["links"]?.array ?? []
        let link = try #require(links.first { $0["type"]?.string == "dashboards" })
        #expect(link["tags"]?.array == [.string("outrigger")])
        #expect(link["keepTime"]?.bool == true && link["includeVars"]?.bool == true)
    }

    @Test(arguments: OwnDashboard.files)
    func everyQueryGoesToTheChosenDataSourceAndInstances(_ file: String) throws {
        let dashboard = try OwnDashboard(file)
        #expect(dashboard.variables.first?["type"]?.string == "datasource")
        #expect(dashboard.variables.first?["query"]?.string == "prometheus")
        let names = dashboard.variables.compactMap { $0["name"]?.string }
        #expect(names.starts(with: ["datasource", "job", "instance"]))
        #expect(dashboard.askedVariables.count == names.count - 1, "every other variable is label_values(…)")
        #expect(!dashboard.annotations.isEmpty)

        let chosen = JSON.object([.init("type", .string("prometheus")), .init("uid", .string("${datasource}"))])
        for part in dashboard.panels + dashboard.annotations + dashboard.variables.dropFirst() {
            #expect(part["datasource"] == chosen, "\(part["title"] ?? part["name"] ?? .null)")
            for target in part["targets"]?.array ?? [] { #expect(target["datasource"] == chosen) }
        }
        for question in dashboard.questions {
            let query = try Query(OwnDashboard.substitute(question.expression, ["job": "J", "instance": "I"]))
            for read in query.expression.reads {
                let bound = read.matchers.filter { $0.operation == .regex }.map { "\($0.name)=\($0.value)" }
                let isBound = bound.contains("job=J") && bound.contains("instance=I")
                #expect(isBound, "\(question.place) asks every instance: \(question.expression)")
            }
        }
        for variable in dashboard.variables.dropFirst() {
            #expect(variable["includeAll"]?.bool == true && variable["allValue"]?.string == ".*")
        }
    }

    @Test(arguments: OwnDashboard.files)
    func everyPanelSaysWhatItShowsInWhichUnitAndFromWhereOnItIsBad(_ file: String) throws {
        for panel in try OwnDashboard(file).panels {
            let title = try #require(panel["title"]?.string)
            let type = try #require(panel["type"]?.string)
            #expect(OwnDashboardStructureTests.types.contains(type), "\(title): \(type)")
            let description = panel["description"]?.string ?? ""
            #expect(description.hasSuffix(".") && description.utf8.count > 30, "\(title): \(description)")
            let defaults = try #require(panel["fieldConfig"]?["defaults"], "\(title)")
            #expect(OwnDashboardStructureTests.units.contains(defaults["unit"]?.string ?? ""), "\(title)")
            #expect(defaults["noValue"]?.string?.isEmpty == false, "\(title)")
            let steps = defaults["thresholds"]?["steps"]?.array ?? []
            #expect(steps.first?["value"]?.isNull == true, "\(title)")
            let bounds = steps.dropFirst().compactMap { $0["value"]?.double }
            #expect(bounds.count == max(0, steps.count - 1) && bounds == bounds.sorted(), "\(title)")
            if let low = defaults["min"]?.double, let high = defaults["max"]?.double { #expect(low < high, "\(title)") }
            #expect(type == "table" || defaults["min"] != nil, "\(title) has no lower end")
            let targets = panel["targets"]?.array ?? []
            #expect(!targets.isEmpty, "\(title)")
            #expect(Set(targets.map { $0["refId"]?.string }).count == targets.count, "\(title)")
            for target in targets {
                #expect(target["legendFormat"]?.string?.isEmpty == false, "\(title)")
                let format = type == "table" ? "table" : type == "heatmap" ? "heatmap" : "time_series"
                #expect(target["format"]?.string == format, "\(title)")
                #expect(target["instant"]?.bool != target["range"]?.bool, "\(title)")
            }
        }
    }

    @Test(arguments: OwnDashboard.files)
    func panelsDoNotOverlapAndFillTheGrid(_ file: String) throws {
        struct Cell: Hashable { let x, y: Int64 }
        var taken: [Cell: String] = [:]
        var ids: Set<Int64> = []
        for panel in try OwnDashboard(file).allPanels {
            let title = try #require(panel["title"]?.string)
            #expect(ids.insert(try #require(panel["id"]?.integer)).inserted, "\(title): its id is another's, too")
            let grid = try #require(panel["gridPos"])
            let (x, y) = (try #require(grid["x"]?.integer), try #require(grid["y"]?.integer))
            let (w, h) = (try #require(grid["w"]?.integer), try #require(grid["h"]?.integer))
            #expect(x >= 0 && y >= 0 && w > 0 && h > 0 && x + w <= 24, "\(title)")
            for column in x..<x + w {
                for line in y..<y + h {
                    let other = taken.updateValue(title, forKey: Cell(x: column, y: line))
                    #expect(other == nil, "\(title) lies over \(other ?? "")")
                }
            }
        }
        let height = (taken.keys.map(\.y).max() ?? 0) + 1
        #expect(taken.count == Int(24 * height), "the grid has holes")
    }

    /// A rate over a fixed window shows nothing where the scrapes are further apart, and hides peaks where they are closer.
    @Test(arguments: OwnDashboard.files)
    func ratesLookBackAsFarAsGrafanaSays(_ file: String) throws {
        for question in try OwnDashboard(file).questions where question.expression.contains("rate(") {
            let isLongOnPurpose = question.place.contains("Share of errors")
            #expect(
                isLongOnPurpose || question.expression.contains("$__rate_interval")
                    || question.expression.contains("$__range"), "\(question.place)")
        }
    }
}
