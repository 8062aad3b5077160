import Alerting
import Metrics
import Network
import PromQL
import Runtime
import Testing

@Suite struct PrometheusAPITests {
    private let store = ScratchStore()
    private var api: PrometheusAPI {
        PrometheusAPI(
            source: store, rules: { RulesSnapshot() },
            metadata: {
                [.counter("b_total", "Bs so far."), .gauge("a", "How much \"a\" there is."), .gauge("a", "Again.")]
            }, build: .init(version: "1.2.3", revision: "abc"))
    }

    private func get(_ path: String, _ query: (String, String)...) async throws -> (status: Int, body: String) {
        let request = HTTPRequest(method: "GET", path: path, query: query.map { (name: $0.0, value: $0.1) })
        let response = try #require(await api.answer(request, now: 1_700_000_000_000))
        return (response.status, String(decoding: response.body, as: UTF8.self))
    }

    private func fill() throws {
        for (series, value) in [
            (#"up{job="a"}"#, 1.0), (#"up{job="b"}"#, 0), ("tiny", 1e-9), ("big", 1e21), ("nan", .nan),
        ] {
            store.append([
                RuleSample(labels: try ScriptSeries.labels(series, at: 1), time: 1_699_999_999_500, value: value)
            ])
        }
    }

    @Test func anInstantQueryAnswersAVector() async throws {
        try fill()
        #expect(
            try await get("/api/v1/query", ("query", "sort(up)"), ("time", "1700000000.25")).body
                == #"{"status":"success","data":{"resultType":"vector","result":["#
                + #"{"metric":{"__name__":"up","job":"b"},"value":[1700000000.250,"0"]},"#
                + #"{"metric":{"__name__":"up","job":"a"},"value":[1700000000.250,"1"]}]}}"#)
    }

    @Test(arguments: [
        ("tiny", "1e-09"), ("big", "1e+21"), ("nan", "NaN"), ("big / 10", "100000000000000000000"),
        ("1/0 * up{job='a'}", "+Inf"),
    ])
    func numbersAreTexts(_ query: String, _ shown: String) async throws {
        try fill()
        #expect(try await get("/api/v1/query", ("query", query)).body.contains(#"[1700000000,"\#(shown)"]"#))
    }

    @Test func scalarsAndTextsHaveNoLabels() async throws {
        #expect(
            try await get("/api/v1/query", ("query", "1.50")).body
                == #"{"status":"success","data":{"resultType":"scalar","result":[1700000000,"1.5"]}}"#)
        #expect(
            try await get("/api/v1/query", ("query", "'<a>'")).body
                == #"{"status":"success","data":{"resultType":"string","result":[1700000000,"\u003ca\u003e"]}}"#)
    }

    @Test func aFormInTheBodyIsReadLikeTheURL() async throws {
        let request = HTTPRequest(
            method: "POST", path: "/api/v1/query", query: [("query", "2"), ("time", "5")],
            headers: [("content-type", "application/x-www-form-urlencoded; charset=utf-8")],
            body: Array("query=1+%2B+1%2b1&x".utf8))
        let response = try #require(await api.answer(request, now: 0))
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == #"{"status":"success","data":{"resultType":"scalar","result":[5,"3"]}}"#)
    }

    @Test func aBrokenFormIsRefused() async throws {
        let request = HTTPRequest(
            method: "POST", path: "/api/v1/query", headers: [("content-type", "application/x-www-form-urlencoded")],
            body: Array("query=%zz".utf8))
        #expect(try #require(await api.answer(request, now: 0)).status == 400)
    }

    @Test(arguments: [
        (
            [("query", "1"), ("time", "x")],
            #"invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp"#
        ),
        ([("query", "")], #"invalid parameter \"query\": 1:1: parse error: no expression found in input"#),
        (
            [("query", "1"), ("timeout", "soon")],
            #"invalid parameter \"timeout\": cannot parse \"soon\" to a valid duration"#
        ),
    ])
    func whatCannotBeReadIsBadData(_ query: [(String, String)], _ message: String) async throws {
        let request = HTTPRequest(method: "GET", path: "/api/v1/query", query: query.map { (name: $0.0, value: $0.1) })
        let response = try #require(await api.answer(request, now: 0))
        #expect(response.status == 400)
        #expect(
            String(decoding: response.body, as: UTF8.self)
                == #"{"status":"error","errorType":"bad_data","error":"\#(message)"}"#)
    }

    @Test func whatCannotBeEvaluatedIsAnExecutionError() async throws {
        try fill()
        let answer = try await get("/api/v1/query", ("query", "up + on() up"))
        #expect(answer.status == 422)
        #expect(answer.body.contains(#""errorType":"execution""#))
    }

    @Test func aQueryThatTakesTooLongIsATimeout() async throws {
        try fill()
        let answer = try await get(
            "/api/v1/query", ("query", "sum_over_time(up[1000d:1s])"), ("timeout", "1ms"))
        #expect(answer.status == 503 && answer.body.contains(#""errorType":"timeout""#))
    }

    @Test func limitCutsAndSaysSo() async throws {
        try fill()
        let answer = try await get("/api/v1/query", ("query", "up"), ("limit", "1"))
        #expect(answer.body.hasSuffix(#""warnings":["results truncated due to limit"]}"#))
        let series = try await get("/api/v1/label/__name__/values", ("limit", "2"))
        #expect(
            series.body == #"{"status":"success","data":["big","nan"],"warnings":["results truncated due to limit"]}"#)
    }

    @Test func metadataNamesEachMetricOnce() async throws {
        #expect(
            try await get("/api/v1/metadata").body
                == #"{"status":"success","data":{"a":[{"type":"gauge","help":"How much \"a\" there is.","unit":""}],"#
                + #""b_total":[{"type":"counter","help":"Bs so far.","unit":""}]}}"#)
        #expect(try await get("/api/v1/metadata", ("metric", "nope")).body == #"{"status":"success","data":{}}"#)
    }

    @Test func buildInformationIsThere() async throws {
        #expect(
            try await get("/api/v1/status/buildinfo").body
                == #"{"status":"success","data":{"version":"1.2.3","revision":"abc","branch":"","buildUser":"","buildDate":"","goVersion":""}}"#
        )
    }

    @Test func otherPathsAreNotAnsweredAndOtherMethodsRefused() async throws {
        #expect(await api.answer(HTTPRequest(method: "GET", path: "/api/v1/nope")) == nil)
        #expect(await api.answer(HTTPRequest(method: "GET", path: "/api/v1/label//values")) == nil)
        #expect(try #require(await api.answer(HTTPRequest(method: "DELETE", path: "/api/v1/query"))).status == 405)
    }

    // MARK: Rules

    private static let rules = """
        groups:
        - name: one
          interval: 30s
          limit: 5
          rules:
          - {record: 'a:sum', expr: 'sum(  a )', labels: {x: y}}
          - {alert: High, expr: 'a > 5', for: 1m, keep_firing_for: 2m, labels: {severity: '{{ "page" }}'}, annotations: {s: '{{ $value }}'}}
        - {name: empty, rules: []}
        - name: two
          rules: [{alert: Broken, expr: 'a + on() b'}]
        """

    private func ask(_ scene: RuleScene, _ path: String, _ query: (String, String)...) async throws -> String {
        let api = PrometheusAPI(
            source: scene.store, rules: { scene.ruler.snapshot }, metadata: { [] }, build: .init(version: "test"))
        let request = HTTPRequest(method: "GET", path: path, query: query.map { (name: $0.0, value: $0.1) })
        return String(decoding: try #require(await api.answer(request, now: scene.now)).body, as: UTF8.self)
    }

    @Test func rulesAreListedAsPrometheusListsThem() async throws {
        let scene = try await RuleScene(Self.rules, start: 1_700_000_000_000)
        try scene.append(#"a{i="1"}"#, 10.5, at: 1_700_000_000_000)
        try scene.append(#"b{i="1"}"#, 1, at: 1_700_000_000_000)
        try scene.append(#"b{i="2"}"#, 1, at: 1_700_000_000_000)
        #expect(try await ask(scene, "/api/v1/rules", ("rule_name[]", "High")).contains(#""state":"unknown""#))
        await scene.run(until: 1_700_000_035_000)
        let first = scene.ruler.snapshot.groups.first { $0.definition.name == "one" }
        let start = Moment(milliseconds: try #require(first?.lastStart))
        #expect(
            try await ask(scene, "/api/v1/rules", ("rule_group[]", "one"))
                == #"{"status":"success","data":{"groups":[{"name":"one","file":"rules.yml","rules":["#
                + #"{"name":"a:sum","query":"sum(a)","labels":{"x":"y"},"health":"ok","evaluationTime":0,"#
                + #""lastEvaluation":"\#(start)","type":"recording"},"#
                + #"{"state":"pending","name":"High","query":"a \u003e 5","duration":60,"keepFiringFor":120,"#
                + #""labels":{"severity":"{{ \"page\" }}"},"annotations":{"s":"{{ $value }}"},"alerts":["#
                + #"{"labels":{"alertname":"High","i":"1","severity":"page"},"annotations":{"s":"10.5"},"#
                + #""state":"pending","activeAt":"\#(start)","value":"1.05e+01"}],"health":"ok","evaluationTime":0,"#
                + #""lastEvaluation":"\#(start)","type":"alerting"}],"interval":30,"limit":5,"evaluationTime":0,"#
                + #""lastEvaluation":"\#(start)"}]}}"#)
        let broken = try await ask(scene, "/api/v1/rules", ("type", "alert"), ("rule_name[]", "Broken"))
        #expect(broken.contains(#""health":"err","lastError":"found duplicate series"#))
        #expect(
            try await ask(scene, "/api/v1/alerts")
                == #"{"status":"success","data":{"alerts":[{"labels":{"alertname":"High","i":"1","severity":"page"},"#
                + #""annotations":{"s":"10.5"},"state":"pending","activeAt":"\#(start)","value":"1.05e+01"}]}}"#)
    }

    @Test func rulesCanBeChosen() async throws {
        let scene = try await RuleScene(Self.rules)
        await scene.run(until: 60_000)
        func names(_ query: (String, String)...) async throws -> [String] {
            let api = PrometheusAPI(
                source: scene.store, rules: { scene.ruler.snapshot }, metadata: { [] }, build: .init(version: "test"))
            let request = HTTPRequest(
                method: "GET", path: "/api/v1/rules", query: query.map { (name: $0.0, value: $0.1) })
            let body = try JSON.parse(try #require(await api.answer(request, now: 0)).body)
            return (body["data"]?["groups"]?.array ?? []).flatMap { $0["rules"]?.array ?? [] }.compactMap {
                $0["name"]?.string
            }
        }
        #expect(try await names() == ["a:sum", "High", "Broken"])
        #expect(try await names(("type", "record")) == ["a:sum"])
        #expect(try await names(("type", "alert")) == ["High", "Broken"])
        #expect(try await names(("rule_group[]", "two")) == ["Broken"])
        #expect(try await names(("rule_name[]", "High"), ("rule_name[]", "a:sum")) == ["a:sum", "High"])
        #expect(try await names(("file[]", "other.yml")) == [])
        #expect(try await names(("match[]", #"{x="y"}"#)) == ["a:sum"])
        #expect(try await names(("group_limit", "1")) == ["a:sum", "High"])
        let page = try JSON.parse(Array(try await ask(scene, "/api/v1/rules", ("group_limit", "1")).utf8))
        let token = try #require(page["data"]?["groupNextToken"]?.string)
        #expect(try await names(("group_limit", "1"), ("group_next_token", token)) == ["Broken"])
        #expect(try await ask(scene, "/api/v1/rules", ("type", "x")).contains(#""errorType":"bad_data""#))
    }

    @Test func theEvaluationsOfARuleSayWhyItDidWhatItDid() async throws {
        let scene = try await RuleScene("groups: [{name: g, rules: [{alert: A, expr: 'a > 1 or typo > 1'}]}]")
        try scene.append("a", 5, at: 0)
        await scene.run(until: 30_000)
        let body = try JSON.parse(Array(try await ask(scene, "/v1/rules/evaluations").utf8))
        let rule = try #require(body["data"]?.array?.first)
        #expect(rule["matchesNoSeries"] == .array([.string("typo")]))
        let last = try #require(rule["evaluations"]?.array?.first)
        #expect(last["value"]?.string == "5")
        #expect(last["samples"]?.integer == 1)
        #expect(last["changes"]?.array?.first?["to"]?.string == "firing")
        #expect(last["durationSeconds"] != nil)
    }

    @Test(.enabled(if: SharedData.isPresent, SharedData.absence))
    func theMembersAreThoseOfARealPrometheusInItsOrder() async throws {
        let scene = try await RuleScene(Self.rules)
        try scene.append("a", 10.5, at: 0)
        await scene.run(until: 60_000)
        func keys(_ json: JSON?) -> [String] { json?.members?.map(\.key) ?? [] }
        let theirs = try SharedData.json("api_v1_rules_example.json")["data"]?["groups"]?.array?.first
        let ours = try JSON.parse(Array(try await ask(scene, "/api/v1/rules").utf8))["data"]?["groups"]?.array?.first
        #expect(keys(ours) == keys(theirs))
        #expect(keys(ours?["rules"]?.array?[1]) == keys(theirs?["rules"]?.array?[1]))
        let alert = try SharedData.json("api_v1_alerts_example.json")["data"]?["alerts"]?.array?.first
        #expect(keys(ours?["rules"]?.array?[1]["alerts"]?.array?.first) == keys(alert))
    }
}
