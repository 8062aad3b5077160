import Metrics
import Network
import PromQL
import Runtime

/// Prometheus' HTTP API below `/api/v1/`, as far as Grafana and `promtool query` need it to take Outrigger for a data
/// source, and Outrigger's own view of the rules.
///
/// A function of the request, the time and what the parts below tell; it may be asked on any thread, and computes what may
/// take long on threads of its own.
public struct PrometheusAPI: Sendable {
    public let engine: Engine
    public let source: any SeriesSource
    private let threads: QueryThreads

    /// The rules and alerts of now.
    public let rules: @Sendable () -> RulesSnapshot

    /// What there is to say about metrics, by name, of all that have samples.
    public let metadata: @Sendable () async -> [Metric]
    public let build: BuildInformation

    public struct BuildInformation: Sendable {
        public let version: String
        public let revision: String

        public init(version: String, revision: String = "") {
            self.version = version
            self.revision = revision
        }
    }

    public init(
        engine: Engine = Engine(), source: any SeriesSource, threads: QueryThreads = QueryThreads(),
        rules: @escaping @Sendable () -> RulesSnapshot,
        metadata: @escaping @Sendable () async -> [Metric], build: BuildInformation
    ) {
        self.engine = engine
        self.source = source
        self.threads = threads
        self.rules = rules
        self.metadata = metadata
        self.build = build
    }

    /// Paths that are answered, `*` standing for one part; with the methods that are allowed.
    public static let paths: [(path: String, methods: [String])] = routes.map { ($0.path, $0.methods) }

    fileprivate struct Route: Sendable {
        let path: String
        let methods: [String]
        let answer: Way
    }

    fileprivate enum Way: Sendable {
        /// Looks at what is there, which takes no time.
        case atOnce(@Sendable (PrometheusAPI, Question) async throws(QueryRefusal) -> APIAnswer)
        /// Evaluates what a client wrote, or walks over all series.
        case onThread(@Sendable (PrometheusAPI, Question) throws(QueryRefusal) -> APIAnswer)
    }

    /// A request, read.
    struct Question {
        let parameters: FormParameters

        /// What stands in the path where the route has `*`.
        let name: String

        /// Milliseconds since the epoch.
        let now: Int64

        let waiter: Waiter
    }

    private static let both = ["GET", "POST"]
    fileprivate static let routes: [Route] = [
        onThread("/api/v1/query", both) { api, question throws(QueryRefusal) in try api.query(question) },
        onThread("/api/v1/query_range", both) { api, question throws(QueryRefusal) in try api.queryRange(question) },
        onThread("/api/v1/format_query", both) { api, question throws(QueryRefusal) in try api.formatQuery(question) },
        onThread("/api/v1/series", both) { api, question throws(QueryRefusal) in try api.series(question) },
        onThread("/api/v1/labels", both) { api, question throws(QueryRefusal) in try api.labelNames(question) },
        onThread("/api/v1/label/*/values", ["GET"]) { api, question throws(QueryRefusal) in
            try api.labelValues(question)
        },
        atOnce("/api/v1/metadata", ["GET"]) { api, question throws(QueryRefusal) in try await api.metadata(question) },
        // Nothing here keeps exemplars; Grafana asks for them all the same.
        atOnce("/api/v1/query_exemplars", both) { _, _ throws(QueryRefusal) in try APIAnswer { $0.array { _ in } } },
        atOnce("/api/v1/rules", ["GET"]) { api, question throws(QueryRefusal) in try api.rules(question) },
        atOnce("/api/v1/alerts", ["GET"]) { api, _ throws(QueryRefusal) in try api.alerts() },
        atOnce("/api/v1/status/buildinfo", ["GET"]) { api, _ throws(QueryRefusal) in try api.buildInformation() },
        atOnce("/v1/rules/evaluations", ["GET"]) { api, _ throws(QueryRefusal) in try api.evaluations() },
    ]

    private static func atOnce(
        _ path: String, _ methods: [String],
        _ answer: @escaping @Sendable (PrometheusAPI, Question) async throws(QueryRefusal) -> APIAnswer
    ) -> Route {
        Route(path: path, methods: methods, answer: .atOnce(answer))
    }

    private static func onThread(
        _ path: String, _ methods: [String],
        _ answer: @escaping @Sendable (PrometheusAPI, Question) throws(QueryRefusal) -> APIAnswer
    ) -> Route {
        Route(path: path, methods: methods, answer: .onThread(answer))
    }

    /// Whether a request is one of these and may bring a form.
    public static func takesForm(_ request: HTTPRequest) -> Bool {
        request.method == "POST"
            && routes.contains { $0.methods.contains("POST") && $0.match(request.path) != nil }
    }

    /// The answer to a request, or nil if the path is none of these.
    ///
    /// - Parameter now: milliseconds since the epoch.
    public func answer(_ request: HTTPRequest, now: Int64 = SteadyTime.shared.now) async -> HTTPResponse? {
        for route in PrometheusAPI.routes {
            guard let name = route.match(request.path) else { continue }
            let method = request.method == "HEAD" ? "GET" : request.method
            guard route.methods.contains(method) else {
                var refusal = HTTPResponse.text("method not allowed\n", status: 405)
                refusal.headers.append(("Allow", route.methods.joined(separator: ", ")))
                return refusal
            }
            guard let parameters = FormParameters(request) else {
                return QueryRefusal.badData("error parsing form values: invalid URL escape").response
            }
            return await respond(
                route.answer, Question(parameters: parameters, name: name, now: now, waiter: request.waiter))
        }
        return nil
    }

    private func respond(_ way: Way, _ question: Question) async -> HTTPResponse {
        switch way {
        case .atOnce(let answer):
            do throws(QueryRefusal) { return try await answer(self, question).response } catch { return error.response }
        case .onThread(let answer):
            let response = await threads.run { () -> HTTPResponse in
                guard !question.waiter.hasGone else { return QueryRefusal(.cancelled).response }
                do throws(QueryRefusal) { return try answer(self, question).response } catch { return error.response }
            }
            let refusal = QueryRefusal(
                kind: .timeout, message: "too many queries wait: more than \(threads.limit)")
            return response ?? refusal.response
        }
    }

    func buildInformation() throws(QueryRefusal) -> APIAnswer {
        try APIAnswer { writer in
            writer.object { writer in
                writer.member("version", build.version)
                writer.member("revision", build.revision)
                for key in ["branch", "buildUser", "buildDate", "goVersion"] { writer.member(key, "") }
            }
        }
    }
}

extension PrometheusAPI.Route {
    /// What stands for `*` in the path, an empty text if the route has none; nil if the path is another.
    fileprivate func match(_ path: String) -> String? {
        guard let star = self.path.firstIndex(of: "*") else { return path == self.path ? "" : nil }
        let before = self.path[..<star]
        let after = self.path[self.path.index(after: star)...]
        guard path.utf8.count > before.utf8.count + after.utf8.count, path.hasPrefix(before), path.hasSuffix(after)
        else {
            return nil
        }
        return String(path.dropFirst(before.count).dropLast(after.count))
    }
}
