import Alerting
import Metrics
import Network
import PromQL
import Runtime

/// What Prometheus tells of itself beside queries and rules: targets, flags, configuration, how it runs, and `/federate`, so that
/// scripts and data sources that look there find what they expect. Outrigger scrapes nobody by HTTP: a target is what it
/// watches, and its health is the metric that says so.
struct PrometheusStatus: Sendable {
    let facts: Facts
    let values: SettingValues
    let startedAt: ContinuousClock.Instant
    let interval: Duration
    /// Series, samples and bytes that the history holds.
    let held: @Sendable () -> (series: Int, samples: Int)

    var routes: [Router.Route] {
        [
            .get("/api/v1/targets") { targets(state: $0.queryValue("state")) },
            .get("/api/v1/scrape_pools") { _ in
                Self.success(.record(["scrapePools": .array(Watched.all.map { .string($0.pool) })]))
            },
            .get("/api/v1/alertmanagers") { _ in
                Self.success(.record(["activeAlertmanagers": .array([]), "droppedAlertmanagers": .array([])]))
            },
            .get("/api/v1/status/config") { _ in Self.success(.record(["yaml": .string(configuration)])) },
            .get("/api/v1/status/flags") { _ in Self.success(flags) },
            .get("/api/v1/status/runtimeinfo") { _ in Self.success(runtime) },
            .get("/api/v1/status/tsdb") { _ in Self.success(database) },
            .get("/federate") { federate($0) },
        ]
    }

    private static func success(_ data: JSON) -> HTTPResponse {
        var writer = JSONWriter()
        writer.value(.record(["status": .string("success"), "data": data]))
        return .json(writer.bytes)
    }

    // MARK: Targets

    /// A kind of server that is watched, and the metric that tells whether it answers.
    private struct Watched {
        let pool: String
        let metric: String

        static let all = [
            Watched(pool: "postgres", metric: "pg_up"), Watched(pool: "redis", metric: "redis_up"),
            Watched(pool: "pgbouncer", metric: "pgbouncer_up"),
        ]
    }

    private func targets(state: String) -> HTTPResponse {
        let active: [JSON] =
            state == "dropped"
            ? []
            : Watched.all.flatMap { kind in
                facts.samples(kind.metric).map { labels, value in
                    let shown = labels.pairs.filter { $0.name != "__name__" }
                    return JSON.record([
                        "discoveredLabels": .object([]),
                        "labels": .object(shown.map { JSON.Member($0.name, .string($0.value)) }),
                        "scrapePool": .string(kind.pool), "scrapeUrl": .string(""), "globalUrl": .string(""),
                        "lastError": .string(value == 1 ? "" : "\(kind.metric) is 0"),
                        "lastScrape": .string("\(Moment(milliseconds: SteadyTime.shared.now))"),
                        "lastScrapeDuration": .number(0), "health": .string(value == 1 ? "up" : "down"),
                        "scrapeInterval": .string(interval.settingText),
                        "scrapeTimeout": .string(interval.settingText),
                    ])
                }
            }
        return Self.success(
            .record([
                "activeTargets": .array(active), "droppedTargets": .array([]), "droppedTargetCounts": .object([]),
            ]))
    }

    // MARK: Settings

    /// What differs from the defaults, as lines of YAML; secrets are hidden.
    private var configuration: String {
        values.all.filter { $0.origin != "default" }
            .map { "\($0.name): \(Secrets.hidden($0.text, of: $0.name))\n" }.joined()
    }

    private var flags: JSON {
        .object(values.all.map { JSON.Member($0.name, .string(Secrets.hidden($0.text, of: $0.name))) })
    }

    private var runtime: JSON {
        let uptime = Int64((ContinuousClock.now - startedAt).milliseconds)
        return .record([
            "startTime": .string("\(Moment(milliseconds: SteadyTime.shared.now - uptime))"), "CWD": .string(""),
            "reloadConfigSuccess": .bool(facts.number("outrigger_config_last_reload_successful") != 0),
            "lastConfigTime": .string(
                "\(Moment(milliseconds: Int64((facts.number("outrigger_config_last_reload_success_timestamp_seconds") ?? 0) * 1000)))"
            ),
            "corruptionCount": .integer(0), "goroutineCount": .integer(0), "GOMAXPROCS": .integer(0),
            "GOGC": .string(""), "GODEBUG": .string(""), "storageRetention": .string(facts.shown.settingText),
        ])
    }

    private var database: JSON {
        let held = held()
        return .record([
            "headStats": .record([
                "numSeries": .integer(Int64(held.series)), "numLabelPairs": .integer(0),
                "chunkCount": .integer(Int64(held.samples)), "minTime": .integer(facts.source.keptSince),
                "maxTime": .integer(SteadyTime.shared.now),
            ]),
            "seriesCountByMetricName": counts("topk(10, count by (__name__) ({__name__!=\"\"}))", "__name__"),
            "labelValueCountByLabelName": .array([]), "memoryInBytesByLabelName": .array([]),
            "seriesCountByLabelValuePair": .array([]),
        ])
    }

    private func counts(_ query: String, _ label: String) -> JSON {
        .array(
            facts.samples(query).sorted { $0.value > $1.value }.map { labels, value in
                .record(["name": .string(labels[label] ?? ""), "value": .integer(Int64(Int(clamping: value)))])
            })
    }

    // MARK: Federation

    /// The newest sample of each series that one of the selectors takes, with its time, in the text format.
    private func federate(_ request: HTTPRequest) -> HTTPResponse {
        let selectors = request.query.filter { $0.name == "match[]" }.map(\.value)
        var byName: [String: [(labels: Labels, value: Double)]] = [:]
        var seen: Set<String> = []
        let now = SteadyTime.shared.now
        for text in selectors {
            do {
                let query = try Query(text)
                guard case .vector = query.expression else { return .text("not a selector: \(text)\n", status: 400) }
                let answer = try PreparedQuery(query, engine: facts.engine).instant(at: now, source: facts.source)
                guard case .vector(let samples) = answer.value else { continue }
                for sample in samples where seen.insert("\(sample.labels)").inserted {
                    byName[sample.labels["__name__"] ?? "", default: []].append((sample.labels, sample.value))
                }
            } catch {
                return .text("\(error)\n", status: 400)
            }
        }
        var page = ""
        for name in byName.keys.sorted() {
            page += "# TYPE \(name) untyped\n"
            for (labels, value) in byName[name] ?? [] {
                let pairs = labels.pairs.filter { $0.name != "__name__" }
                    .map { "\($0.name)=\"\(Self.escaped($0.value))\"" }
                page += name + (pairs.isEmpty ? "" : "{\(pairs.joined(separator: ","))}")
                page += " \(Self.text(value)) \(now)\n"
            }
        }
        return HTTPResponse(
            headers: [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")], body: Array(page.utf8))
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }

    private static func text(_ value: Double) -> String {
        GoFormat.text(value)
    }
}

extension HTTPRequest {
    /// The first value of that name in the URL, or nothing.
    fileprivate func queryValue(_ name: String) -> String { query.first { $0.name == name }?.value ?? "" }
}
