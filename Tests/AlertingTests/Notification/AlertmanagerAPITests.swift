import Foundation
import Metrics
import Network
import Runtime
import Testing

@testable import Alerting

@Suite struct AlertmanagerAPITests {
    private static let start = Moment("2026-11-21T12:00:00Z") ?? Moment(milliseconds: 0)
    private let api: AlertmanagerAPI
    private let dispatcher: Dispatcher

    init() throws {
        var route = Route(receiver: "r", grouping: .by(["alertname"]), groupWait: .seconds(30))
        route.routes = [route.child(receiver: "page", matchers: [try Matcher(parsing: "severity=page")])]
        let rule = InhibitRule(source: [try Matcher(parsing: "s=1")], target: [try Matcher(parsing: "t=1")])
        let receivers = ["r", "page"].map {
            Receiver(name: $0, webhooks: [WebhookSettings(url: .text("http://127.0.0.1:1"))])
        }
        dispatcher = Dispatcher(
            Switchboard.Configuration(route: route, receivers: receivers, inhibitRules: [rule]), client: HTTPClient(),
            userAgent: "", clock: { Self.start })
        api = AlertmanagerAPI(dispatcher, version: "1.2.3", startedAt: Self.start)
    }

    private func get(_ path: String, _ query: KeyValuePairs<String, String> = [:]) async -> (status: Int, text: String)
    {
        await answer("GET", path, query)
    }

    private func post(_ path: String, _ body: String) async -> (status: Int, text: String) {
        await answer("POST", path, [:], body)
    }

    private func answer(
        _ method: String, _ path: String, _ query: KeyValuePairs<String, String> = [:], _ body: String = ""
    ) async -> (status: Int, text: String) {
        let response = await api.answer(
            HTTPRequest(
                method: method, path: "/api/v2/" + path, query: query.map { ($0.key, $0.value) }, body: Array(body.utf8)
            ))
        return (response.status, String(decoding: response.body, as: UTF8.self))
    }

    @Test func statusAndReceiversHaveAlertmanagersShape() async throws {
        let text =
            #""route:\n  receiver: \"r\"\n  group_by: [\"alertname\"]\n  group_wait: 30s\n  group_interval: 5m\n  "#
        #expect(await get("status").text.contains(text))
        let status = try JSON.parse(Array(await get("status").text.utf8))
        let original = try #require(status["config"]?["original"]?.string)
        var quoted = JSONWriter()
        quoted.string(original)
        #expect(
            await get("status").text
                == #"{"cluster":{"peers":[],"status":"disabled"},"config":{"original":\#(quoted.text)},"#
                + #""uptime":"2026-11-21T12:00:00.000Z","versionInfo":{"branch":"","buildDate":"","buildUser":"","#
                + #""goVersion":"","revision":"","version":"1.2.3"}}"# + "\n")
        #expect(await get("receivers").text == #"[{"name":"r"},{"name":"page"}]"# + "\n")
    }

    @Test func whatIsDroppedIsAnsweredWith503AndCounted() async {
        var configuration = Switchboard.Configuration(
            route: Route(receiver: "r"),
            receivers: [Receiver(name: "r", webhooks: [WebhookSettings(url: .text("http://127.0.0.1:1"))])])
        configuration.limits.alertsPerName = 1
        let dispatcher = Dispatcher(configuration, client: HTTPClient(), userAgent: "", clock: { Self.start })
        let api = AlertmanagerAPI(dispatcher, version: "1.2.3", startedAt: Self.start)
        let body = #"[{"labels":{"alertname":"A","x":"1"}},{"labels":{"alertname":"A","x":"2"}}]"#
        let answer = await api.answer(
            HTTPRequest(method: "POST", path: "/api/v2/alerts", query: [], body: Array(body.utf8)))
        #expect(answer.status == 503)
        #expect(String(decoding: answer.body, as: UTF8.self).contains("1 of 2 alerts were dropped"))
        #expect(dispatcher.metrics.dropped.read().samples.map(\.value).reduce(0, +) == 1)
    }

    @Test func postedAlertsAreListedWithWhatWasMissingPutIn() async {
        let posted = await post(
            "alerts",
            #"[{"labels":{"alertname":"A","x":"<1>","empty":""},"annotations":{"s":"t"},"generatorURL":"http://g/?a&b"}]"#
        )
        #expect(posted == (200, ""))
        let alert =
            #"{"annotations":{"s":"t"},"endsAt":"2026-11-21T12:05:00.000Z","fingerprint":"a088b82a257c4b32","#
            + #""receivers":[{"name":"r"}],"startsAt":"2026-11-21T12:00:00.000Z","status":{"inhibitedBy":[],"#
            + #""silencedBy":[],"state":"active"},"updatedAt":"2026-11-21T12:00:00.000Z","#
            + #""generatorURL":"http://g/?a\u0026b","labels":{"alertname":"A","x":"\u003c1\u003e"}}"#
        #expect(await get("alerts").text == "[\(alert)]\n")
        #expect(
            await get("alerts/groups").text
                == #"[{"alerts":["# + alert + #"],"labels":{"alertname":"A"},"receiver":{"name":"r"}}]"# + "\n")
    }

    @Test func theValidAlertsOfAPostAreTakenAndTheOthersNamed() async {
        let answer = await post(
            "alerts",
            #"[{"labels":{"alertname":"A"}},{"labels":{}},{"labels":{"alertname":"B"},"startsAt":"2030-01-01T00:00:00Z","#
                + #""endsAt":"2020-01-01T00:00:00Z"},{"labels":{"1":"x"}}]"#)
        #expect(
            answer == (
                400,
                #""at least one label pair required; start time must be before end time; "#
                    + #"invalid label set: invalid name \"1\"""# + "\n"
            ))
        #expect(await get("alerts").text.contains(#""alertname":"A""#))
    }

    @Test(arguments: [
        ("{", 400), ("{}", 400), ("[1]", 422), (#"[{"labels":{"a":1}}]"#, 400), (#"[{"labels":[]}]"#, 400),
        (#"[{"labels":{"a":"b"},"startsAt":"soon"}]"#, 422), ("[{}]", 422),
    ]) func aPostThatIsNoListOfAlertsIsRefused(_ body: String, _ status: Int) async {
        #expect(await post("alerts", body).status == status)
    }

    @Test func alertsAreFiltered() async {
        _ = await post(
            "alerts",
            #"[{"labels":{"alertname":"A","s":"1"}},{"labels":{"alertname":"B","t":"1"}},"#
                + #"{"labels":{"alertname":"C","severity":"page"}}]"#)
        func names(_ query: KeyValuePairs<String, String>) async -> String {
            let text = await get("alerts", query).text
            let json = (try? JSON.parse(Array(text.utf8)))?.array ?? []
            return json.compactMap { $0["labels"]?["alertname"]?.string }.sorted().joined()
        }
        #expect(await names([:]) == "ABC")
        #expect(await names(["filter": "alertname=~\"A|B\"", "filter": "s!=1"]) == "B")
        #expect(await names(["inhibited": "false"]) == "AC")
        #expect(await names(["active": "false"]) == "B")
        #expect(await names(["receiver": "pag."]) == "C")
        #expect(await get("alerts", ["filter": "a"]) == (400, "\"bad matcher format: a\"\n"))
        #expect(await get("alerts", ["receiver": "("]).status == 400)
        #expect(await get("alerts", ["active": "x"]).status == 422)
    }

    @Test func aSilenceIsMadeShownChangedAndEnded() async throws {
        _ = await post("alerts", #"[{"labels":{"alertname":"A"}}]"#)
        let body =
            #"{"matchers":[{"name":"alertname","value":"A","isRegex":false}],"startsAt":"2026-01-01T00:00:00Z","#
            + #""endsAt":"2030-01-01T00:00:00Z","createdBy":"me","comment":"c"}"#
        let made = await post("silences", body)
        let id = try #require(try JSON.parse(Array(made.text.utf8))["silenceID"]?.string)
        let shown =
            #"{"id":""# + id + #"","status":{"state":"active"},"updatedAt":"2026-11-21T12:00:00.000Z","comment":"c","#
            + #""createdBy":"me","endsAt":"2030-01-01T00:00:00.000Z","matchers":[{"isEqual":true,"isRegex":false,"#
            + #""name":"alertname","value":"A"}],"startsAt":"2026-11-21T12:00:00.000Z"}"#
        #expect(await get("silence/\(id)").text == shown + "\n")
        #expect(await get("silences").text == "[\(shown)]\n")
        #expect(await get("silences", ["filter": "alertname=A"]).text == "[\(shown)]\n")
        #expect(await get("silences", ["filter": "alertname=B"]).text == "[]\n")
        #expect(await get("alerts").text.contains(#""silencedBy":[""# + id + #""],"state":"suppressed""#))
        #expect(await get("alerts", ["silenced": "false"]).text == "[]\n")
        #expect(await answer("DELETE", "silence/\(id)") == (200, ""))
        #expect(await get("silence/\(id)").text.contains("expired"))
        #expect(await answer("DELETE", "silence/\(id)") == (200, ""))
    }

    @Test func badSilencesAreRefusedInAlertmanagersWords() async {
        let unknown = "00000000-0000-0000-0000-000000000000"
        #expect(
            await get("silence/nope") == (
                422, #"{"code":602,"message":"silenceID in path must be of type uuid: \"nope\""}"#
            ))
        #expect(await get("silence/\(unknown)") == (404, ""))
        #expect(await answer("DELETE", "silence/\(unknown)") == (404, "\"silence not found\"\n"))
        let template = { (id: String, matcher: String, end: String) in
            #"{"id":"\#(id)","matchers":[\#(matcher)],"startsAt":"2026-11-21T12:00:00Z","endsAt":"\#(end)","createdBy":"m","comment":"c"}"#
        }
        let any = #"{"name":"x","value":".*","isRegex":true}"#
        let one = #"{"name":"x","value":"1","isRegex":false}"#
        let later = "2030-01-01T00:00:00Z"
        #expect(
            await post("silences", template("", any, later)).text
                == "\"silence invalid: at least one matcher must not match the empty string\"\n")
        #expect(
            await post("silences", template("", one, "2026-01-01T00:00:00Z")).text
                == "\"start time must be before end time\"\n")
        #expect(await post("silences", template(unknown, one, later)) == (404, "\"silence not found\"\n"))
        #expect(await post("silences", template("", "", later)).status == 400)
        #expect(await post("silences", "{}").status == 422)
        #expect(await post("silences", "{").status == 400)
        #expect(await post("silences", template("", #"{"name":"x","value":"(","isRegex":true}"#, later)).status == 400)
    }

    @Test func unknownPathsAndMethodsAreRefused() async {
        #expect(await get("nope") == (404, #"{"code":404,"message":"path /api/v2/nope was not found"}"#))
        #expect(
            await answer("PUT", "alerts") == (
                405, #"{"code":405,"message":"method PUT is not allowed, but [GET,POST] are"}"#
            ))
    }
}

/// Debian's amtool against our API, and our posts against Debian's Alertmanager.
@Suite(.enabled(if: Files.exists("/usr/bin/amtool"), "amtool is not on this machine")) struct AlertmanagerToolsTests {
    private func run(_ arguments: [String]) async throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: arguments[0])
        process.arguments = Array(arguments.dropFirst())
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let data = await Task.detached { output.fileHandleForReading.readDataToEndOfFile() }.value
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    @Test func amtoolListsAlertsAndMakesAndEndsSilences() async throws {
        var route = Route(receiver: "r", grouping: .by(["alertname"]))
        route.routes = [
            route.child(
                receiver: "page: #1", matchers: [try Matcher(parsing: "severity=~\"page|\\\"x\"")], continues: true),
            route.child(matchers: [try Matcher(parsing: "team=web")], grouping: .byAllLabels),
        ]
        let rule = InhibitRule(
            source: [try Matcher(parsing: "s=1")], target: [try Matcher(parsing: "t!=1")], equal: ["db"])
        let configuration = Switchboard.Configuration(
            route: route, receivers: ["r", "page: #1"].map { Receiver(name: $0) }, inhibitRules: [rule])
        let dispatcher = Dispatcher(configuration, client: HTTPClient(), userAgent: "")
        let api = AlertmanagerAPI(dispatcher, version: "0.1", startedAt: .now)
        let server = try HTTPServer(ListenAddress(host: "127.0.0.1", port: 0)) { await api.answer($0) }
        let amtool = ["/usr/bin/amtool", "--no-version-check", "--alertmanager.url=http://\(server.address)"]

        let added = try await run(amtool + ["alert", "add", "Broken", "db=orders", "--annotation=summary=it is"])
        #expect(added.status == 0, "\(added.output)")
        let listed = try await run(amtool + ["alert", "query", "-o", "extended"])
        #expect(listed.output.contains(#"alertname="Broken" db="orders""#), "\(listed.output)")
        let silenced = try await run(
            amtool + ["silence", "add", "--comment=quiet", "--author=me", "--duration=1h", "db=~ord.*"])
        let id = silenced.output.trimmingCharacters(in: .whitespacesAndNewlines)
        #expect(silenced.status == 0 && id.count == 36, "\(silenced.output)")
        let silences = try await run(amtool + ["silence", "query"])
        #expect(silences.output.contains(id) && silences.output.contains("db=~\"ord.*\""), "\(silences.output)")
        #expect(try await !run(amtool + ["alert", "query"]).output.contains("Broken"))
        #expect(try await run(amtool + ["alert", "query", "--silenced"]).output.contains("Broken"))
        let updated = try await run(amtool + ["silence", "update", "--duration=2h", id])
        #expect(updated.status == 0, "\(updated.output)")
        let ended = try await run(amtool + ["silence", "expire", id])
        #expect(ended.status == 0, "\(ended.output)")
        #expect(try await run(amtool + ["alert", "query"]).output.contains("Broken"))
        let shown = try await run(amtool + ["config", "show"])
        #expect(shown.output.contains("receiver: \"r\""), "\(shown.output)")
        let routed = try await run(amtool + ["config", "routes", "test", "severity=page"])
        #expect(routed.output.contains("page: #1"), "\(routed.output)")
        #expect(try await run(amtool + ["config", "routes", "test", "team=web"]).output.hasPrefix("r"))
        await server.stop(within: .seconds(1))
    }

    @Test(.enabled(if: Files.exists("/usr/bin/prometheus-alertmanager"), "Alertmanager is not on this machine"))
    func aRealAlertmanagerTakesOurAlertsAndMeansTheSameByThem() async throws {
        let folder = try TemporaryFolder("outrigger-am")
        let probe = try HTTPServer(ListenAddress(host: "127.0.0.1", port: 0)) { _ in HTTPResponse() }
        let address = probe.address
        await probe.stop(within: .seconds(1))
        try Files.write("route: {receiver: r}\nreceivers: [{name: r}]\n", to: folder.path + "/am.yml")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/prometheus-alertmanager")
        process.arguments = [
            "--config.file=\(folder.path)/am.yml", "--storage.path=\(folder.path)/data",
            "--web.listen-address=\(address)", "--cluster.listen-address=",
        ]
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        defer {
            process.terminate()
            process.waitUntilExit()
        }
        let client = HTTPClient()
        func alerts() async throws -> [JSON] {
            let request = HTTPClient.Request(url: "http://\(address)/api/v2/alerts", deadline: .after(.seconds(5)))
            return try JSON.parse(try await client.send(request).body).array ?? []
        }
        let ready = Deadline.after(.seconds(120))
        while (try? await alerts()) == nil, !ready.hasPassed { try await Task.sleep(for: .milliseconds(50)) }

        let settings = AlertmanagerSettings(urls: ["http://\(address)"])
        let dispatcher = Dispatcher(
            Switchboard.Configuration(
                route: Route(receiver: "am"), receivers: [Receiver(name: "am", alertmanagers: [settings])]),
            client: client, userAgent: "Outrigger/test")
        let start = Moment.now - .seconds(30)
        let alert = Alert(
            labels: Labels(["alertname": "A", "db": "é<&>\""]), annotations: [Label("summary", "line\nline")],
            startsAt: start, endsAt: .now + .seconds(60), generatorURL: "http://x/?a=1&b=2", updatedAt: .now)
        await dispatcher.receive([alert])
        let arrived = Deadline.after(.seconds(120))
        var listed = try await alerts()
        while listed.isEmpty, !arrived.hasPassed {
            try await Task.sleep(for: .milliseconds(20))
            listed = try await alerts()
        }
        let theirs = try #require(listed.first)
        #expect(theirs["fingerprint"]?.string == alert.fingerprint.description)
        #expect(theirs["labels"]?["db"]?.string == "é<&>\"")
        #expect(theirs["annotations"]?["summary"]?.string == "line\nline")
        #expect(theirs["startsAt"]?.string == start.withMilliseconds)
        #expect(theirs["generatorURL"]?.string == "http://x/?a=1&b=2")
        #expect(dispatcher.metrics.failedRequests.with(["am", "alertmanager"]).count == 0)
        var over = alert
        over.endsAt = .now
        await dispatcher.receive([over])
        let gone = Deadline.after(.seconds(120))
        while try await !alerts().isEmpty, !gone.hasPassed { try await Task.sleep(for: .milliseconds(20)) }
        #expect(try await alerts().isEmpty)
        await dispatcher.stop()
    }
}
