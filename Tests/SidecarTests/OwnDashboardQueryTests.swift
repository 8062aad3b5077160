import LocalServers
import Network
import Runtime
import Testing

/// Every question of `dashboards/`, asked of a real Prometheus that scrapes the demo, and of Outrigger.
@Suite struct OwnDashboardQueryTests {
    /// Served only once there is something to tell, and where that name is declared. Their panels show until then that there
    /// is nothing.
    private let servedLater = [
        // A trend takes five minutes, a limit ten and something that fills up; a reason, something that is not excellent.
        "outrigger_performance_trend": "Sources/Alerting/Performance/PerformanceMetrics.swift",
        "outrigger_performance_time_to_limit_seconds": "Sources/Alerting/Performance/PerformanceMetrics.swift",
        "outrigger_performance_reason": "Sources/Alerting/Performance/PerformanceMetrics.swift",
        // Counted by reason from the first failure on.
        "outrigger_notifications_failed_total": "Sources/Alerting/Notification/NotificationMetrics.swift",
    ]
    /// One target of a kind has no label `target`.
    private let variablesWithoutValues: Set<String> = ["target"]

    /// Prometheus makes these itself.
    private let madeByPrometheus: Set<String> = ["up", "ALERTS"]

    @Test func everyPanelVariableAndAnnotationHasDataFromPrometheusAndFromOutrigger() async throws {
        let demo = try await RunningDemo.start()
        let rules = try Files.list("alerts").filter { $0.hasSuffix(".yml") }.map {
            RunningDemo.folder + "/alerts/" + $0
        }
        let prometheus = try await LocalPrometheus.start(scraping: demo.port, ruleFiles: rules)
        let dashboards = try OwnDashboard.all()
        let sources = [DataSource(demo.url), DataSource(prometheus.url, hasOneInstance: true)]

        // Rates need two scrapes of everything, alerts an evaluation: whatever is not there yet is asked for again.
        let deadline = Deadline.after(.seconds(50))
        var problems: [String] = []
        repeat {
            problems = []
            for source in sources {
                for dashboard in dashboards { problems += try await self.problems(of: dashboard, source) }
                if !problems.isEmpty { break }
            }
            if !problems.isEmpty { try await Task.sleep(for: .seconds(1)) }
        } while !problems.isEmpty && !deadline.hasPassed
        #expect(problems.isEmpty, "\(problems.joined(separator: "\n"))\n\(demo.log)")
        #expect(try await prometheus.scrapeState().isUp)

        let served = Set(try await sources[0].values(of: "__name__", matching: nil)).union(madeByPrometheus)
        for question in dashboards.flatMap(\.questions) {
            for name in try question.metricNames() where !served.contains(name) {
                #expect(try isDeclared(name), "\(question.place): nobody serves \(name)")
            }
        }
        await prometheus.stop()
        await demo.stop()
    }

    /// What is wrong with the answers to a dashboard's questions, first for every value of its variables, as All is,
    /// then for one job and instance.
    private func problems(of dashboard: OwnDashboard, _ source: DataSource) async throws -> [String] {
        var problems: [String] = []
        var chosen: [String: String] = [:]
        for variable in dashboard.askedVariables {
            let selector = OwnDashboard.substitute(variable.selector, chosen)
            let values = try await source.values(of: variable.label, matching: selector)
            if source.hasOneInstance, ["job", "instance"].contains(variable.name) {
                chosen[variable.name] = values.first.map(escaped)
            }
            if values.isEmpty, !variablesWithoutValues.contains(variable.name) {
                problems.append("\(source.url) \(dashboard.file): no value for $\(variable.name)")
            }
        }
        // Outrigger's history has an instance for each server, so that one of them is not all of a dashboard.
        let choices = chosen.isEmpty ? [[:]] : [[:], chosen]
        for question in dashboard.questions {
            for choice in choices {
                let text = OwnDashboard.substitute(question.expression, choice)
                let result = try await source.ask(text, isInstant: question.isInstant)
                guard let count = result.count else {
                    problems.append("\(source.url) \(question.place): \(result.error): \(text)")
                    continue
                }
                if count == 0 { problems.append("\(source.url) \(question.place): empty: \(text)") }
            }
        }
        return problems
    }

    private func isDeclared(_ name: String) throws -> Bool {
        guard let file = servedLater[name] else { return false }
        return try Files.readText(file).contains("\"\(name)\"")
    }

    /// As Grafana escapes a value within a regular expression within quotes.
    private func escaped(_ value: String) -> String {
        value.map { ".+*?()[]{}|^$\\".contains($0) ? "\\\\\($0)" : String($0) }.joined()
    }

    // MARK: The other things that Grafana asks

    @Test func targetsOfOneKindAreValuesOfTheVariable() async throws {
        let nowhere = (FreePort.next(), FreePort.next())
        let outrigger = try await RunningOutrigger.start(
            yaml: """
                history: {interval: 1s}
                targets:
                  postgres:
                    - {name: shop, url: "postgresql://postgres@127.0.0.1:\(nowhere.0)/shop"}
                    - {name: billing, url: "postgresql://postgres@127.0.0.1:\(nowhere.1)/billing"}

                """)
        let source = DataSource(outrigger.url)
        let variable = try #require(try OwnDashboard("database").askedVariables.first { $0.name == "target" })
        let selector = OwnDashboard.substitute(variable.selector, [:])
        let deadline = Deadline.after(.seconds(120))
        var values: [String] = []
        while values.isEmpty, !deadline.hasPassed { values = try await source.values(of: "target", matching: selector) }
        #expect(values == ["billing", "shop"])
        await outrigger.stop()
    }

    @Test func outriggerAnswersWhatGrafanaAsksAPrometheus() async throws {
        let outrigger = try await RunningOutrigger.start(yaml: "history: {interval: 1s}\n")
        let source = DataSource(outrigger.url)
        let deadline = Deadline.after(.seconds(120))
        while try await source.values(of: "job", matching: "up").isEmpty, !deadline.hasPassed {}

        #expect(try await source.data("/api/v1/status/buildinfo")["version"]?.string?.isEmpty == false)
        let names = try await source.data("/api/v1/labels?match[]=outrigger_build_info")
        #expect(names.array?.contains(.string("swift_version")) == true)
        let posted = try await source.data("/api/v1/labels", form: [("match[]", "outrigger_build_info")])
        #expect(posted == names)
        let series = try await source.data("/api/v1/series", form: [("match[]", "up"), ("match[]", "outrigger_ready")])
        #expect(Set((series.array ?? []).compactMap { $0["__name__"]?.string }) == ["up", "outrigger_ready"])
        let metadata = try await source.data("/api/v1/metadata?limit=3")
        #expect(metadata.members?.count == 3)
        let one = try await source.data("/api/v1/metadata?metric=outrigger_ready")["outrigger_ready"]
        #expect(one?.array?.first?["help"]?.string?.hasSuffix(".") == true)
        #expect(try await source.data("/api/v1/query", form: [("query", "1+1")])["resultType"]?.string == "scalar")
        #expect(try await source.data("/api/v1/rules")["groups"]?.array?.isEmpty == true)
        let exemplars = try await source.data(
            "/api/v1/query_exemplars", form: [("query", "up"), ("start", "0"), ("end", "1")])
        #expect(exemplars == .array([]))
        await outrigger.stop()
    }
}

/// The real binary's `demo`, which brings its own servers and load.
private struct RunningDemo {
    let server: LocalServer
    var port: UInt16 { server.port }
    var url: String { "http://127.0.0.1:\(port)" }
    var log: String { server.log }

    /// Where the tests, and so the rules of `alerts/`, are.
    static var folder: String { (try? Files.linkTarget("/proc/self/cwd")) ?? "." }

    static func start() async throws -> RunningDemo {
        let port = FreePort.next()
        let server = try await LocalServer.start(
            RunningOutrigger.binary,
            [
                "demo", "--web.listen-address=127.0.0.1:\(port)", "--history.interval=1s",
                "--alerting.evaluation-interval=1s", "--alerting.rules=\(folder)/alerts/*.yml",
                "--performance.warm-up=1s", "--performance.interval=1s",
            ], folder: TemporaryFolder("outrigger-test"), port: port, patience: .seconds(60)
        ) { FreePort.isOpen(port) }
        return RunningDemo(server: server)
    }

    func stop() async { await server.process.stop(within: .seconds(30)) }
}

/// Something that speaks Prometheus' API, asked as Grafana asks: with forms.
private struct DataSource {
    let url: String
    /// A Prometheus names what it scrapes, Outrigger each server that it watches.
    let hasOneInstance: Bool
    private let client = HTTPClient()

    init(_ url: String, hasOneInstance: Bool = false) {
        self.url = url
        self.hasOneInstance = hasOneInstance
    }

    /// How many series with a number the answer has, or what was refused.
    func ask(_ query: String, isInstant: Bool) async throws -> (count: Int?, error: String) {
        let now = WallClock.nowMilliseconds / 1000
        let times =
            isInstant
            ? [("time", "\(now)")] : [("start", "\(now - 60)"), ("end", "\(now)"), ("step", "5")]
        let answer = try await answer("/api/v1/query" + (isInstant ? "" : "_range"), form: [("query", query)] + times)
        guard answer["status"]?.string == "success" else { return (nil, answer["error"]?.string ?? "no reason") }
        let series = answer["data"]?["result"]?.array ?? []
        let numbers = series.filter { one in
            (one["values"]?.array ?? one["value"].map { [$0] } ?? []).contains { $0.array?.last?.string != "NaN" }
        }
        return (numbers.count, "")
    }

    /// - Parameter selector: nil for all series.
    func values(of label: String, matching selector: String?) async throws -> [String] {
        let matching = selector.map { "?match[]=" + DataSource.percentEncoded($0) } ?? ""
        return try await data("/api/v1/label/\(label)/values" + matching).array?.compactMap(\.string) ?? []
    }

    func data(_ path: String, form: [(String, String)]? = nil) async throws -> JSON {
        let answer = try await answer(path, form: form)
        return try #require(answer["status"]?.string == "success" ? answer["data"] : nil, "\(path): \(answer)")
    }

    private func answer(_ path: String, form: [(String, String)]?) async throws -> JSON {
        var request = HTTPClient.Request(url: url + path, deadline: .after(.seconds(30)))
        request.responseLimit = 16 << 20
        if let form {
            request.method = "POST"
            request.headers = [("Content-Type", "application/x-www-form-urlencoded")]
            request.body = Array(
                form.map { "\(DataSource.percentEncoded($0))=\(DataSource.percentEncoded($1))" }
                    .joined(separator: "&").utf8)
        }
        return try JSON.parse(try await client.send(request).body)
    }

    private static func percentEncoded(_ text: String) -> String {
        let plain = Set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
        return text.utf8.map { byte in
            let hex = String(byte, radix: 16, uppercase: true)
            return plain.contains(byte) ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + hex
        }.joined()
    }
}
