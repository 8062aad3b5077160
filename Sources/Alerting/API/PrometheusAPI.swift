import Metrics
import PromQL
import Runtime

/// Prometheus' HTTP API below `/api/v1/`, as far as Grafana and `promtool query` need it to take Outrigger for a data
/// source, and Outrigger's own view of the rules.
///
/// A function of the request, the time and what the parts below tell; it may run on any thread.
public struct PrometheusAPI: Sendable {
    public let engine: Engine
    public let source: any SeriesSource

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
        engine: Engine = Engine(), source: any SeriesSource, rules: @escaping @Sendable () -> RulesSnapshot,
        metadata: @escaping @Sendable () async -> [Metric], build: BuildInformation
    ) {
        self.engine = engine
        self.source = source
        self.rules = rules
        self.metadata = metadata
        self.build = build
    }

    /// Paths that are answered, `*` standing for one part; with the methods that are allowed.
    public static let paths: [(path: String, methods: [String])] = routes.map { ($0.path, $0.methods) }

    fileprivate struct Route: Sendable {
        let path: String
        let methods: [String]
        let answer: @Sendable (PrometheusAPI, Question) async throws(QueryRefusal) -> APIAnswer
    }

    /// A request, read.
    struct Question {
        let parameters: FormParameters

        /// What stands in the path where the route has `*`.
        let name: String

        /// Milliseconds since the epoch.
        let now: Int64
    }

    private static let both = ["GET", "POST"]
    fileprivate static let routes: [Route] = [
        Route(path: "/api/v1/query", methods: both) { api, question throws(QueryRefusal) in try api.query(question) },
        Route(path: "/api/v1/query_range", methods: both) { api, question throws(QueryRefusal) in
            try api.queryRange(question)
        },
        Route(path: "/api/v1/format_query", methods: both) { api, question throws(QueryRefusal) in
            try api.formatQuery(question)
        },
        Route(path: "/api/v1/series", methods: both) { api, question throws(QueryRefusal) in try api.series(question) },
        Route(path: "/api/v1/labels", methods: both) { api, question throws(QueryRefusal) in
            try api.labelNames(question)
        },
        Route(path: "/api/v1/label/*/values", methods: ["GET"]) { api, question throws(QueryRefusal) in
            try api.labelValues(question)
        },
        Route(path: "/api/v1/metadata", methods: ["GET"]) { api, question throws(QueryRefusal) in
            try await api.metadata(question)
        },
        // Nothing here keeps exemplars; Grafana asks for them all the same.
        Route(path: "/api/v1/query_exemplars", methods: both) { _, _ throws(QueryRefusal) in
            try APIAnswer { $0.array { _ in } }
        },
        Route(path: "/api/v1/rules", methods: ["GET"]) { api, question throws(QueryRefusal) in try api.rules(question)
        },
        Route(path: "/api/v1/alerts", methods: ["GET"]) { api, _ throws(QueryRefusal) in try api.alerts() },
        Route(path: "/api/v1/status/buildinfo", methods: ["GET"]) { api, _ throws(QueryRefusal) in
            try api.buildInformation()
        },
        Route(path: "/v1/rules/evaluations", methods: ["GET"]) { api, _ throws(QueryRefusal) in try api.evaluations() },
    ]

    /// The answer to a request, or nil if the path is none of these.
    ///
    /// - Parameter now: milliseconds since the epoch.
    public func answer(_ request: HTTPRequest, now: Int64 = WallClock.nowMilliseconds) async -> HTTPResponse? {
        for route in PrometheusAPI.routes {
            guard let name = route.match(request.path) else { continue }
            let method = request.method == "HEAD" ? "GET" : request.method
            guard route.methods.contains(method) else {
                var refusal = HTTPResponse.text("method not allowed\n", status: 405)
                refusal.headers.append(("Allow", route.methods.joined(separator: ", ")))
                return refusal
            }
            do throws(QueryRefusal) {
                guard let parameters = FormParameters(request) else {
                    throw .badData("error parsing form values: invalid URL escape")
                }
                return try await route.answer(self, Question(parameters: parameters, name: name, now: now)).response
            } catch {
                return error.response
            }
        }
        return nil
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
