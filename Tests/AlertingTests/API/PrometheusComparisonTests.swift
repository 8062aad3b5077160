import Alerting
import Foundation
import LocalServers
import Metrics
import Network
import PromQL
import Runtime
import Testing

/// The same samples in Debian's Prometheus and in our store, the same requests to both, and answers of the same bytes.
///
/// Where series may come in any order, the bytes may too. Left out is what Prometheus 3 answers otherwise than 2.42:
/// subqueries and averages to the last digit, and where errors of queries are said to stand.
@Suite(.enabled(if: Tool.prometheus != nil && Tool.promtool != nil, "no Prometheus on this machine"))
struct PrometheusComparisonTests {
    /// Seconds. Samples lie 123 ms behind every 15 s, so that none lies on the edge of a window, where 2.42 differs.
    private static let start = 1_700_000_000

    private static let series: [(name: String, value: @Sendable (Int) -> Double)] = [
        (#"up{job="a",instance="1"}"#, { _ in 1 }), (#"up{job="b",instance="2"}"#, { Double($0 % 7 == 0 ? 0 : 1) }),
        (#"requests_total{job="a",code="200"}"#, { Double($0 * 30 % 900) }),
        (#"requests_total{job="a",code="500"}"#, { Double($0) / 3 }),
        (#"temperature{place="\"quoted\" <b>&amp; \\ é"}"#, { -Double($0) * 1.1 }), ("tiny", { Double($0) * 1e-9 }),
        ("huge", { Double($0) * 1e20 }),
        (#"latency_bucket{le="0.1"}"#, { Double($0 * 2) }), (#"latency_bucket{le="1"}"#, { Double($0 * 5) }),
        (#"latency_bucket{le="+Inf"}"#, { Double($0 * 6) }),
    ]

    private static func openMetrics() -> String {
        var text = ""
        for (name, value) in series {
            for index in 0..<80 {
                text += "\(name) \(value(index)) \(start + index * 15).123\n"
            }
        }
        return text + "# EOF\n"
    }

    private static let now = "1700001000"
    private typealias Request = (path: String, query: [(String, String)])

    private static let instantQueries: [String] = [
        "up", "up{job=\"a\"}", "sum(up)", "sum by (job) (up)", "rate(requests_total[5m])", "requests_total[1m]",
        "temperature", "tiny", "huge", "huge * 100", "1", "-1.5e-7", "'text'",
        "nope",
        "histogram_quantile(0.9, rate(latency_bucket[5m]))", "1 / 0", "vector(0) / 0", "time()", "up > bool 0",
        "topk(1, requests_total)", "count_values(\"v\", up)", "absent(nope{a=\"b\"})", "sort_desc(requests_total)",
        "label_replace(up, \"x\", \"<$1>\", \"job\", \"(.*)\")", "up offset 5m", "up @ 1700000500",

        "requests_total / on (job) group_left up", "up + on () up", "requests_total + on (job) requests_total",
        "", "rate(up)", "nope(1)", "up[5m] + 1", "1 +", "{}",
    ]

    /// Query, start, end and step.
    private static let rangeQueries: [(String, String, String, String)] = [
        ("up", "1700000000", "1700001000", "60"),
        ("rate(requests_total[2m])", "1700000300.5", "1700000900", "15.5"),
        ("sum by (code) (requests_total)", "2023-11-14T22:20:00Z", "2023-11-14T22:30:00.5Z", "1m"),
        ("1", "10", "20", "5"),
        ("time()", "1700000000", "1700000030", "10s"), ("up", "20", "10", "5"), ("up", "10", "20", "0"),
        ("up", "10", "20", "-1"), ("up", "0", "1700000000", "1"), ("up", "x", "20", "5"),
        ("up", "10", "x", "5"), ("up", "10", "20", "x"), ("up", "10", "20", ""),
        ("nope", "10", "20", "5"),
    ]

    private static let others: [Request] = [
        ("/api/v1/query", [("query", "up"), ("time", "x")]),
        ("/api/v1/query", [("query", "up"), ("time", now), ("timeout", "x")]),
        ("/api/v1/series", []), ("/api/v1/series", [("match[]", "up")]),
        ("/api/v1/series", [("match[]", "up"), ("match[]", "{code=~\".+\"}")]),
        ("/api/v1/series", [("match[]", "{}")]),
        ("/api/v1/series", [("match[]", "nope")]),
        ("/api/v1/series", [("match[]", "up"), ("start", "10"), ("end", "20")]),
        ("/api/v1/series", [("match[]", "temperature")]), ("/api/v1/labels", []),
        ("/api/v1/labels", [("match[]", "up")]),
        ("/api/v1/labels", [("match[]", "nope")]), ("/api/v1/labels", [("start", "x")]),
        ("/api/v1/label/job/values", []), ("/api/v1/label/__name__/values", []),
        ("/api/v1/label/code/values", [("match[]", "requests_total{code!=\"200\"}")]),
        ("/api/v1/label/nope/values", []),
        ("/api/v1/label/a-b/values", []), ("/api/v1/label/le/values", [("start", "1"), ("end", "2")]),
        ("/api/v1/format_query", [("query", "sum( up )by(job)")]), ("/api/v1/metadata", [("metric", "nope")]),
        ("/api/v1/rules", []), ("/api/v1/rules", [("type", "x")]), ("/api/v1/alerts", []),
    ]

    private static var requests: [Request] {
        var requests: [Request] = instantQueries.map { ("/api/v1/query", [("query", $0), ("time", now)]) }
        for (query, start, end, step) in rangeQueries {
            let parameters = [("query", query), ("start", start), ("end", end), ("step", step)]
            requests.append(("/api/v1/query_range", parameters))
        }
        return requests + others
    }

    @Test func answersAreTheSameToTheByte() async throws {
        let folder = try TemporaryFolder()
        try Files.write(Self.openMetrics(), to: folder.path + "/samples.txt")
        let made = try await Tool.run(
            try #require(Tool.promtool), ["tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"],
            in: folder.path)
        try #require(made.status == 0, "\(made.text)")
        try Files.write("global: {}\n", to: folder.path + "/prometheus.yml")
        let port = FreePort.next()
        let prometheus = try ChildProcess(
            try #require(Tool.prometheus),
            [
                "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--storage.tsdb.retention.time=100y",
                "--web.listen-address=127.0.0.1:\(port)", "--log.level=error",
            ], output: folder.path + "/log", directory: folder.path)
        let client = HTTPClient()
        let base = "http://127.0.0.1:\(port)"
        let deadline = Deadline.after(.seconds(120))
        while (try? await client.send(.init(url: base + "/-/ready", deadline: deadline)))?.status != 200 {
            try #require(!deadline.hasPassed, "prometheus does not start")
            try await Task.sleep(for: .milliseconds(50))
        }

        let store = ScratchStore()
        for (name, value) in Self.series {
            let labels = try ScriptSeries.labels(name, at: 1)
            for index in 0..<80 {
                let time = Int64(Self.start + index * 15) * 1000 + 123
                store.append([RuleSample(labels: labels, time: time, value: value(index))])
            }
        }
        let api = PrometheusAPI(
            source: store, rules: { RulesSnapshot() }, metadata: { [] }, build: .init(version: "test"))
        var different: [String] = []
        for (path, query) in Self.requests {
            let text = query.map { "\($0.0)=\(escaped($0.1))" }.joined(separator: "&")
            let theirs = try await client.send(.init(url: "\(base)\(path)?\(text)", deadline: .after(.seconds(10))))
            let request = HTTPRequest(method: "GET", path: path, query: query.map { (name: $0.0, value: $0.1) })
            let ours = try #require(await api.answer(request, now: 1_700_001_000_000))
            // One word begins with a small letter since Prometheus 3.
            let expected = Array(
                String(decoding: theirs.body, as: UTF8.self).replacing("Invalid time", with: "invalid time").utf8)
            if ours.status == theirs.status, ours.body.sorted() == expected.sorted() { continue }
            different.append(
                "\(path) \(query)\n  theirs: \(theirs.status) \(String(decoding: theirs.body, as: UTF8.self).prefix(400))\n"
                    + "  ours:   \(ours.status) \(String(decoding: ours.body, as: UTF8.self).prefix(400))")
        }
        await prometheus.stop()
        #expect(different.isEmpty, "\(different.joined(separator: "\n"))")
    }

    private func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }
}
