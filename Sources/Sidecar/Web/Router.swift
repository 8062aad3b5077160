import Network
import Runtime
import Synchronization

/// Which handler answers which path. A new page is a row.
struct Router: Sendable {
    struct Route: Sendable {
        let method: String
        let path: String
        let handler: HTTPServer.Handler

        static func get(_ path: String, _ handler: @escaping HTTPServer.Handler) -> Route {
            Route(method: "GET", path: path, handler: handler)
        }

        /// Changes state: answered to loopback clients only, and never to a page of another site in a browser there.
        static func change(_ method: String, _ path: String, _ handler: @escaping HTTPServer.Handler) -> Route {
            Route(method: method, path: path) { request in
                if let refusal = Router.refusesChange(request) { return refusal }
                return await handler(request)
            }
        }
    }

    /// Answers paths that are no fixed text; nil for those that are not its own.
    typealias Fallback = @Sendable (HTTPRequest) async -> HTTPResponse?

    private let routes: [String: [Route]]
    private let fallbacks: [Fallback]

    init(_ routes: [Route], fallbacks: [Fallback] = []) {
        self.routes = Dictionary(grouping: routes, by: \.path)
        self.fallbacks = fallbacks
    }

    /// Why this client may not change anything; nil if it may.
    static func refusesChange(_ request: HTTPRequest) -> HTTPResponse? {
        guard request.isFromLoopback else { return .text("only loopback clients may do this\n", status: 403) }
        guard !["cross-site", "same-site"].contains(request.header("sec-fetch-site") ?? "none") else {
            return .text("not from another site\n", status: 403)
        }
        return nil
    }

    func answer(_ request: HTTPRequest) async -> HTTPResponse {
        guard let known = routes[request.path] else { return await answerOtherwise(request) }
        let method = request.method == "HEAD" ? "GET" : request.method
        guard let route = known.first(where: { $0.method == method }) else {
            var refusal = HTTPResponse.text("method not allowed\n", status: 405)
            refusal.headers.append(("Allow", Set(known.map(\.method)).sorted().joined(separator: ", ")))
            return refusal
        }
        return await route.handler(request)
    }

    private func answerOtherwise(_ request: HTTPRequest) async -> HTTPResponse {
        for fallback in fallbacks {
            if let response = await fallback(request) { return response }
        }
        return .text("not found\n", status: 404)
    }
}

/// The router of the present configuration; a reload puts another one in its place.
final class CurrentRouter: Sendable {
    private let router = Mutex(Router([]))

    var current: Router { router.withLock { $0 } }

    func replace(_ fresh: Router) { router.withLock { $0 = fresh } }
}
